"""SQLAlchemy's engine over a catalogue, for the write side and its look-ups; reading alone needs no SQLAlchemy.

By default SQLAlchemy gives neither a snapshot across two SELECTs nor transactional DDL on SQLite. Here the driver
begins no transaction and every one begins explicitly: BEGIN for readers, BEGIN IMMEDIATE for the writer.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Literal
from weakref import finalize

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import QueuePool
from sqlalchemy.util import LRUCache

from retrieval.collection.catalogue import damaged, find_catalogue, open_catalogue, read_state, unreadable

DATABASE_ERRORS = (DatabaseError, sqlite3.Error)
"""What reading and writing through SQLAlchemy raises: its own errors of the driver's, and wrong values as they are."""

_COMPILED = LRUCache[object, object](1000)
"""Statements that were compiled, for all catalogues: compiling them anew took a third of opening a writer."""


def connect(collection: Path, mode: Literal["read", "write"], is_durable: bool = True) -> Engine:
    """Make an engine over a collection's catalogue; dispose of it when done.

    Args:
        collection: its folder.
        mode: what it is opened for.
        is_durable: whether what is committed survives a power cut.

    Raises:
        CollectionNotFound, CollectionDamaged, CollectionError: as
            :func:`~retrieval.collection.catalogue.find_catalogue`.
    """
    file = replace(find_catalogue(collection, mode), is_durable=is_durable)
    begin = "BEGIN IMMEDIATE" if file.is_written else "BEGIN"
    of_none = _engine_of_no_catalogue()

    def open_file() -> Any:
        return open_catalogue(file)

    pool = QueuePool(
        open_file,
        pool_size=1 if file.is_written else 4,
        max_overflow=0 if file.is_written else -1,
        dialect=of_none.dialect,
    )
    engine = Engine(pool, of_none.dialect, of_none.url, execution_options={"compiled_cache": _COMPILED})

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("begin", begin))

    if file.is_copy:
        remove = finalize(engine, file.remove_copy)
        event.listen(engine, "engine_disposed", lambda _: remove())
    return engine


@cache
def _engine_of_no_catalogue() -> Engine:
    """An engine whose dialect all others share, and so what was compiled for it, once it has asked the driver."""
    engine = create_engine("sqlite://")
    engine.connect().close()
    engine.dispose()
    return engine


@contextmanager
def read_transaction(collection: Path) -> Iterator[Connection]:
    """Begin a read transaction on a collection; errors of SQLite and the system become ours.

    Raises:
        CollectionNotFound, CollectionTooNew, CollectionDamaged: as :func:`connect` and :func:`check_readable`.
        CollectionError: a file cannot be read.
    """
    engine = connect(collection, "read")
    try:
        with engine.connect() as connection, connection.begin():
            check_readable(connection, collection)
            yield connection
    except DATABASE_ERRORS as error:
        raise damaged(collection, error) from error
    except OSError as error:
        raise unreadable(collection, error) from error
    finally:
        engine.dispose()


def check_readable(connection: Connection, collection: Path) -> None:
    """Refuse a file without tables, and a catalogue that a newer program wrote.

    Raises:
        CollectionNotFound: the file holds no tables yet.
        CollectionTooNew: its schema is newer than this program's.
        CollectionDamaged: SQLite cannot read it, or it does not say which generation it holds.
    """
    try:
        read_state(driver_connection(connection), collection)
    except sqlite3.Error as error:
        raise damaged(collection, error) from error


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection under one of SQLAlchemy's, inside the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver
