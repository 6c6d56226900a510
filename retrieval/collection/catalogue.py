"""The one way to open a catalogue, and what its errors mean; every transaction is what it says.

The driver begins no transaction by itself (``isolation_level=None``): it would begin late, and neither see one
generation across two SELECTs nor have migrations in it. Readers say BEGIN, in
:mod:`~retrieval.collection.connections`; the write side says BEGIN IMMEDIATE, through SQLAlchemy, in
:mod:`~retrieval.collection.engine`.
"""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import quote

from retrieval.catalogue_name import CATALOGUE
from retrieval.collection.folder import check_files, require_collection
from retrieval.collection.fulltext import objects_of_words
from retrieval.collection.layout import catalogue_path
from retrieval.collection.migrations import SCHEMA_VERSION, objects_of
from retrieval.collection.statement import GENERATION, VERSION, ReadConnection
from retrieval.collection.stored_values import WrongValue, number_of
from retrieval.errors import CollectionDamaged, CollectionError, CollectionNotFound, CollectionTooNew
from retrieval.shell import shell_command

BUSY_TIMEOUT_S = 60.0  # a reader waits this long for a checkpoint or a WAL recovery, never for a whole commit
SHARED_MEMORY_BYTES = 32_768
# of pages a connection: those above the leaves of a million items, so that a hit costs one read a table, not three
CACHE_KIB = 16 * 1024
VALUE_BYTES = 256 * 2**20  # of one text: a damaged row that claims more is refused before it is read
IN_CHUNK = 10_000  # values in one IN (...); SQLite's limit is 32,766 parameters a statement

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CatalogueFile:
    """Where and how to open the catalogue of a collection.

    Attributes:
        collection: its folder.
        path: the file to open: the collection's own, or a private copy of it.
        mode: parameters of SQLite's uri: ``rwc`` for a writer, else ``ro``, perhaps with ``immutable=1``.
        is_copy: whether ``path`` lies in a folder of our own, to be removed when it is closed.
        is_durable: whether what a writer commits survives a power cut.
    """

    collection: Path
    path: Path
    mode: Literal["ro", "ro&immutable=1", "rwc"]
    is_copy: bool = False
    is_durable: bool = True

    @property
    def is_written(self) -> bool:
        """Whether a writer opens it."""
        return self.mode == "rwc"

    def remove_copy(self) -> None:
        """Remove the private copy, if it is one; nothing else."""
        if self.is_copy:
            shutil.rmtree(self.path.parent, ignore_errors=True)


def find_catalogue(collection: Path, mode: Literal["read", "write"]) -> CatalogueFile:
    """Find the file to open, after checking what SQLite would open with it.

    Readers never write anything but SQLite's own ``-wal`` and ``-shm``; in a folder that cannot be written they read
    in place where that is safe, else a private copy, which whoever opens it removes.

    Raises:
        CollectionNotFound: there is nothing to read.
        CollectionDamaged: a file is a link, is not a regular file, or is shared with another folder by a hard link; or
            the catalogue is gone and segment files are there.
        CollectionError: the folder cannot be read.
    """
    try:
        check_files(collection, writes=mode == "write")
        if mode == "write":
            return CatalogueFile(collection, catalogue_path(collection), "rwc")
        require_collection(collection)
        return _readable(collection)
    except OSError as error:
        raise unreadable(collection, error) from error


def open_catalogue(file: CatalogueFile) -> sqlite3.Connection:
    """Open a connection; any one thread at a time may use it.

    Raises:
        sqlite3.Error: SQLite cannot open or read it.
        CollectionDamaged: its schema is not one that vlsearch writes.
    """
    connection = sqlite3.connect(
        f"file:{quote(os.fsencode(file.path))}?mode={file.mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        timeout=BUSY_TIMEOUT_S,
    )
    try:
        _harden(connection)
        _check_schema(connection, file.collection)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        if file.is_written:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {'FULL' if file.is_durable else 'OFF'}")
            connection.execute("PRAGMA fullfsync = ON")
    except UnicodeDecodeError as error:  # of SQLite's own message, which quotes the damaged schema
        connection.close()
        raise sqlite3.DatabaseError("malformed database schema, with bytes that are not UTF-8") from error
    except BaseException:
        connection.close()
        raise
    return connection


def read_state(connection: ReadConnection, collection: Path) -> int:
    """Read the number of the committed state that this transaction sees, as often as a query is asked.

    Raises:
        CollectionNotFound: the file holds no tables yet.
        CollectionTooNew: its schema is newer than this program's.
        WrongValue: the catalogue does not say which generation it holds.
        sqlite3.Error: SQLite cannot read it.
    """
    version = VERSION.rows(connection)[0].number
    if version == 0:
        raise CollectionNotFound(collection)
    if version > SCHEMA_VERSION:
        raise CollectionTooNew(collection, version, SCHEMA_VERSION)
    return read_generation(connection)


def read_generation(connection: ReadConnection) -> int:
    """Read the number of the committed state that this transaction sees, of a catalogue of a known schema.

    Raises:
        WrongValue: the catalogue does not say.
        sqlite3.Error: SQLite cannot read it.
    """
    settings = GENERATION.rows(connection)
    return number_of(settings[0].value if settings else None, "generation")


def damaged(collection: Path, error: Exception) -> CollectionError:
    """Translate an error of SQLite, or SQLAlchemy's of it, on a collection's catalogue into one to raise."""
    original = getattr(error, "orig", None) or error
    said = str(original)
    if getattr(original, "sqlite_errorname", "") == "SQLITE_READONLY_ROLLBACK":
        # A rollback journal is there only while a collection is made: its writer was killed before the first commit.
        return CollectionNotFound(collection)
    if isinstance(original, sqlite3.IntegrityError):
        return CollectionError(
            f"collection {collection} refuses this change ({said}); nothing of it was kept"
        )
    if isinstance(original, WrongValue):
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
    expected, words = objects_of(version), objects_of_words()
    if words <= found:  # which a catalogue has where SQLite has FTS5
        found -= words
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


def _readable(collection: Path) -> CatalogueFile:
    """Choose how to read.

    ``immutable=1`` silently serves old or torn states while a ``-wal`` waits, so it is for folders that nobody here
    can write and that have none. A ``-wal`` without ``-shm`` in such a folder cannot be read in place at all.
    """
    path = catalogue_path(collection)
    if os.access(collection, os.W_OK):
        return CatalogueFile(collection, path, "ro")
    wal, shm = Path(f"{path}-wal"), Path(f"{path}-shm")
    if not (wal.exists() and wal.stat().st_size):
        return CatalogueFile(collection, path, "ro&immutable=1")
    if shm.exists():
        return CatalogueFile(collection, path, "ro")
    import tempfile  # late: for such folders alone

    private = Path(tempfile.mkdtemp(prefix="vlsearch-"))
    shutil.copyfile(path, private / CATALOGUE)
    shutil.copyfile(wal, private / f"{CATALOGUE}-wal")
    return CatalogueFile(collection, private / CATALOGUE, "ro", is_copy=True)
