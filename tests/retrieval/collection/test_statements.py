"""The statements of the read side, which are SQL, go with the schema that SQLAlchemy and the migrations know."""

from __future__ import annotations

import importlib
import pkgutil
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Table

import indexer
import retrieval.collection
from retrieval.collection import Collection, fulltext, schema
from retrieval.collection.migrations import MIGRATIONS, objects_of, statements_of
from retrieval.collection.statement import Select, SelectIds
from retrieval.collection.stored import _by_digest
from tests.builders import collection_of, unit_rows
from tests.postgres_server import new_place


def statements() -> Iterator[tuple[str, str, int]]:
    """Every statement of the read side: module, SQL, and number of columns of its rows."""
    package = retrieval.collection
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            for one in value.values() if isinstance(value, dict) else [value]:
                if isinstance(one, (Select, SelectIds)):
                    yield module.name, one.sql, one.width
    yield "retrieval.collection.stored", _by_digest(3).sql, 2


STATEMENTS = sorted(set(statements()))


@pytest.fixture
def catalogue() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    for script in MIGRATIONS:
        connection.executescript(script)
    connection.execute(fulltext.CREATE)
    yield connection
    connection.close()


def test_the_statements_are_those_of_views_and_of_opening() -> None:
    assert len(STATEMENTS) >= 25
    assert any("FROM segments WHERE" in sql for _, sql, _ in STATEMENTS)


@pytest.mark.parametrize(("module", "sql", "width"), STATEMENTS)
def test_a_statement_asks_the_newest_schema_for_columns_that_it_has(
    catalogue: sqlite3.Connection, module: str, sql: str, width: int
) -> None:
    numbered = [int(number) for number in re.findall(r"\?([0-9])", sql)]
    markers = max(numbered) if numbered else sql.count("?")
    if sql.startswith("PRAGMA"):
        (row,) = catalogue.execute(sql)
        assert len(row) == width
        return

    found = catalogue.execute(f"SELECT * FROM ({sql})", [1] * markers)

    assert len(found.description) == width


@pytest.mark.parametrize("table", schema.metadata.sorted_tables, ids=lambda table: table.name)
def test_the_tables_of_the_write_side_are_those_of_the_migrations(
    catalogue: sqlite3.Connection, table: Table
) -> None:
    found = [row[1] for row in catalogue.execute(f"PRAGMA table_info({table.name})")]

    assert found == list(table.c.keys())


def test_no_table_of_the_migrations_is_unknown_to_the_write_side() -> None:
    made = {name for kind, name, _, _ in objects_of(len(MIGRATIONS)) if kind == "table"}

    assert {name for name in made if not name.startswith("sqlite_")} == set(schema.metadata.tables)


def test_a_semicolon_inside_a_trigger_does_not_end_a_statement_of_a_migration() -> None:
    script = (
        "CREATE TABLE a (x);\nCREATE TRIGGER t AFTER INSERT ON a BEGIN\n  DELETE FROM a;\n  SELECT 1;\nEND;\n"
    )

    table, trigger = statements_of(script)

    assert table == "CREATE TABLE a (x)"
    assert trigger.endswith("END")


OF_SQLITE_ALONE = (
    "FROM words",
    "sqlite_master",
    "attribute_",
    "accelerators",
    "regions",
    "segments",
    "PRAGMA page",
)
"""What statements for files, full text and conditions on fields name: none is sent to a server."""


def test_every_statement_that_a_server_is_sent_is_one_that_it_understands() -> None:
    place = new_place()
    sent = [sql for _, sql, _ in STATEMENTS if not any(name in sql for name in OF_SQLITE_ALONE)]
    with tempfile.TemporaryDirectory() as folder:
        indexer.copy_collection(collection_of(Path(folder) / "c", (["a"], unit_rows(1))), place)
    with Collection.open(place) as opened, opened.reading() as view:
        for sql in sent:
            parameters = [
                "[]" if "json_each" in part else None for part in re.findall(r"json_each\(\?\)|\?1|\?", sql)
            ]
            view.connection.execute(sql, parameters).fetchall()

    assert len(sent) >= 40
