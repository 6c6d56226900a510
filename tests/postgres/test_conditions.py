"""Conditions on fields let through the same items on a server as in the folder that it was copied from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
from retrieval.collection import Collection
from retrieval.collection.listing import LIST_SORTS
from retrieval.collection.postgres.server_connection import connect
from retrieval.errors import FilterError
from retrieval.expressions import (
    And,
    Between,
    Comparison,
    Contains,
    Expression,
    ItemIds,
    Not,
    OneOf,
    Operator,
    Prefix,
)
from retrieval.types import KINDS, Attribute, Kind, Request
from tests.builders import HashEncoder, unit_rows
from tests.conditions import PlainItem, expressions, random_items
from tests.postgres_server import new_place, require_server
from tests.retrieval.collection.test_filters import fill

ITEMS = 90
LONG = "long " * 30
HARD: list[Attribute] = [
    *(2**53, 2**53 + 1, 2.0**53, 2.0**53 + 2, 2**60, 2.0**60, 2**63 - 1, -(2**63), 1e300, 10**30, 5e-324),
    *(0.1, 0.30000000000000004, 0.3, -0.0, 0, 1, True, 3, 3.0, 1e23, 123456789012345680.0),
    *(
        LONG,
        LONG + "a",
        LONG + "b",
        LONG[:100],
        LONG[:99],
        "z" * 9000,
        "",
        " ",
        "\u00e9",
        "e\u0301",
        "\U0001f600",
    ),
    *("100%", "%s", "'; --", "\\", "a\u0001", "a", "\uffff", "\U0010ffff", "STRASSE", "stra\u00dfe"),
]
"""Values at which numbers, collations, indexes and statements might differ."""

_HARD_VALUES = st.sampled_from([value for value in HARD if value is not None and not isinstance(value, list)])
OPERATORS: tuple[Operator, ...] = ("=", "!=", "<", "<=", ">", ">=")
HARD_CONDITIONS: st.SearchStrategy[Expression] = st.one_of(
    st.builds(Comparison, st.just("hard"), st.sampled_from(OPERATORS), _HARD_VALUES),
    st.builds(Between, st.just("hard"), _HARD_VALUES, _HARD_VALUES),
    st.builds(OneOf, st.just("hard"), st.lists(_HARD_VALUES, min_size=1, max_size=120).map(tuple)),
    st.builds(Contains, st.just("hard"), _HARD_VALUES.map(str)),
    st.builds(Prefix, st.just("hard"), _HARD_VALUES.map(str)),
)


def _items() -> list[PlainItem]:
    hard = [
        PlainItem("image", f"/hard/{number}.png", corpora=("/photos",), attributes={"hard": value})
        for number, value in enumerate(HARD)
    ]
    return random_items(ITEMS, 1) + hard


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, Collection]]:
    """A collection of random and of hard items in a folder, and its copy on a server."""
    require_server()
    path, place, items = tmp_path_factory.mktemp("conditions") / "collection", new_place(), _items()
    uris = fill(path, items, unit_rows(len(items), seed=1))
    indexer.hide(path, [uri.removeprefix("key:") for uri in uris[::11]])
    indexer.copy_collection(path, place)
    with Collection.open(path) as folder, Collection.open(place) as server:
        yield folder, server


def found(collection: Collection, kind: Kind, where: Expression) -> list[int] | str:
    """Ids of the items that meet a condition, or what is said of the condition."""
    with collection.reading() as view:
        try:
            return [int(number) for number in view.where(kind, where)]
        except FilterError as error:
            return str(error)


def check_equal(both: tuple[Collection, Collection], kind: Kind, where: Expression) -> None:
    of_folder, of_server = (found(one, kind, where) for one in both)
    assert of_server == of_folder


CONDITIONS = st.one_of(expressions(), expressions(HARD_CONDITIONS), HARD_CONDITIONS)


@given(kind=st.sampled_from(KINDS), where=CONDITIONS)
@settings(max_examples=100, deadline=None)
def test_random_conditions_let_the_same_items_through(
    both: tuple[Collection, Collection], kind: Kind, where: Expression
) -> None:
    check_equal(both, kind, where)


@pytest.mark.slow
@given(kind=st.sampled_from(KINDS), where=CONDITIONS)
@settings(max_examples=5000, deadline=None)
def test_many_random_conditions_let_the_same_items_through(
    both: tuple[Collection, Collection], kind: Kind, where: Expression
) -> None:
    check_equal(both, kind, where)


@pytest.mark.parametrize("text", ["a\0", "a\0b", "\0", "canon\0"])
def test_a_condition_with_a_character_that_a_server_cannot_hold_lets_the_same_through(
    both: tuple[Collection, Collection], text: str
) -> None:
    for where in (
        *(Comparison("hard", operator, text) for operator in OPERATORS),
        Contains("hard", text),
        Prefix("hard", text),
        Between("hard", "a", text),
        Between("hard", text, "b"),
    ):
        check_equal(both, "image", where)


@given(
    where=CONDITIONS,
    k=st.integers(1, 30),
    offset=st.integers(0, 5),
    distinct=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_a_search_under_a_condition_gives_the_same_hits_and_scores(
    both: tuple[Collection, Collection], where: Expression, k: int, offset: int, distinct: bool
) -> None:
    request, queries = Request(k=k, offset=offset, distinct=distinct, where=where), unit_rows(2, seed=3)

    def asked(collection: Collection) -> Any:
        with collection.reading() as view:
            try:
                return [view.search(queries, kind, request) for kind in KINDS]
            except FilterError as error:
                return str(error)

    of_folder, of_server = map(asked, both)
    assert of_server == of_folder


def test_fields_facets_and_orders_are_the_same(both: tuple[Collection, Collection]) -> None:
    names = ("folder", "name", "corpus", "kind", "lang", "width", "bytes", "key", "indexed", "camera", "hard")

    def told(collection: Collection) -> dict[str, Any]:
        with collection.reading() as view:
            return {
                "fields": view.fields(),
                "names": view.attribute_names(),
                "facets": [view.facets(kind, (*names, "year", "mixed"), None, 99) for kind in KINDS],
                "orders": [view.listed(kind, None, sort).tolist() for kind in KINDS for sort in LIST_SORTS],
                "newest": view.newest("image", 5, where=Not(Comparison("width", "=", 12))),
            }

    of_folder, of_server = map(told, both)
    assert of_server == of_folder


def test_values_that_a_server_cannot_hold_are_not_there_for_conditions() -> None:
    require_server()
    place = new_place()
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.add("a", None, vector=unit_rows(1)[0], attributes={"x": "a\0b", "y": 1, "n\0": 2})
    with Collection.open(place) as opened, opened.reading() as view:
        assert view.attribute_names() == ["y"]
        assert view.items([1])[0].attributes["x"] == "a\0b"
        assert view.where("image", Comparison("y", "=", 1)).tolist() == [1]


def test_what_a_writer_changes_is_what_conditions_find() -> None:
    require_server()
    place, row = new_place(), unit_rows(2)

    def keys(where: Expression) -> list[str | None]:
        with Collection.open(place) as opened, opened.reading() as view:
            return [item.key for item in view.items(view.where("image", where).tolist())]

    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.upsert("a", None, vector=row[0], attributes={"n": 1, "l": ["x", "y"]})
        writer.upsert("b", None, vector=row[1], attributes={"n": "one"})
    assert keys(Comparison("n", "=", 1)) == ["a"]
    assert keys(Comparison("n", "=", "ONE")) == ["b"]
    indexer.set_attributes(place, ["a"], {"n": 2.5})
    assert keys(And((Comparison("n", ">", 2), Contains("l", "Y")))) == ["a"]
    with indexer.open_writer(place, model=HashEncoder()) as writer:
        writer.upsert("a", None, vector=row[0], attributes={"n": 7})
    assert keys(Comparison("n", "=", 7)) == ["a"]
    indexer.delete(place, ["a"])
    assert keys(Comparison("key", "=", "A")) == []
    assert keys(Comparison("key", "=", "B")) == ["b"]


def test_any_number_of_items_is_a_condition(both: tuple[Collection, Collection]) -> None:
    check_equal(both, "image", ItemIds(np.arange(5000, dtype=np.int64).tobytes()))


def test_the_doctor_finds_and_repairs_values_that_are_not_those_of_the_rows(tmp_path: Path) -> None:
    require_server()
    place, items = new_place(), random_items(9, 3)
    fill(tmp_path / "c", items, unit_rows(len(items)))
    indexer.copy_collection(tmp_path / "c", place)
    with Collection.open(place) as opened, opened.reading() as view:
        before = view.fields()
    connection = connect(place, 60)
    for statement in (
        "UPDATE item_fields SET folder = 'other' WHERE item_id = 2",
        "DELETE FROM attribute_numbers",
        "INSERT INTO attribute_texts SELECT 77, id, 'stray' FROM attribute_names LIMIT 1",
        "UPDATE source_fields SET corpus = 'other'",
    ):
        connection.driver.execute(statement.encode())
    connection.close()

    faults = indexer.doctor(place).faults
    assert len(faults) == 1
    assert "other values for conditions than their rows" in faults[0]
    repaired = indexer.doctor(place, repair=True)
    assert repaired.faults == ()
    assert repaired.repaired == faults
    with Collection.open(place) as opened, opened.reading() as view:
        assert view.fields() == before
