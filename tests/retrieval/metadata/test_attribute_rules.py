"""Rules of attributes: whatever a stranger wrote becomes a value of the promised form, or nothing."""

from __future__ import annotations

import json
import math
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.store.item_rules import attributes_fault
from retrieval.metadata.attributes import MOST_CHARACTERS, MOST_KEYWORDS, RULES, checked, merged, tidied
from retrieval.metadata.file_names import taken_from_name
from retrieval.metadata.iptc import read_iptc

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=12)
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), ANY_TEXT, st.binary(max_size=4),
    st.lists(ANY_TEXT | st.integers(), max_size=4), st.dictionaries(ANY_TEXT, st.integers(), max_size=2),
    st.fractions(), st.just(object()), st.dates().map(str), st.datetimes().map(str),
)  # fmt: skip
NAMES = st.sampled_from(sorted(RULES))
RECORDS = st.dictionaries(NAMES | ANY_TEXT, ANYTHING, max_size=6)


@given(NAMES, ANYTHING)
def test_a_value_that_was_tidied_stays_as_it_is(name: str, value: object) -> None:
    tidy = RULES[name].tidy(value)

    if tidy is not None:
        assert RULES[name].tidy(tidy) == tidy


@given(RECORDS)
def test_attributes_of_any_record_can_be_stored_and_are_read_back(record: dict[str, Any]) -> None:
    found = tidied({name: value for name, value in record.items() if name in RULES})

    assert attributes_fault(found) is None
    assert checked(json.loads(json.dumps(found, allow_nan=False))) == found
    assert None not in found.values()


@given(RECORDS | ANYTHING)
def test_any_json_of_strangers_gives_known_attributes_alone(value: object) -> None:
    assert set(checked(value)) <= set(RULES)


@given(st.lists(RECORDS, max_size=3))
def test_what_comes_first_counts_more_and_lists_are_joined(records: list[dict[str, Any]]) -> None:
    sources = [checked(record) for record in records]

    found = merged(sources)

    for name in RULES:
        given_ = [source[name] for source in sources if name in source]
        if name in ("keywords", "people"):
            joined = dict.fromkeys(one for value in given_ if isinstance(value, list) for one in value)
            assert found.get(name) == (list(joined)[:MOST_KEYWORDS] or None)
        elif name not in ("lat", "lon", "altitude"):
            assert found.get(name) == (given_[0] if given_ else None)


@given(st.floats(allow_nan=True) | st.integers(-500, 500))
def test_a_place_lies_on_earth(degrees: float) -> None:
    for name, most in (("lat", 90), ("lon", 180)):
        found = RULES[name].tidy(degrees)
        assert (found is not None) == (math.isfinite(degrees) and -most <= degrees <= most)
        assert found is None or found == pytest.approx(degrees, abs=1e-7)


@given(st.datetimes(datetime(1801, 1, 1), datetime(2199, 1, 1)), st.none() | st.integers(-14, 14))
def test_a_time_is_kept_to_the_second_with_its_offset(time: datetime, hours: int | None) -> None:
    if hours is not None:
        time = time.replace(tzinfo=timezone(timedelta(hours=hours)))

    assert RULES["taken"].tidy(time.isoformat()) == time.isoformat(timespec="seconds")


@given(st.dates(date(1801, 1, 1), date(2199, 1, 1)))
def test_a_day_stays_a_day_however_it_is_spelt(day: date) -> None:
    year, week, weekday = day.isocalendar()

    assert RULES["taken"].tidy(day.isoformat()) == day.isoformat()
    for other in (f"{year}-W{week:02}-{weekday}", f"{day:%Y%m%d}"):
        assert RULES["taken"].tidy(other) == day.isoformat()
    assert RULES["taken"].tidy(f"{day:%Y%m%d}T000000") == f"{day.isoformat()}T00:00:00"


@pytest.mark.parametrize(
    "time", ["", "yesterday", "1799-12-31", "2201-01-01", "2021-13-01", "2021-02-30T00:00:00", 20210412]
)
def test_what_is_not_a_time_of_photography_is_left_out(time: object) -> None:
    assert RULES["taken"].tidy(time) is None


@given(ANY_TEXT)
def test_a_title_is_one_line_of_printable_characters(text: str) -> None:
    found = RULES["title"].tidy(text)

    assert found is None or (isinstance(found, str) and found.isprintable() and found == found.strip())


def test_texts_and_lists_have_a_longest_length() -> None:
    assert RULES["description"].tidy("x" * MOST_CHARACTERS) is not None
    assert RULES["description"].tidy("x" * (MOST_CHARACTERS + 1)) is None
    many = RULES["keywords"].tidy([f"word {number}" for number in range(5000)])
    assert isinstance(many, list)
    assert len(many) == MOST_KEYWORDS
    assert RULES["keywords"].tidy(["x" * 201, "y", "y"]) == ["y"]


@pytest.mark.parametrize(
    ("value", "kept"), [(5, 5), (-1, -1), ("3", 3), (6, None), (2.6, 3), ("many", None), (None, None)]
)
def test_a_rating_is_a_whole_number_of_stars(value: object, kept: int | None) -> None:
    assert RULES["rating"].tidy(value) == kept


# Names of files


@given(
    st.datetimes(datetime(1900, 1, 1), datetime(2099, 12, 31)),
    st.sampled_from(["IMG_{:%Y%m%d_%H%M%S}.jpg", "{:%Y-%m-%d %H.%M.%S}.png", "Screenshot {:%Y-%m-%d at %H.%M.%S}.png",
                     "VID-{:%Y%m%d-%H%M%S}.jpg", "signal-{:%Y-%m-%d-%H%M%S}.jpg", "{:%Y%m%dT%H%M%S}.jpg"]),
)  # fmt: skip
def test_a_time_in_the_name_of_a_file_is_found(time: datetime, name: str) -> None:
    assert taken_from_name(name.format(time)) == time.isoformat(timespec="seconds")


@given(
    st.dates(date(1900, 1, 1), date(2099, 12, 31)),
    st.sampled_from(["IMG-{:%Y%m%d}-WA0003.jpg", "{:%Y-%m-%d}.jpg", "a {:%Y.%m.%d} b.jpg"]),
)
def test_a_day_in_the_name_of_a_file_is_found(day: date, name: str) -> None:
    assert taken_from_name(name.format(day)) == day.isoformat()


@given(ANY_TEXT | st.text("0123456789-_. T", max_size=25))
def test_any_name_gives_a_time_or_none(name: str) -> None:
    found = taken_from_name(name)

    assert found is None or found[:2] in ("19", "20")


@pytest.mark.parametrize(
    "name", ["DSC_20211.jpg", "12345678901234.jpg", "a1920x1080.jpg", "20211304.jpg", "0a20210412.jpg"]
)
def test_a_number_in_a_name_is_no_time(name: str) -> None:
    assert taken_from_name(name) is None


# IPTC


@given(
    st.dictionaries(
        st.tuples(st.just(2), st.integers(0, 130)),
        st.binary(max_size=12) | st.lists(st.binary(max_size=8), max_size=3),
    )
)
def test_any_records_of_iptc_give_usable_attributes_or_none(
    records: dict[tuple[int, int], bytes | list[bytes]],
) -> None:
    assert set(tidied(read_iptc(records))) <= set(RULES)


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_words_of_iptc_are_read_in_either_encoding(encoding: str) -> None:
    records: dict[tuple[int, int], bytes | list[bytes]] = {
        (2, 5): "Höhe".encode(encoding),
        (2, 25): ["Käfer".encode(encoding), b"red"],
        (2, 55): b"20210412",
        (2, 60): b"153012+0200",
        (2, 90): b"Bern",
        (2, 120): b"two lines\nof text",
    }

    assert tidied(read_iptc(records)) == {
        "title": "Höhe",
        "keywords": ["Käfer", "red"],
        "taken": "2021-04-12T15:30:12+02:00",
        "city": "Bern",
        "description": "two lines\nof text",
    }
