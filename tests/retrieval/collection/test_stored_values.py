"""Values in a catalogue of strangers: what is not of its column's type is damage, whatever SQLite let in."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
from retrieval.collection import Collection
from retrieval.collection.layout import (
    is_accelerator_name,
    is_aside_name,
    is_ids_name,
    is_segment_name,
    is_temporary_name,
    is_vectors_name,
)
from retrieval.collection.left_out import read_left_out
from retrieval.collection.stored_values import WrongValue, count_of, number_of
from retrieval.errors import CollectionDamaged, VlsearchError
from tests.builders import collection_of, unit_rows


@given(st.integers(0, 2**63 - 1))
def test_a_number_that_a_setting_holds_as_text_is_read(number: int) -> None:
    assert number_of(str(number), "generation") == number


@given(st.text(max_size=22) | st.integers() | st.none() | st.binary(max_size=3) | st.floats())
def test_anything_else_is_damage_and_the_setting_is_named(value: object) -> None:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and int(value) < 2**63
        and len(value) < 20
    ):
        assert number_of(value, "generation") == int(value)
    else:
        with pytest.raises(WrongValue, match="generation"):
            number_of(value, "generation")


@given(st.integers() | st.none() | st.text(max_size=3) | st.floats(), st.integers(1, 100))
def test_a_count_lies_between_0_and_its_limit(value: object, limit: int) -> None:
    if isinstance(value, int) and 0 <= value < limit:
        assert count_of(value, "a count", limit) == value
    else:
        with pytest.raises(WrongValue, match="a count"):
            count_of(value, "a count", limit)


def test_a_wrong_value_is_told_as_what_sqlite_finds_is() -> None:
    assert issubclass(WrongValue, sqlite3.DatabaseError)


SEGMENT_NAMES = st.builds(
    lambda number, digits, suffix: f"{number}-{digits:016x}{suffix}",
    st.integers(0, 10**20 - 1),
    st.integers(0, 2**64 - 1),
    st.sampled_from([".faiss", ".ids.npy", ".accelerator"]),
)


@given(SEGMENT_NAMES)
def test_the_name_of_a_segment_s_file_is_of_one_kind_and_known_aside_and_while_it_is_written(
    name: str,
) -> None:
    kinds = [is_vectors_name(name), is_ids_name(name), is_accelerator_name(name)]

    assert kinds.count(True) == 1
    assert is_segment_name(name)
    assert is_temporary_name(f".new-{name}")
    assert is_aside_name(f".aside-{name}")
    assert not is_segment_name(f".new-{name}")
    assert not is_temporary_name(name)


@given(
    st.text(max_size=12)
    | st.builds(
        lambda name, extra: f"{extra}{name}", SEGMENT_NAMES, st.sampled_from(["../", "./", " ", "-", "x"])
    )
    | st.builds(lambda name, extra: name + extra, SEGMENT_NAMES, st.sampled_from(["\n", ".bak", "/", " "]))
)
def test_no_other_name_is_taken_for_one_that_may_be_removed(name: str) -> None:
    for prefix in ("", ".new-", ".aside-"):
        assert not is_segment_name(prefix + name)
        assert not is_temporary_name(prefix + name)
        assert not is_aside_name(prefix + name)


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return collection_of(tmp_path / "collection", (["a", "b"], unit_rows(2)))


def spoil(collection: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(collection / "catalogue.sqlite", isolation_level=None)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute(statement, values)
    connection.close()


SPOILT: list[tuple[str, Any]] = [
    ("UPDATE items SET uri = ? WHERE id = 1", b"\xff"),
    ("UPDATE items SET attributes = ? WHERE id = 1", 3),
    ("UPDATE items SET attributes = ? WHERE id = 1", "[]"),
    ("UPDATE items SET attributes = ? WHERE id = 1", "{"),
    ("UPDATE items SET key = ? WHERE id = 1", b"key"),
    ("UPDATE settings SET value = ? WHERE name = 'generation'", "-1"),
    ("UPDATE settings SET value = ? WHERE name = 'generation'", "two"),
    ("UPDATE settings SET value = ? WHERE name = 'active_encoder'", "77"),
    ("UPDATE encoders SET identity = ?", "{}"),
    ("UPDATE encoders SET identity = ?", "[" * 10_000),
    ("UPDATE segments SET rows = ?", -1),
    ("UPDATE segments SET vectors_size = ?", "large"),
    ("UPDATE segments SET vectors_name = ?", "../../etc/passwd"),
]


@pytest.mark.parametrize(
    ("statement", "value"), SPOILT, ids=[f"{s.split()[1]} {s.split()[3]} {str(v)[:8]!a}" for s, v in SPOILT]
)
def test_a_value_that_does_not_belong_is_an_error_of_ours_to_readers_and_a_finding_of_the_doctor(
    collection: Path, statement: str, value: object
) -> None:
    try:
        spoil(collection, statement, value)
    except sqlite3.OperationalError:
        pytest.fail(f"the schema has changed: {statement}")
    except sqlite3.IntegrityError:
        return  # the schema itself refuses it

    with pytest.raises(VlsearchError) as caught, Collection.open(collection) as opened:  # noqa: PT012 - wherever it shows
        opened.search(unit_rows(1), "image", 5)
        opened.info()

    assert isinstance(caught.value, CollectionDamaged)
    assert indexer.doctor(collection).faults


@pytest.mark.parametrize(
    ("value", "counted"),
    [
        ('{"video": 3}', {"video": 3}),
        ('{"video": -1, "RAW picture": 2}', {"RAW picture": 2}),
        ('{"video": 1.5, "a": "3", "b": true}', {}),
        ("[]", {}),
        ("{", {}),
        ("[" * 50_000, {}),
        ('{"a": ' + "9" * 30 + "}", {}),
    ],
)
def test_counts_of_what_was_left_out_are_read_as_far_as_they_are_counts(
    collection: Path, value: str, counted: dict[str, int]
) -> None:
    spoil(collection, "INSERT INTO settings (name, value) VALUES ('left_out:1', ?)", value)
    connection = sqlite3.connect(collection / "catalogue.sqlite")

    assert read_left_out(connection) == counted
    connection.close()
