"""Connections to the catalogue, made by one function so that every transaction is what it says.

SQLAlchemy's default on SQLite gives neither a snapshot across two SELECTs nor transactional DDL, because the driver
begins transactions by itself and late. Here the driver's hands are off (``isolation_level=None``) and every
transaction begins explicitly: BEGIN for readers, BEGIN IMMEDIATE for the writer.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote
from weakref import finalize

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError, IntegrityError, NoResultFound
from sqlalchemy.pool import QueuePool

from retrieval.collection.layout import CATALOGUE, catalogue_path
from retrieval.collection.schema import SCHEMA_VERSION, schema_version, settings
from retrieval.errors import CollectionDamaged, CollectionError, CollectionNotFound, CollectionTooNew

BUSY_TIMEOUT_S = 60.0  # a reader waits this long for a checkpoint or a WAL recovery, never for a whole commit
SHARED_MEMORY_BYTES = 32_768
IN_CHUNK = 10_000  # values in one IN (...); SQLite's limit is 32,766 parameters a statement

T = TypeVar("T")


def connect(collection: Path, mode: Literal["read", "write"]) -> Engine:
    """An engine over a collection's catalogue; dispose of it when done.

    Read engines never write anything but SQLite's own ``-wal`` and ``-shm``; in a folder that cannot be written
    they read in place where that is safe, else from a private copy that goes away with the engine.
    """
    if mode == "write":
        return _engine(catalogue_path(collection), "rwc", "BEGIN IMMEDIATE")
    folder, query, copied = _readable(collection)
    engine = _engine(folder / CATALOGUE, query, "BEGIN")
    if copied:
        remove = finalize(engine, shutil.rmtree, folder, ignore_errors=True)
        event.listen(engine, "engine_disposed", lambda _: remove())
    return engine


def check_readable(connection: Connection, collection: Path) -> None:
    """Refuse a catalogue that is none, or that a newer program wrote.

    Raises:
        CollectionNotFound: the file holds no tables yet.
        CollectionTooNew: its schema is newer than this program's.
        CollectionDamaged: SQLite cannot read it, or it does not say which generation it holds.
    """
    try:
        version = schema_version(connection)
    except DatabaseError as error:
        raise damaged(collection, error) from error
    if version == 0:
        raise CollectionNotFound(collection)
    if version > SCHEMA_VERSION:
        raise CollectionTooNew(collection, version, SCHEMA_VERSION)
    try:
        read_generation(connection)
    except (NoResultFound, ValueError, TypeError) as error:
        raise CollectionDamaged(collection, "the catalogue does not say which generation it holds") from error


def damaged(collection: Path, error: DatabaseError) -> CollectionError:
    """What SQLite says of a file it cannot read, as an error of ours."""
    said = str(error.orig or error)
    if isinstance(error, IntegrityError):
        return CollectionError(
            f"collection {collection} refuses this change ({said}); nothing of it was kept"
        )
    if "malformed" in said or "not a database" in said:
        return CollectionDamaged(collection, f"SQLite cannot read {CATALOGUE} ({said})")
    if "full" in said or ("disk I/O" in said and _is_full(collection)):
        return CollectionError(
            f"the disk that holds collection {collection} is full ({said}); what was committed before is safe, "
            "free some space and run this again"
        )
    return CollectionError(f"collection {collection} cannot be read: {said}")


def _is_full(collection: Path) -> bool:
    """Whether there is no room for SQLite's shared memory file, without which it cannot even read."""
    try:
        return shutil.disk_usage(collection).free < SHARED_MEMORY_BYTES
    except OSError:
        return False


def read_generation(connection: Connection) -> int:
    """The number of the committed state that this transaction sees."""
    return int(
        connection.execute(select(settings.c.value).where(settings.c.name == "generation")).scalar_one()
    )


def chunked(values: Iterable[T], size: int = IN_CHUNK) -> Iterator[Sequence[T]]:
    """Values in lists short enough for one statement's parameters."""
    chunk: list[T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def is_inside(uri: ColumnElement[str], place: str, mark: str) -> ColumnElement[bool]:
    """Whether a uri lies inside a folder (mark ``/``) or an archive (mark ``#``).

    A range, not LIKE: LIKE takes ``Photos`` for ``photos``, and walks the whole table.
    """
    start = f"{place.rstrip('/')}{mark}"
    return (uri >= start) & (uri < start[:-1] + chr(ord(mark) + 1))


def _engine(path: Path, mode: str, begin: str) -> Engine:
    writes = begin == "BEGIN IMMEDIATE"

    def driver_connection() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # the pool hands a connection to one thread at a time
            timeout=BUSY_TIMEOUT_S,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA trusted_schema = OFF")
        if writes:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")
        return connection

    engine = create_engine(
        "sqlite://",
        creator=driver_connection,
        poolclass=QueuePool,
        pool_size=1 if writes else 4,
        max_overflow=0 if writes else -1,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _readable(collection: Path) -> tuple[Path, str, bool]:
    """Folder to read from, SQLite's open mode, and whether the folder is a private copy.

    ``immutable=1`` silently serves old or torn states while a ``-wal`` waits, so it is for folders that nobody here
    can write and that have none. A ``-wal`` without ``-shm`` in such a folder cannot be read in place at all.
    """
    path = catalogue_path(collection)
    if not path.is_file():
        raise CollectionNotFound(collection)
    if os.access(collection, os.W_OK):
        return collection, "ro", False
    wal, shm = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not (wal.exists() and wal.stat().st_size):
        return collection, "ro&immutable=1", False
    if shm.exists():
        return collection, "ro", False
    private = Path(tempfile.mkdtemp(prefix="vlsearch-"))
    shutil.copyfile(path, private / CATALOGUE)
    shutil.copyfile(wal, private / f"{CATALOGUE}-wal")
    return private, "ro", True
