"""Values out of records of strangers: each becomes a caption, an attribute or a reason, and none an exception."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.corpora.values import (
    NESTING_LIMIT,
    attributes_of,
    id_of,
    kind_of,
    parse_object,
    parse_value,
    text_at,
    texts_in,
)
from retrieval.texts import is_unicode
from retrieval.types import CorpusText, Failure

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)
INT64 = 2**63


@given(JSON)
def test_any_json_is_parsed_to_what_was_written(value: object) -> None:
    assert parse_value(json.dumps(value)) == value


@given(st.dictionaries(ANY_TEXT, JSON, max_size=3))
def test_an_object_is_parsed_from_text_and_from_utf_8(value: dict[str, object]) -> None:
    text = json.dumps(value)

    assert parse_object(text, "x:1") == value
    assert parse_object(text.encode(), "x:1") == value


@given(st.binary(max_size=30) | st.text(max_size=30) | st.text('[]{}",:\\ntrue01.', max_size=30))
def test_any_bytes_and_any_text_are_a_value_or_a_reason_in_one_clause(raw: str | bytes) -> None:
    found = parse_object(raw, "x:1")

    if isinstance(found, Failure):
        assert found.uri == "x:1"
        assert found.reason
        assert "\n" not in found.reason
        assert not found.reason.endswith(".")


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_a_value_may_be_nested_as_deep_as_the_limit_and_no_deeper(opened: str, closed: str) -> None:
    def nested(levels: int) -> object:
        return parse_value(opened * levels + "1" + closed * levels)

    assert not isinstance(nested(NESTING_LIMIT), Failure)
    too_deep = nested(NESTING_LIMIT + 1)
    assert isinstance(too_deep, Failure)
    assert "nested too deeply" in too_deep.reason


def test_brackets_inside_a_text_are_no_levels() -> None:
    value = ["[" * 500 + '"' + "{" * 500, "\\"]

    assert parse_value(json.dumps(value)) == value


@pytest.mark.parametrize("unit", ['\\"', '"', "\\", '"a'])
def test_a_long_text_that_never_ends_is_looked_at_once(unit: str) -> None:
    found = parse_value(
        "[" * (NESTING_LIMIT + 1) + unit * (2**20 // len(unit))
    )  # a square would take an hour

    assert isinstance(found, Failure)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_what_json_does_not_have_becomes_null(constant: str) -> None:
    assert parse_object(f'{{"a": {constant}}}', "x:1") == {"a": None}


def test_an_integer_of_very_many_digits_is_a_reason() -> None:
    found = parse_value("1" * 10_000)

    assert isinstance(found, Failure)
    assert "is not JSON" in found.reason


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        (True, "a boolean"),
        (1, "a number"),
        (0.5, "a number"),
        ("", "a text"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
def test_json_types_have_their_names(value: object, kind: str) -> None:
    assert kind_of(value) == kind
    if not isinstance(value, dict):
        failure = parse_object(json.dumps(value), "x:1")
        assert isinstance(failure, Failure)
        assert kind in failure.reason


@given(ANY_TEXT)
def test_a_caption_is_taken_as_it_stands_or_a_reason_is_given_unless_it_is_blank(text: str) -> None:
    found = list(text_at(text, "x:1", "en"))

    if not is_unicode(text):
        assert [type(one) for one in found] == [Failure]
    elif text.strip():
        assert found == [CorpusText("x:1", text, lang="en")]
    else:
        assert found == []


@given(st.lists(st.none() | ANY_TEXT | st.integers(), max_size=5))
def test_captions_of_a_list_are_named_by_their_place_in_it(values: list[Any]) -> None:
    found = list(texts_in(values, "x:1", "en us", None))

    places = [
        n for n, value in enumerate(values) if isinstance(value, int) or (value and not value.isspace())
    ]
    assert [one.uri for one in found] == [f"x:1/en%20us/{n}" for n in places]
    assert list(texts_in("words", "x:1", "c", None)) == list(texts_in(["words"], "x:1", "c", None))


@pytest.mark.parametrize("length", [2**16, 2**16 + 1])
def test_a_caption_has_a_longest_length(length: int) -> None:
    (found,) = text_at("x" * length, "x:1", None)

    assert isinstance(found, Failure) == (length > 2**16)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(max_size=3)
RECORDS = st.dictionaries(ANY_TEXT, SCALARS | st.lists(SCALARS, max_size=3) | JSON, max_size=5)


@given(RECORDS)
def test_attributes_of_any_record_can_be_kept_as_json_and_are_read_back(record: dict[str, object]) -> None:
    kept = attributes_of(record, without=())

    assert json.loads(json.dumps(kept, allow_nan=False)) == kept
    for name, value in kept.items():
        assert name
        assert is_unicode(name)
        assert value is not None
        assert not isinstance(value, int) or isinstance(value, bool) or -INT64 <= value < INT64


@given(
    st.dictionaries(st.text("ab", min_size=1), st.booleans() | st.text("xy", min_size=1) | st.integers(-9, 9))
)
def test_plain_values_stay_as_they_are(record: dict[str, object]) -> None:
    assert attributes_of(record, without=()) == record
    assert attributes_of(record, without=record) == {}


@given(st.lists(st.text("xy"), max_size=3))
def test_a_list_of_texts_stays_a_list(tags: list[str]) -> None:
    assert attributes_of({"tags": tags}, ()) == {"tags": tags}
    assert attributes_of({"tags": tuple(tags)}, ()) == {"tags": tags}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (2**63, str(2**63)),
        (-(2**63), -(2**63)),
        (math.nan, None),
        (b"bytes", None),
        ("", None),
        (None, None),
        ([1, "a"], '[1, "a"]'),
        ({"a": 1}, '{"a": 1}'),
        ("half \ud800", "half ?"),
        ("http://me:secret@a.org/", "http://a.org/"),
        pytest.param(10**5000, None, id="very many digits"),
    ],
)
def test_a_value_becomes_the_attribute_that_the_documents_promise(value: object, kept: object) -> None:
    assert attributes_of({"a": value}, ()).get("a") == kept


@given(st.integers(-(10**30), 10**30))
def test_a_number_and_its_digits_are_one_id(number: int) -> None:
    assert id_of(number) == id_of(str(number)) == str(number)


@given(st.integers(-(2**53), 2**53))
def test_a_whole_float_is_the_id_of_its_integer(number: int) -> None:
    assert id_of(float(number)) == id_of(number)


@pytest.mark.parametrize("value", [None, True, 0.5, math.inf, "", "x" * 201, "\udc80", [1], {}, b"1"])
def test_what_is_not_an_id_is_none(value: object) -> None:
    assert id_of(value) is None
