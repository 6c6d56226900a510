"""Many rows and vectors for a server, by COPY, and the tables that they go to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.postgres.server_schema import LARGEST_DIMENSION, MIGRATIONS, vector_tables
from retrieval.errors import CollectionError

_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"


def make_schema(connection: ServerConnection, schema: sql.Identifier, dimension: int) -> None:
    """Make a schema with empty tables of a collection, in a transaction, for vectors of so many dimensions."""
    driver = connection.driver
    driver.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    driver.execute(sql.SQL("SET LOCAL search_path = {}, pg_catalog").format(schema))
    _migrate(connection, 0)
    driver.execute(vector_tables(dimension, connection.extension).encode())
    driver.execute(sql.SQL("SET LOCAL search_path = pg_catalog, {}").format(schema))


def migrate_schema(connection: ServerConnection, schema: sql.Identifier, number: int) -> None:
    """Bring the tables of a collection, which have the schema of a number, up to date, in a transaction."""
    driver = connection.driver
    driver.execute(sql.SQL("SET LOCAL search_path = {}, pg_catalog").format(schema))
    _migrate(connection, number)
    driver.execute(sql.SQL("SET LOCAL search_path = pg_catalog, {}").format(schema))


def _migrate(connection: ServerConnection, since: int) -> None:
    for number, script in enumerate(MIGRATIONS[since:], start=since + 1):
        connection.driver.execute(script.encode())
        connection.driver.execute("INSERT INTO migrations (number) VALUES (%s)", [number])


def check_dimension(dimension: int) -> None:
    """Refuse vectors that are longer than pgvector's.

    Raises:
        CollectionError: they are.
    """
    if dimension > LARGEST_DIMENSION:
        raise CollectionError(
            f"vectors of {dimension:,} dimensions cannot lie on a server, whose limit is {LARGEST_DIMENSION:,}"
        )


def copy_rows(
    connection: ServerConnection,
    table: sql.Composable,
    columns: Sequence[str],
    pages: Iterable[Sequence[tuple[Any, ...]]],
    name: str,
) -> None:
    """Copy rows into a table.

    Args:
        connection: in a transaction.
        table: that they go to.
        columns: of the rows.
        pages: rows, so many at a time.
        name: of the table that they belong to, for errors.

    Raises:
        CollectionError: a text has a character that PostgreSQL cannot hold.
    """
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        table, sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.driver.cursor() as cursor, cursor.copy(statement) as copy:
        for page in pages:
            for row in page:
                try:
                    copy.write_row(row)
                except (psycopg.DataError, UnicodeError) as error:
                    raise CollectionError(
                        f"row {row[0]!a} of {name} holds a text with a character that PostgreSQL cannot hold (NUL, or "
                        "half of a pair); nothing of this change was kept"
                    ) from error


def copy_vectors(
    connection: ServerConnection,
    table: str,
    pages: Iterable[tuple[Sequence[tuple[int, int]], NDArray[np.float32]]],
    dimension: int,
) -> None:
    """Copy vectors in PostgreSQL's binary form, row for row: two values, each behind its size in bytes.

    Args:
        connection: in a transaction.
        table: that they go to.
        pages: encoding ids, first in each tuple, and their vectors, so many at a time.
        dimension: of the vectors.
    """
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
