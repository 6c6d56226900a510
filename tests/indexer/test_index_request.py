"""The keywords of a run over a corpus: None is the default, and what a run does not take is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import indexer
from indexer.index_request import OF_INDEX, IndexRequest, index_request
from retrieval.testing import HashEncoder


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
