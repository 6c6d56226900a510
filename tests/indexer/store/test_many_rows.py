"""Statements over many rows: none is lost between two chunks, and a value of a wrong type is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import Connection

from indexer.store.many_rows import SelectAmong, write_rows
from indexer.store.writer import Writer
from retrieval.collection.catalogue import IN_CHUNK
from retrieval.collection.stored_values import WrongValue


class Row(NamedTuple):
    """A corpus."""

    id: int
    uri: str


CORPORA = SelectAmong(Row, "SELECT id, uri FROM sources", "id")
INSERT = "INSERT INTO sources (id, uri, format) VALUES (?, ?, 'test')"


@pytest.fixture
def connection(collection: Path) -> Iterator[Connection]:
    with Writer(collection) as writer, writer.catalogue.without_generation() as connection:
        yield connection


def test_rows_are_found_among_more_values_than_a_statement_takes(connection: Connection) -> None:
    numbers = range(1, 2 * IN_CHUNK + 2)
    write_rows(connection, INSERT, ((number, f"test:{number}") for number in numbers))

    found = sorted(CORPORA.rows(connection, range(2, 3 * IN_CHUNK)))

    assert found == [(number, f"test:{number}") for number in numbers[1:]]
    assert list(CORPORA.rows(connection, [])) == []


def test_a_value_of_a_wrong_type_is_refused(connection: Connection) -> None:
    write_rows(connection, INSERT, [(1, b"test:1")])

    with pytest.raises(WrongValue, match="a value of type bytes where a text belongs"):
        list(CORPORA.rows(connection, [1]))
