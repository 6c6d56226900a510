"""What one transaction on the mirror has changed, sent to the server in one transaction there, before it counts here.

The server commits first. Where it does not, the mirror rolls back and both are as before; where the mirror cannot
commit afterwards, it has fallen behind, which the next one notices.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from psycopg import sql
from sqlalchemy import Connection

from indexer.store.postgres.bulk import check_dimension, copy_rows, copy_vectors
from indexer.store.postgres.derived import derive_items, derive_sources
from indexer.store.postgres.mirror import (
    NUMBERED,
    TABLES,
    MirrorTable,
    changed_keys,
    changed_rows,
    forget_changes,
)
from indexer.store.postgres.session import WriterSession
from indexer.store.postgres.token_rows import replace_tokens
from retrieval.collection.catalogue import read_generation
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import VECTORS, vector_tables
from retrieval.collection.stores.held_vectors import NewVectors
from retrieval.errors import CollectionError
from retrieval.types import Kind

_REPLACED = frozenset({"hidden", "albums"})
"""Tables that nothing refers to, whose changed rows go before they are sent, and are not looked for by their key.

A uri, the key of what is hidden, may be too long for a key on the server; and one album's name may be another's now."""


class Sender:
    """Sends the changes of a mirror; called with a transaction on it that is about to be committed.

    Args:
        session: of the collection's writer.
        mirror: in a transaction, filled with what is on the server.
        new_vectors: gives the vectors of the change under way.
    """

    def __init__(
        self,
        session: WriterSession,
        mirror: sqlite3.Connection,
        new_vectors: Callable[[], Sequence[NewVectors]],
    ) -> None:
        self._session, self._new_vectors = session, new_vectors
        self._generation, self._active = read_generation(mirror), active_encoder_id(mirror)
        self._last_ids = _last_ids(mirror)
        self._sent = 0

    def __call__(self, connection: Connection) -> None:
        """Send what the transaction has changed.

        Raises:
            CollectionError: the server fails, refuses, or cannot be reached; nothing was changed there, unless the
                connection broke in its COMMIT.
        """
        mirror = driver_connection(connection)
        self._check_in_step(mirror)
        active, generation = active_encoder_id(mirror), read_generation(mirror)
        last_ids = _last_ids(mirror)
        with self._session.transaction() as server:
            self._check_generation(server)
            if active is not None and active != self._active:
                self._activate(server, active, self._dimension(mirror, active))
            for table in TABLES:
                _write(server, table, mirror)
            self._write_vectors(server, mirror, active)
            for table in reversed(TABLES):
                gone = changed_keys(mirror, table, gone=True)
                if gone and table.name == "encodings":
                    for name in _vector_tables_there(server, self._session.address.schema):
                        _delete(server, MirrorTable(name, (), ("encoding_id",), ""), gone)
                _delete(server, table, gone)
            self._derive(server, mirror)
            _write_last_ids(server, dict(last_ids.items() - self._last_ids.items()))
            forget_changes(mirror)
            mirror.execute("UPDATE sent SET times = ?", (self._sent + 1,))
        self._sent += 1
        self._generation, self._active, self._last_ids = generation, active, last_ids

    def _derive(self, server: ServerConnection, mirror: sqlite3.Connection) -> None:
        """Bring what is derived of the rows, for conditions and words, up to date."""
        keys = {
            table.name: changed_keys(mirror, table, gone=False)
            for table in TABLES
            if table.name in ("items", "sources")
        }
        items = {number for (number,) in keys["items"]}
        derive_items(server, mirror, items)
        replace_tokens(server, mirror, items | set(_with_other_texts(mirror)))
        if keys["sources"]:
            derive_sources(server)

    def _check_in_step(self, mirror: sqlite3.Connection) -> None:
        try:
            (times,) = mirror.execute("SELECT times FROM temp.sent").fetchone()
        except sqlite3.Error:  # the connection to the mirror was made anew after an error
            times = None
        if times != self._sent:
            raise CollectionError(
                f"this writer's copy of the catalogue of {self._session.address} could not be written, and is behind "
                "it; what was committed is safe, free some space for temporary files and run this again"
            )

    def _check_generation(self, server: ServerConnection) -> None:
        found = server.send("SELECT value FROM settings WHERE name = 'generation' FOR UPDATE").fetchall()
        if found != [(str(self._generation),)]:
            raise CollectionError(
                f"collection {self._session.address} was changed by somebody else than its one writer, and nothing "
                "of this change was kept; run this again"
            )

    def _dimension(self, mirror: sqlite3.Connection, encoder_id: int) -> int:
        dimension = read_identity(mirror, self._session.address, encoder_id).dimension
        check_dimension(dimension)
        return dimension

    def _activate(self, server: ServerConnection, encoder_id: int, dimension: int) -> None:
        """Put the vectors of an encoder in the place of those before; readers take the same lock first."""
        server.driver.execute("LOCK TABLE settings IN ACCESS EXCLUSIVE MODE")
        prepared = set(_tables_of(encoder_id).values())
        there = _vector_tables_there(server, self._session.address.schema)
        for name in there - prepared:
            server.driver.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
        if not prepared <= there:
            self._make_vector_tables(server, VECTORS, dimension)
            return
        for kind, name in _tables_of(encoder_id).items():
            rename = sql.SQL("ALTER TABLE {} RENAME TO {}")
            server.driver.execute(rename.format(sql.Identifier(name), sql.Identifier(VECTORS[kind])))

    def _make_vector_tables(self, server: ServerConnection, names: dict[Kind, str], dimension: int) -> None:
        schema = sql.Identifier(self._session.address.schema)
        server.driver.execute(sql.SQL("SET LOCAL search_path = {}, pg_catalog").format(schema))
        server.driver.execute(vector_tables(dimension, server.extension, names).encode())
        server.driver.execute(sql.SQL("SET LOCAL search_path = pg_catalog, {}").format(schema))

    def _write_vectors(
        self, server: ServerConnection, mirror: sqlite3.Connection, active: int | None
    ) -> None:
        for new in self._new_vectors():
            found = mirror.execute(
                "SELECT encoder_id, kind FROM encodings JOIN contents ON contents.id = content_id "
                "WHERE encodings.id = ?",
                (int(new.ids[0]),),
            ).fetchone()
            assert found is not None, "vectors are sent with the rows of their encodings"
            encoder_id, kind = found
            dimension = self._dimension(mirror, encoder_id)
            tables = VECTORS if encoder_id == active else _tables_of(encoder_id)
            if tables[kind] not in _vector_tables_there(server, self._session.address.schema):
                self._make_vector_tables(server, tables, dimension)
            copy_vectors(
                server, tables[kind], [([(number, 0) for number in new.ids.tolist()], new.rows)], dimension
            )


def _with_other_texts(mirror: sqlite3.Connection) -> Iterator[int]:
    """Find the items whose contents have got or lost texts that are no captions."""
    for (number,) in mirror.execute(
        "SELECT id FROM items WHERE content_id IN (SELECT content_id FROM changed_image_texts)"
    ):
        yield number


def _tables_of(encoder_id: int) -> dict[Kind, str]:
    """Name the tables of vectors of an encoder that is not the active one."""
    return {kind: f"{name}_of_{encoder_id}" for kind, name in VECTORS.items()}


def _vector_tables_there(server: ServerConnection, schema: str) -> set[str]:
    rows = server.send(
        "SELECT relname::text FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace "
        "WHERE nspname = %s AND relkind = 'r' AND relname ~ '^(image|text)_vectors(_of_[0-9]+)?$'",
        [schema],
    ).fetchall()
    return {name for (name,) in rows}


def _write(server: ServerConnection, table: MirrorTable, mirror: sqlite3.Connection) -> None:
    """Add or change rows: copied to a table of this session's own, and from there to theirs in one statement."""
    pages = changed_rows(mirror, table)
    first = next(pages, None)
    if table.name in _REPLACED:
        _delete(server, table, changed_keys(mirror, table, gone=False))
    if first is None:
        return
    ours, sent = sql.Identifier(table.name), sql.Identifier("pg_temp", f"sent_{table.name}")
    execute = server.driver.execute
    execute(
        sql.SQL("CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(f"sent_{table.name}"), ours
        )
    )

    def all_pages() -> Any:
        yield first
        yield from pages

    copy_rows(server, sent, table.columns, all_pages(), table.name)
    columns = sql.SQL(", ").join(map(sql.Identifier, table.columns))
    statement = sql.SQL("INSERT INTO {} ({}) SELECT {} FROM {}").format(ours, columns, columns, sent)
    if table.name not in _REPLACED:
        statement += _on_conflict(table)
    execute(statement)


def _on_conflict(table: MirrorTable) -> sql.Composed:
    keys = sql.SQL(", ").join(map(sql.Identifier, table.keys))
    others = [sql.Identifier(column) for column in table.columns if column not in table.keys]
    if not others:
        return sql.SQL(" ON CONFLICT ({}) DO NOTHING").format(keys)
    values = sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(column) for column in others)
    return sql.SQL(" ON CONFLICT ({}) DO UPDATE SET {}").format(keys, values)


def _delete(server: ServerConnection, table: MirrorTable, keys: Sequence[tuple[Any, ...]]) -> None:
    if not keys:
        return
    lists = [list(values) for values in zip(*keys, strict=True)]
    arrays = ", ".join("%s::bigint[]" if type(values[0]) is int else "%s::text[]" for values in lists)
    names = ", ".join(table.keys)
    same = " AND ".join(f"{table.name}.{key} = gone.{key}" for key in table.keys)
    server.send(f"DELETE FROM {table.name} USING unnest({arrays}) AS gone ({names}) WHERE {same}", lists)


def _last_ids(mirror: sqlite3.Connection) -> dict[str, int]:
    rows = mirror.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    return {name: number for name, number in rows if name in NUMBERED}


def _write_last_ids(server: ServerConnection, numbers: dict[str, int]) -> None:
    for name, number in numbers.items():
        server.send(
            "INSERT INTO last_ids (name, number) VALUES (%s, %s) "
            "ON CONFLICT (name) DO UPDATE SET number = excluded.number",
            [name, number],
        )
