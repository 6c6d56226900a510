"""The keywords of a run: each has a place in the frozen request, None is the default, and others are refused."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer.index_request import OF_INDEX, OF_UPDATE, IndexRequest, index_request
from retrieval.testing import HashEncoder


def test_every_field_of_a_request_is_a_keyword_and_what_an_update_leaves_out_is_of_the_corpus_or_the_pace() -> (
    None
):
    assert {field.name for field in fields(IndexRequest)} == OF_INDEX
    assert {"options", "pace"} == OF_INDEX - OF_UPDATE


@pytest.mark.parametrize("name", sorted(OF_INDEX))
def test_none_stands_for_the_default(name: str) -> None:
    options: Any = {name: None}

    assert index_request(options) == IndexRequest()


def test_a_keyword_that_there_is_not_is_refused_with_those_that_there_are(
    photos: Path, tmp_path: Path
) -> None:
    collection = tmp_path / "collection"
    wrong: Any = {"prunes": True}

    with pytest.raises(
        TypeError, match="unexpected keyword argument 'prunes'; options are limits, model, options"
    ):
        indexer.build(photos, collection, **wrong)
    assert not collection.exists()

    indexer.build(photos, collection, model=HashEncoder())
    of_build: Any = {"pace": indexer.CommitPace()}
    with pytest.raises(
        TypeError, match="unexpected keyword argument 'pace'; options are limits, model, prune"
    ):
        list(indexer.update(collection, **of_build))
