"""What can be asked of a search is said once: keywords, HTTP and the command line have the fields of ``Request``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

import click
import pytest

import retrieval
from retrieval.cli.query import query
from retrieval.cli.similar import similar
from retrieval.client.connection import Connection
from retrieval.errors import FilterError, UsageError
from retrieval.query.requests import OF_SEARCH, OF_SIMILAR, query_of, read_as_asked, request_of
from retrieval.query.without import read_query
from retrieval.server.bodies import SearchBody, SearchParameters
from retrieval.server.program_routes import SimilarBody
from retrieval.types import Limits, Request

POSITIONAL = {"k", "find", "distinct"}
ASKED = {field.name for field in fields(Request)} - {"after"}  # which a cursor says
SIMILAR = POSITIONAL | OF_SIMILAR


def test_the_keywords_of_a_search_are_the_fields_of_a_request_with_their_types() -> None:
    known = {"Expression": retrieval.Expression}
    taken = get_type_hints(retrieval.SearchOptions, localns=known)
    held = get_type_hints(Request, localns={**known, "After": object})

    assert POSITIONAL | taken.keys() == ASKED
    assert taken.pop("where") == str | held["where"]
    assert taken == {name: held[name] for name in taken}


@pytest.mark.parametrize("body", [SearchBody, SearchParameters])
def test_over_http_a_search_has_each_field_of_a_request(body: type[SearchBody | SearchParameters]) -> None:
    assert body.model_fields.keys() >= ASKED


def test_over_http_what_is_like_items_has_the_fields_that_the_method_takes() -> None:
    assert SimilarBody.model_fields.keys() & ASKED == SIMILAR


@pytest.mark.parametrize(("command", "asked"), [(query, ASKED), (similar, SIMILAR)])
def test_a_command_has_an_option_for_each_field_of_a_request(command: click.Command, asked: set[str]) -> None:
    assert {option.name for option in command.params} & ASKED == asked - {"where"}  # of which it has several


def test_a_request_of_no_keywords_is_the_default_one() -> None:
    assert request_of(10, None, False, {}) == Request()


def test_a_request_has_the_values_of_the_keywords_and_its_condition_is_read() -> None:
    request = request_of(3, "text", "picture", {"where": "width > 3", "sort": "name", "regions": False})

    assert request == Request(
        3, "text", "picture", where=retrieval.parse_where("width > 3"), sort="name", regions=False
    )


def test_a_condition_that_cannot_be_read_is_told() -> None:
    with pytest.raises(FilterError, match="a value is expected"):
        request_of(10, None, False, {"where": "width >"})


@pytest.mark.parametrize(
    ("method", "keyword"), [("search", "after"), ("search_batch", "weher"), ("similar", "mode")]
)
def test_a_keyword_that_a_search_does_not_take_is_refused_by_name_here_and_by_a_client(
    method: str, keyword: str
) -> None:
    client = retrieval.RemoteEngine(Connection("http://127.0.0.1:9", None, 1.0), None, Limits())
    here = retrieval.SearchEngine.__new__(retrieval.SearchEngine)  # nothing of it is used
    given: dict[str, Any] = {keyword: None}

    for engine in (here, client):
        with pytest.raises(TypeError, match=f"unexpected keyword argument '{keyword}'; options are exact, "):
            getattr(engine, method)(["a"], **given)


@pytest.mark.parametrize(("query", "key"), [(None, None), ("a", "sku-1")])
def test_a_search_is_by_a_query_or_a_key(query: str | None, key: str | None) -> None:
    with pytest.raises(UsageError, match="one of the two"):
        query_of(query, key)


def test_words_that_are_taken_as_they_are_exclude_nothing() -> None:
    asked = retrieval.Query.of("a dog without a ball")

    assert read_as_asked(asked, True, None) == (asked, [])
    assert read_as_asked(asked, False, "words") == (asked, [])
    assert read_as_asked(asked, False, "vector") == read_query(asked)
    assert OF_SIMILAR < OF_SEARCH
