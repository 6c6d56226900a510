"""A collection loaded into a PostgreSQL server: all of it in one transaction, which checks before it commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from indexer.exchange.tables import TABLES, Tallied, check_equal
from retrieval.collection.postgres.server_connection import ServerConnection, connect, server_fault
from retrieval.collection.postgres.server_schema import (
    LARGEST_DIMENSION,
    MIGRATIONS,
    VECTORS,
    vector_tables,
)
from retrieval.collection.postgres.server_schema import TABLES as SERVER_TABLES
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.errors import CollectionError, CollectionLocked, UsageError
from retrieval.identity import Identity
from retrieval.places import ServerAddress
from retrieval.shell import shell_command
from retrieval.types import KINDS, Kind

_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"


def load_server(
    source: Tallied, address: ServerAddress, generation: int, identity: Identity, replace: bool
) -> None:
    """Load a collection; see :func:`indexer.exchange.copying.copy_collection`.

    The tables are made in a schema of their own, which nobody else sees before the commit, and take the name at its
    end: readers of a collection that is replaced wait for that moment alone.
    """
    if identity.dimension > LARGEST_DIMENSION:
        raise CollectionError(
            f"vectors of {identity.dimension:,} dimensions cannot lie on a server, whose limit is {LARGEST_DIMENSION:,}"
        )
    with _transaction(address) as connection:
        is_there = _take(connection, address, replace)
        building = _make_tables(connection, address, identity.dimension)
        _fill(connection, source, generation, identity.dimension)
        stores = {kind: ServerStore(connection, kind, identity.dimension) for kind in KINDS}

        def vectors(kind: Kind, ids: Sequence[int]) -> NDArray[np.float32]:
            return stores[kind].vectors(np.asarray(ids, np.int64))

        check_equal(source.tallies, Tallied(connection, source.encoder_id, vectors, address).read_all())
        _put_in_place(connection, address, building, is_there)


@contextmanager
def _transaction(address: ServerAddress) -> Iterator[ServerConnection]:
    """Begin a transaction, which is committed at the block's end, or has not happened."""
    connection = connect(address, timeout_s=0)
    try:
        connection.driver.execute("BEGIN")
        yield connection
        connection.driver.execute("COMMIT")
    except psycopg.Error as error:
        raise server_fault(address, error) from error
    finally:
        with suppress(psycopg.Error):
            connection.close()


def _take(connection: ServerConnection, address: ServerAddress, replace: bool) -> bool:
    """Take the lock of the one writer of a name, until the transaction's end; tell whether a collection is there.

    Raises:
        CollectionLocked: another process has it.
        UsageError: something is there, and is not to be replaced, or is not a collection.
    """
    lock = "SELECT pg_try_advisory_xact_lock(hashtextextended('vlsearch ' || %s, 0))"
    if not connection.send(lock, [address.schema]).fetchall()[0][0]:
        raise CollectionLocked(address)
    found = connection.send(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'migrations') "
        "FROM pg_namespace WHERE nspname = %s",
        [address.schema],
    ).fetchall()
    if not found:
        return False
    if not found[0][0]:
        raise UsageError(
            f"the database of {address} has a schema of that name that is not a collection; choose another name"
        )
    if not replace:
        again = shell_command("copy", "--replace", "FROM", address)
        raise UsageError(f"there is a collection {address} already; to put this one in its place: {again}")
    return True


def _make_tables(connection: ServerConnection, address: ServerAddress, dimension: int) -> sql.Identifier:
    """Make empty tables in a schema that is no collection's name, and have statements mean them."""
    building = sql.Identifier(f"vlsearch ~ {address.schema}")
    driver = connection.driver
    driver.execute(sql.SQL("CREATE SCHEMA {}").format(building))
    driver.execute(sql.SQL("SET LOCAL search_path = {}, pg_catalog").format(building))
    for number, script in enumerate(MIGRATIONS, start=1):
        driver.execute(script.encode())
        driver.execute("INSERT INTO migrations (number) VALUES (%s)", [number])
    driver.execute(vector_tables(dimension, connection.extension).encode())
    driver.execute(sql.SQL("SET LOCAL search_path = pg_catalog, {}").format(building))
    return building


def _fill(connection: ServerConnection, source: Tallied, generation: int, dimension: int) -> None:
    connection.driver.execute(
        "INSERT INTO settings (name, value) VALUES ('generation', %s)", [str(generation)]
    )
    for table in TABLES:
        _copy_rows(connection, table.name, table.columns, source.rows(table))
    for kind in KINDS:
        copy_vectors(connection, VECTORS[kind], source.vectors(kind), dimension)
    _copy_rows(connection, "last_ids", ("name", "number"), iter([source.last_ids()]))
    for name in SERVER_TABLES:
        connection.driver.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))


def _copy_rows(
    connection: ServerConnection,
    table: str,
    columns: Sequence[str],
    pages: Iterator[Sequence[tuple[Any, ...]]],
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.driver.cursor() as cursor, cursor.copy(statement) as copy:
        for page in pages:
            for row in page:
                try:
                    copy.write_row(row)
                except (psycopg.DataError, UnicodeError) as error:
                    raise CollectionError(
                        f"row {row[0]!a} of {table} holds a text with a character that PostgreSQL cannot hold (NUL, or "
                        "half of a pair); nothing was copied"
                    ) from error


def copy_vectors(
    connection: ServerConnection,
    table: str,
    pages: Iterator[tuple[Sequence[tuple[int, int]], NDArray[np.float32]]],
    dimension: int,
) -> None:
    """Copy vectors in PostgreSQL's binary form, row for row: two values, each behind its size in bytes."""
    form = np.dtype(
        [
            ("values", ">i2"),
            ("id_bytes", ">i4"),
            ("id", ">i8"),
            ("vector_bytes", ">i4"),
            ("dimension", ">i2"),
            ("unused", ">i2"),
            ("vector", ">f4", (dimension,)),
        ]
    )
    statement = sql.SQL("COPY {} (encoding_id, vector) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table)
    )
    with connection.driver.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_COPY_HEAD)
        for page, vectors in pages:
            rows = np.zeros(len(page), form)
            rows["values"], rows["id_bytes"], rows["vector_bytes"] = 2, 8, 4 + 4 * dimension
            rows["id"], rows["dimension"], rows["vector"] = [row[0] for row in page], dimension, vectors
            copy.write(rows.tobytes())
        copy.write(_COPY_END)


def _put_in_place(
    connection: ServerConnection, address: ServerAddress, building: sql.Identifier, is_there: bool
) -> None:
    """Give the tables the collection's name, in the place of those that have it; readers take the same lock first."""
    name, driver = sql.Identifier(address.schema), connection.driver
    if is_there:
        driver.execute(sql.SQL("LOCK TABLE {}.settings IN ACCESS EXCLUSIVE MODE").format(name))
        driver.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    driver.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(building, name))
