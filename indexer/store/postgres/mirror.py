"""A copy of the catalogue of a collection on a server, in a temporary folder, that notes which rows change.

The rules of what a change does are statements on a folder's catalogue (:mod:`indexer.store.rows` and others). Here
they run on such a catalogue, which has the server's rows and no vector; triggers note the keys of the rows that they
change. Values of attributes and words are not copied: they are derived from the rows, and no change looks at them. So
there is no full text here, which would be kept in vain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from psycopg import sql

from retrieval.collection import schema
from retrieval.collection.image_texts import READS_TEXT
from retrieval.collection.kept_duplicates import KEPT
from retrieval.collection.known_corpora import CORPUS, OBJECTS
from retrieval.collection.left_out import LEFT_OUT
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import CATALOGUE_TABLES
from retrieval.collection.shard_note import SHARD
from retrieval.collection.stores.held_vectors import name_segments
from retrieval.errors import CollectionDamaged
from retrieval.places import ServerAddress

_OF_FILES = ("segment_id", "row")  # where an encoding's vector lies in a folder
_PAGE_ROWS = 5000
_SETTINGS = (
    *(f"substr(name, 1, {len(prefix)}) = '{prefix}'" for prefix in (LEFT_OUT, CORPUS, OBJECTS, KEPT)),
)
_SHARED = {
    "settings": f"(name IN ('generation', 'active_encoder', '{READS_TEXT}', '{SHARD}') OR {' OR '.join(_SETTINGS)})"
}
"""Which rows a server has: no settings of a folder's own (its files, its place)."""

NUMBERED = ("encoders", "sources", "contents", "encodings", "items", "failures", "albums")
"""Tables whose ids are never used again."""


class MirrorTable(NamedTuple):
    """A table that is on the server and in the mirror.

    Attributes:
        name: of both.
        columns: that both have.
        keys: the columns of its primary key.
        shared: the condition of the rows that belong on the server.
    """

    name: str
    columns: tuple[str, ...]
    keys: tuple[str, ...]
    shared: str

    @property
    def note(self) -> str:
        """The temporary table of the keys of rows that have changed."""
        return f"changed_{self.name}"


def _table(name: str) -> MirrorTable:
    table = schema.metadata.tables[name]
    columns = tuple(column.name for column in table.columns if column.name not in _OF_FILES)
    return MirrorTable(
        name, columns, tuple(column.name for column in table.primary_key), _SHARED.get(name, "1 = 1")
    )


TABLES = tuple(map(_table, CATALOGUE_TABLES))
"""In an order in which each refers to those before it."""


def load(mirror: sqlite3.Connection, server: ServerConnection, address: ServerAddress) -> None:
    """Fill an empty catalogue with a server's rows, each side in a transaction.

    Raises:
        CollectionDamaged: the rows break a rule of the catalogue: a uri is there twice, a row is missing.
        psycopg.Error: the server fails.
    """
    mirror.execute("PRAGMA defer_foreign_keys = ON")
    mirror.execute("DELETE FROM settings")
    mirror.execute("DROP TABLE words")
    indexes = _drop_indexes(mirror)
    for table in TABLES:
        names = [*table.columns, *(_OF_FILES if table.name == "encodings" else ())]
        values = ["?"] * len(table.columns) + ["0"] * (len(names) - len(table.columns))
        insert = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join(values)})"
        try:
            for page in _pages(server, table):
                mirror.executemany(insert, page)
        except (sqlite3.Error, OverflowError) as error:
            raise CollectionDamaged(address, f"its table {table.name} breaks a rule: {error}") from error
    for name, number in server.send("SELECT name, number FROM last_ids").fetchall():
        mirror.execute("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        mirror.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number))
    try:
        name_segments(mirror)
    except sqlite3.Error as error:
        raise CollectionDamaged(address, f"its encodings break a rule: {error}") from error
    for statement in indexes:
        mirror.execute(statement)
    if broken := mirror.execute("PRAGMA foreign_key_check").fetchone():
        raise CollectionDamaged(
            address, f"a row of {broken[0]} refers to a row of {broken[2]} that is not there"
        )


def _drop_indexes(mirror: sqlite3.Connection) -> list[str]:
    """Drop the indexes of an empty catalogue; give the statements that make them, which is faster of all rows at once.

    Those that hold a rule (no uri twice) stay: they are part of their tables, and have no statement.
    """
    names = ", ".join(f"'{table.name}'" for table in TABLES)
    found = mirror.execute(
        f"SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN ({names})"
    ).fetchall()
    for name, _ in found:
        mirror.execute(f'DROP INDEX "{name}"')
    return [statement for _, statement in found]


def _pages(server: ServerConnection, table: MirrorTable) -> Iterator[list[tuple[Any, ...]]]:
    """Read the rows of a table, so many at a time."""
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    with server.driver.cursor(name="rows", binary=True) as cursor:
        cursor.execute(sql.SQL("SELECT {} FROM {}").format(columns, sql.Identifier(table.name)))
        while page := cursor.fetchmany(_PAGE_ROWS):
            yield page


def note_changes(mirror: sqlite3.Connection) -> None:
    """Have this connection note the keys of rows that it adds, changes or deletes from now on.

    Tables and triggers are temporary, so that the catalogue is like any other; they end with the connection.
    """
    # else a row that "OR REPLACE" deletes to make room fires no trigger; no trigger here can fire another
    mirror.execute("PRAGMA recursive_triggers = ON")
    mirror.execute("CREATE TEMP TABLE sent (times INTEGER NOT NULL)")
    mirror.execute("INSERT INTO sent (times) VALUES (0)")
    for table in TABLES:
        keys = ", ".join(table.keys)
        mirror.execute(f"CREATE TEMP TABLE {table.note} ({keys}, PRIMARY KEY ({keys})) WITHOUT ROWID")
        for event, rows in (
            ("INSERT", ("new",)),
            (f"UPDATE OF {', '.join(table.columns)}", ("old", "new")),
            ("DELETE", ("old",)),
        ):
            notes = " ".join(_note(table, row) for row in rows)
            name = f"{table.note}_{event.split()[0].lower()}"
            mirror.execute(f"CREATE TEMP TRIGGER {name} AFTER {event} ON main.{table.name} BEGIN {notes} END")


def _note(table: MirrorTable, row: str) -> str:
    """Write the statement that notes a key.

    ``INSERT OR IGNORE`` would not do: in a trigger, SQLite takes the conflict clause of the statement that fires it.
    """
    values = ", ".join(f"{row}.{key}" for key in table.keys)
    same = " AND ".join(f"{key} = {row}.{key}" for key in table.keys)
    return f"INSERT INTO {table.note} SELECT {values} WHERE NOT EXISTS (SELECT 1 FROM {table.note} WHERE {same});"


def changed_rows(mirror: sqlite3.Connection, table: MirrorTable) -> Iterator[list[tuple[Any, ...]]]:
    """Read the rows of a table that were added or changed, so many at a time."""
    columns = ", ".join(f"{table.name}.{column}" for column in table.columns)
    cursor = mirror.execute(
        f"SELECT {columns} FROM {table.note} JOIN {table.name} USING ({', '.join(table.keys)}) WHERE {table.shared}"
    )
    while page := cursor.fetchmany(_PAGE_ROWS):
        yield page


def changed_keys(mirror: sqlite3.Connection, table: MirrorTable, gone: bool) -> list[tuple[Any, ...]]:
    """Read the keys of the rows that have changed; with ``gone``, of those that are no longer there."""
    keys = ", ".join(table.keys)
    same = " AND ".join(f"{table.name}.{key} = {table.note}.{key}" for key in table.keys)
    condition = f" WHERE NOT EXISTS (SELECT 1 FROM {table.name} WHERE {same})" if gone else ""
    return mirror.execute(f"SELECT {keys} FROM {table.note}{condition}").fetchall()


def forget_changes(mirror: sqlite3.Connection) -> None:
    """Forget which rows have changed."""
    for table in TABLES:
        mirror.execute(f"DELETE FROM {table.note}")
