"""What holds for every item: each rule takes what it should, and names what it refuses in a clause."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
from indexer.store.item_rules import (
    attributes_fault,
    extent_fault,
    key_fault,
    size_fault,
    stored_attributes_fault,
    stored_item_fault,
    text_fault,
    uri_fault,
    word_fault,
)
from retrieval.collection import Collection
from retrieval.errors import UsageError
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import Attribute, Kind
from tests.builders import HashEncoder

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)
NOT_TEXT = st.none() | st.integers() | st.binary(max_size=3) | st.lists(st.text(), max_size=1)
PLAIN_TEXT = st.text(max_size=8)
ATTRIBUTES: st.SearchStrategy[dict[str, Attribute]] = st.dictionaries(
    PLAIN_TEXT,
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | PLAIN_TEXT
    | st.lists(PLAIN_TEXT, max_size=3),
    max_size=4,
)


@dataclass(frozen=True)
class Row:
    """A row of ``items`` with its content."""

    uri: str = "file:///a.jpg"
    kind: Kind = "image"
    key: str | None = None
    lang: str | None = None
    attributes: str = "{}"
    stamp: str | None = None
    extent: str | None = None
    text: str | None = None
    width: int | None = None
    height: int | None = None


@given(ANY_TEXT | NOT_TEXT)
def test_a_uri_and_a_key_are_texts_of_at_least_one_character(value: object) -> None:
    sound = isinstance(value, str) and value != "" and is_unicode(value)

    assert (uri_fault(value) is None) == sound
    assert (key_fault(value) is None) == sound


@given(ANY_TEXT | NOT_TEXT)
def test_a_language_and_a_stamp_are_texts_where_they_are_known(value: object) -> None:
    sound = value is None or (isinstance(value, str) and is_unicode(value))

    assert (word_fault("lang", value) is None) == sound


@given(ANY_TEXT | NOT_TEXT)
def test_a_text_is_kept_normalised_and_not_empty(value: object) -> None:
    sound = isinstance(value, str) and value != "" and is_unicode(value) and normalise_text(value) == value

    assert (text_fault(value) is None) == sound


@given(ANY_TEXT)
def test_a_text_that_is_not_normalised_is_sound_once_it_is(text: str) -> None:
    normal = normalise_text(text)

    assert (text_fault(normal) is None) == (normal != "" and is_unicode(normal))


SIDES = st.none() | st.integers(-2, 2) | st.just(2**63 - 1) | st.just(2**63) | st.just(1.0) | st.booleans()


@given(SIDES, SIDES)
def test_sides_are_whole_numbers_from_1_or_both_unknown(width: object, height: object) -> None:
    known = all(type(side) is int and 1 <= side < 2**63 for side in (width, height))

    assert (size_fault(width, height) is None) == (known or width is None is height)


@pytest.mark.parametrize(
    "extent", [None, "0+0", "512+9223372036854775807", "row 1 of image", "row 3 of a\nb"]
)
def test_an_extent_is_a_place_in_an_archive_or_a_table(extent: object) -> None:
    assert extent_fault(extent) is None


@pytest.mark.parametrize(
    "extent",
    [
        "",
        "1+",
        "+1",
        "-1+2",
        "1+2+3",
        "9223372036854775808+1",
        "row of x",
        "row 1 of ",
        "row 1 of x\ud800",
        3,
        b"1+2",
    ],
)
def test_anything_else_is_not_an_extent(extent: object) -> None:
    assert extent_fault(extent) is not None


@given(ATTRIBUTES)
def test_plain_json_values_and_lists_of_texts_are_attributes(attributes: dict[str, Attribute]) -> None:
    assert attributes_fault(attributes) is None
    assert stored_attributes_fault(json.dumps(attributes)) is None


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -math.inf,
        [1],
        ["a", None],
        [["a"]],
        {"a": 1},
        b"a",
        "\ud800",
        ["\udc80"],
        object(),
        1j,
        10**640,
        -(10**5000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused_with_the_name_of_the_attribute(value: object) -> None:
    fault = attributes_fault({"good": 1, "bad one": value})

    assert fault is not None
    assert "'bad one'" in fault


@pytest.mark.parametrize("name", [1, None, "half \ud800"])
def test_a_name_of_an_attribute_is_a_text(name: object) -> None:
    assert attributes_fault({name: 1}) is not None  # type: ignore[dict-item]  # what the test is about


@given(ANY_TEXT | NOT_TEXT)
def test_stored_attributes_are_a_json_object_or_a_fault(value: object) -> None:
    fault = stored_attributes_fault(value)

    assert fault is None or "attribute" in fault


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000])
def test_attributes_that_no_parser_takes_are_a_fault_and_no_crash(deep: str) -> None:
    assert stored_attributes_fault(deep) == "the attributes are not JSON"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, None),
        ({"uri": ""}, "uri"),
        ({"key": ""}, "key"),
        ({"lang": "\ud800"}, "lang"),
        ({"stamp": "\ud800"}, "stamp"),
        ({"extent": "somewhere"}, "extent"),
        ({"attributes": "[]"}, "JSON object"),
        ({"attributes": "{"}, "not JSON"),
        ({"width": 3}, "width and height"),
        ({"kind": "text", "text": None}, "text"),
        ({"kind": "text", "text": " a"}, "not normalised"),
        ({"kind": "text", "text": "a", "width": -1}, None),
    ],
)
def test_a_row_breaks_the_rule_that_is_named(change: dict[str, object], fault: str | None) -> None:
    found = stored_item_fault(replace(Row(), **change))  # type: ignore[arg-type]  # wrong values are meant

    assert (found is None) == (fault is None)
    assert fault is None or fault in str(found)


@pytest.mark.parametrize(
    "number", [10**640, -(10**640), 10**5000], ids=["640 zeros", "negative", "5000 zeros"]
)
def test_a_number_that_not_every_python_reads_is_refused_before_it_costs_a_commit(
    number: int, tmp_path: Path
) -> None:
    with indexer.open_writer(tmp_path / "collection", model=HashEncoder()) as writer:
        writer.add("a", "words", attributes={"n": 10**640 - 1})
        with pytest.raises(UsageError, match="more than 640 digits"):
            writer.add("b", "words", attributes={"n": number})

    with Collection.open(tmp_path / "collection") as opened:
        assert [item.attributes for item in opened.items(range(9))] == [{"n": 10**640 - 1}]
