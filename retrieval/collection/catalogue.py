"""Connections to the catalogue, made by one function so that every transaction is what it says.

SQLAlchemy's default on SQLite gives neither a snapshot across two SELECTs nor transactional DDL, because the driver
begins transactions by itself and late. Here the driver begins none (``isolation_level=None``) and every
transaction begins explicitly: BEGIN for readers, BEGIN IMMEDIATE for the writer.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import quote
from weakref import finalize

from sqlalchemy import ColumnElement, Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.pool import QueuePool

from retrieval.catalogue_name import CATALOGUE
from retrieval.collection.column_types import WrongValue, number_of
from retrieval.collection.folder import check_files, require_collection
from retrieval.collection.layout import catalogue_path
from retrieval.collection.schema import SCHEMA_VERSION, objects_of, schema_version, settings
from retrieval.collection.statement import GENERATION, VERSION
from retrieval.errors import CollectionDamaged, CollectionError, CollectionNotFound, CollectionTooNew
from retrieval.shell import shell_command

BUSY_TIMEOUT_S = 60.0  # a reader waits this long for a checkpoint or a WAL recovery, never for a whole commit
SHARED_MEMORY_BYTES = 32_768
VALUE_BYTES = 256 * 2**20  # of one text: a damaged row that claims more is refused before it is read
IN_CHUNK = 10_000  # values in one IN (...); SQLite's limit is 32,766 parameters a statement

T = TypeVar("T")


def connect(collection: Path, mode: Literal["read", "write"]) -> Engine:
    """Make an engine over a collection's catalogue; dispose of it when done.

    Read engines never write anything but SQLite's own ``-wal`` and ``-shm``; in a folder that cannot be written
    they read in place where that is safe, else from a private copy that goes away with the engine.

    Raises:
        CollectionNotFound: there is nothing to read.
        CollectionDamaged: a file is a link, is not a regular file, or is shared with another folder by a hard link; or
            the catalogue is gone and segment files are there.
        CollectionError: the folder cannot be read.
    """
    try:
        check_files(collection, writes=mode == "write")
        if mode == "write":
            return _engine(collection, catalogue_path(collection), "rwc", "BEGIN IMMEDIATE")
        require_collection(collection)
        folder, query, copied = _readable(collection)
    except OSError as error:
        raise unreadable(collection, error) from error
    engine = _engine(collection, folder / CATALOGUE, query, "BEGIN")
    if copied:
        remove = finalize(engine, shutil.rmtree, folder, ignore_errors=True)
        event.listen(engine, "engine_disposed", lambda _: remove())
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
    except DatabaseError as error:
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
        _check_version(schema_version(connection), collection)
        read_generation(connection)
    except DatabaseError as error:
        raise damaged(collection, error) from error


def _check_version(version: int, collection: Path) -> None:
    if version == 0:
        raise CollectionNotFound(collection)
    if version > SCHEMA_VERSION:
        raise CollectionTooNew(collection, version, SCHEMA_VERSION)


def read_state(connection: sqlite3.Connection, collection: Path) -> int:
    """Read the number of the committed state that this transaction sees, as often as a query is asked.

    Raises:
        CollectionNotFound: the file holds no tables yet.
        CollectionTooNew: its schema is newer than this program's.
        WrongValue: the catalogue does not say which generation it holds.
        sqlite3.Error: SQLite cannot read it.
    """
    _check_version(VERSION.rows(connection)[0].number, collection)
    settings = GENERATION.rows(connection)
    return number_of(settings[0].value if settings else None, "generation")


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Give the driver's own connection under one of SQLAlchemy's, inside the same transaction."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def damaged(collection: Path, error: DatabaseError | sqlite3.Error) -> CollectionError:
    """Translate an SQLite error on a collection's catalogue into the CollectionError to raise."""
    original = getattr(error, "orig", None) or error
    said = str(original)
    if getattr(original, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK":
        # A rollback journal is there only while a collection is made: its writer was killed before the first commit.
        return CollectionNotFound(collection)
    if isinstance(error, (IntegrityError, sqlite3.IntegrityError)):
        return CollectionError(
            f"collection {collection} refuses this change ({said}); nothing of it was kept"
        )
    if isinstance(error, WrongValue):
        return CollectionDamaged(collection, said)
    if any(sign in said for sign in _SIGNS_OF_DAMAGE):
        return CollectionDamaged(collection, f"SQLite cannot read {CATALOGUE} ({said})")
    if "full" in said or ("disk I/O" in said and _is_full(collection)):
        return CollectionError(
            f"the disk that holds collection {collection} is full ({said}); what was committed before is safe, "
            "free some space and run this again"
        )
    return CollectionError(f"collection {collection} cannot be read: {said}")


_SIGNS_OF_DAMAGE = ("malformed", "not a database", "decode to UTF-8", "too big", "out of memory")


def unreadable(collection: Path, error: OSError) -> CollectionError:
    """Translate an OSError on a collection's folder or file into the CollectionError to raise."""
    said = error.strerror or str(error)
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return CollectionError(
            f"collection {collection} has more files than this process may open ({said}); allow more (ulimit -n), or "
            f"merge them with: {shell_command('optimize', '--collection', collection)}"
        )
    return CollectionError(
        f"collection {collection} cannot be read: {said}; check the disk and your rights to it"
    )


def _is_full(collection: Path) -> bool:
    """Whether there is no room for SQLite's shared memory file, without which it cannot even read."""
    try:
        return shutil.disk_usage(collection).free < SHARED_MEMORY_BYTES
    except OSError:
        return False


def read_generation(connection: Connection) -> int:
    """Read the number of the committed state that this transaction sees.

    Raises:
        WrongValue: the catalogue does not say.
    """
    value = connection.execute(select(settings.c.value).where(settings.c.name == "generation")).scalar()
    return number_of(value, "generation")


def parse_attributes(stored: str) -> dict[str, Any]:
    """Parse an item's attributes.

    Raises:
        WrongValue: they are not a JSON object.
    """
    if stored == "{}":
        return {}
    try:
        found = json.loads(stored)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise WrongValue("attributes of an item are not a JSON object")
    return found


def chunked(values: Iterable[T], size: int = IN_CHUNK) -> Iterator[Sequence[T]]:
    """Cut values into lists short enough for one statement's parameters."""
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


def _engine(collection: Path, path: Path, mode: str, begin: str) -> Engine:
    writes = begin == "BEGIN IMMEDIATE"

    def driver_connection() -> sqlite3.Connection:
        connection = sqlite3.connect(
            f"file:{quote(os.fsencode(path))}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,  # the pool hands a connection to one thread at a time
            timeout=BUSY_TIMEOUT_S,
        )
        try:
            _harden(connection)
            _check_schema(connection, collection)
            connection.execute("PRAGMA foreign_keys = ON")
            if writes:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA fullfsync = ON")
        except UnicodeDecodeError as error:  # of SQLite's own message, which quotes the damaged schema
            connection.close()
            raise sqlite3.DatabaseError("malformed database schema, with bytes that are not UTF-8") from error
        except BaseException:
            connection.close()
            raise
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
        connection.exec_driver_sql(connection.get_execution_options().get("begin", begin))

    return engine


def _harden(connection: sqlite3.Connection) -> None:
    """Have SQLite expect that somebody hostile wrote the file."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")  # a file cut short under a mapping kills the process
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE)


def _check_schema(connection: sqlite3.Connection, collection: Path) -> None:
    """Refuse a catalogue whose schema differs from the one that the migrations make.

    A trigger, or a view, a virtual table or a generated column in the place of one of ours, would be code of a
    stranger's that our statements run.
    """
    connection.execute("BEGIN")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    found = set(connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")) - _STATISTICS
    connection.execute("COMMIT")
    if version < 0:
        raise CollectionDamaged(collection, f"{CATALOGUE} says that it has schema {version}")
    if version > SCHEMA_VERSION:
        return  # refused where its sentence is, before any other statement
    expected = objects_of(version)
    for different, said in (
        (found - expected, "has an unexpected {kind} {name}"),
        (expected - found, "has no {kind} {name}, or a different one"),
    ):
        if different:
            kind, name, _, _ = min(different, key=str)
            said = said.format(kind=kind, name=name)
            raise CollectionDamaged(collection, f"{CATALOGUE} {said}; vlsearch did not write this schema")


_STATISTICS = {  # what ANALYZE leaves
    ("table", "sqlite_stat1", "sqlite_stat1", "CREATE TABLE sqlite_stat1(tbl,idx,stat)"),
    ("table", "sqlite_stat4", "sqlite_stat4", "CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample)"),
}


def _readable(collection: Path) -> tuple[Path, str, bool]:
    """Folder to read from, SQLite's open mode, and whether the folder is a private copy.

    ``immutable=1`` silently serves old or torn states while a ``-wal`` waits, so it is for folders that nobody here
    can write and that have none. A ``-wal`` without ``-shm`` in such a folder cannot be read in place at all.
    """
    path = catalogue_path(collection)
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
