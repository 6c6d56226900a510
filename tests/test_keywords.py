"""Functions with many keywords: each has a field in a frozen request, None is the default, and others are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from indexer.index_request import OF_INDEX, OF_UPDATE, IndexRequest
from indexer.training.entry import OF_TRAIN, TrainRequest
from retrieval.evaluation.request import OF_EVALUATE, EvaluationRequest, evaluation_request
from retrieval.keywords import checked_keywords
from retrieval.query.requests import OF_SEARCH
from retrieval.types import Request


@pytest.mark.parametrize(
    ("request_class", "keywords", "by_position"),
    [
        (IndexRequest, OF_INDEX, set()),
        (TrainRequest, OF_TRAIN, set()),
        (EvaluationRequest, OF_EVALUATE, set()),
        (Request, OF_SEARCH, {"k", "find", "distinct", "after"}),
    ],
)
def test_every_field_of_a_request_is_a_keyword(
    request_class: Any, keywords: frozenset[str], by_position: set[str]
) -> None:
    assert {field.name for field in fields(request_class)} == keywords | by_position


def test_an_update_has_the_keywords_of_an_index_but_those_of_one_corpus_and_the_pace() -> None:
    assert OF_INDEX - OF_UPDATE == {"options", "pace"}  # noqa: SIM300


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(indexer.build, 2), (indexer.train, 2), (retrieval.evaluate, 1)],
    ids=["build", "train", "evaluate"],
)
def test_a_keyword_that_there_is_not_is_refused_before_anything_is_done(
    function: Callable[..., object], arguments: int, tmp_path: Path
) -> None:
    places = [tmp_path / name for name in ("corpus", "made")][:arguments]

    with pytest.raises(TypeError, match=r"unexpected keyword argument 'models_'; options are \w+, "):
        function(*places, models_="mini")
    assert list(tmp_path.iterdir()) == []


def test_none_stands_for_the_default() -> None:
    assert checked_keywords({"a": None, "b": 0, "c": False}, frozenset("abc")) == {"b": 0, "c": False}
    assert evaluation_request({"options": None, "limits": None, "k": None}) == EvaluationRequest()
