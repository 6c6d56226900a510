"""The commit protocol, and only that: new files first, durable; then one SQLite transaction, which is the switch.

One writer at a time holds ``writer.lock`` (an OS lock: a dead writer frees it). Its holder may sweep every file
that it has noted as its own to remove; without it nobody sweeps.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DatabaseError

from indexer.store import rows, sweeping
from indexer.store.changes import Change, NewContent
from indexer.store.file_systems import check_local
from retrieval.collection import schema
from retrieval.collection.catalogue import check_readable, connect, damaged, read_generation
from retrieval.collection.folder import (
    catalogue_is_empty,
    check_files,
    has_segments,
    require_collection,
    sync_folder,
    without_catalogue,
)
from retrieval.collection.layout import (
    CATALOGUE_FILES,
    JOURNAL,
    SEGMENTS,
    WRITER_LOCK,
    is_collection,
    segments_path,
)
from retrieval.collection.left_out import LEFT_OUT
from retrieval.collection.schema import SCHEMA_VERSION, migrate, schema_version
from retrieval.collection.segments import WrittenSegment, new_stem, stem_names, write_segment
from retrieval.collection.snapshot import active_encoder_id, read_identity
from retrieval.errors import (
    CollectionError,
    CollectionLocked,
    CollectionTooNew,
    IdentityMismatch,
    UsageError,
    VlsearchError,
)
from retrieval.identity import Identity
from retrieval.types import KINDS, Kind

LONGEST_WAIT_S = 1e9
CHECKPOINT_WAIT_MS = 1000  # for readers in the middle of a query; the next writer folds what these leave


@dataclass(frozen=True, slots=True)
class _NewSegment:
    """A segment on disk that no row names yet, and the contents of its rows in order."""

    kind: Kind
    contents: list[NewContent]
    ids: NDArray[np.int64]
    files: WrittenSegment


class Writer:
    """The one writer of a collection, which it makes where there is none; a context manager that holds the lock.

    Args:
        collection: its folder.
        timeout_s: how long to wait for another writer to end, >= 0.

    Raises:
        CollectionLocked: another process (or another Writer here) holds the lock, and held it that long.
        CollectionTooNew: a newer vlsearch wrote the collection.
        CollectionError: the folder cannot be written, or is on a network file system.
        UsageError: there is no collection yet, and the folder has other files in it.
    """

    def __init__(self, collection: Path, timeout_s: float = 0.0) -> None:
        self.path = collection
        check_local(collection)
        try:
            _check_free(collection)
            check_files(collection, writes=True)
            if catalogue_is_empty(collection) and has_segments(collection):
                raise without_catalogue(collection)
            _make_folders(collection)
            self._lock = FileLock(collection / WRITER_LOCK, timeout=_checked_timeout(timeout_s))
            self._lock.acquire()
        except Timeout as error:
            raise CollectionLocked(collection) from error
        except OSError as error:
            raise CollectionError(
                f"collection {collection} cannot be written ({error.strerror}); check the path and your rights to it"
            ) from error
        try:
            self._engine: Engine = connect(collection, "write")
        except BaseException:
            self._lock.release()
            raise
        try:
            self._migrate()
            sweeping.sort_files(self)
            self.sweep()
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, collection: Path, timeout_s: float = 0.0) -> Self:
        """A writer of a collection that is there, for what makes no sense on an empty one.

        Raises:
            CollectionNotFound: there is none, and none is made.
        """
        require_collection(collection)
        return cls(collection, timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the write-ahead log into the catalogue, as far as readers allow, and free the lock."""
        try:
            # What stays in the log (a reader is in the middle of a query, the disk is full) is committed all the same.
            with contextlib.suppress(DatabaseError, sqlite3.Error):
                raw = self._engine.raw_connection()
                try:
                    raw.cursor().execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_MS}")
                    raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
                finally:
                    raw.close()
            self._engine.dispose()
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def look_up(self) -> Iterator[Connection]:
        """A read transaction between commits; SQLite refuses to write in it."""
        self._check_open()
        try:
            with self._engine.connect() as connection:
                reading = connection.execution_options(begin="BEGIN")
                with reading.begin():
                    reading.exec_driver_sql("PRAGMA query_only = ON")
                    try:
                        yield reading
                    finally:
                        reading.exec_driver_sql("PRAGMA query_only = OFF")
        except DatabaseError as error:
            raise damaged(self.path, error) from error

    @contextlib.contextmanager
    def without_generation(self) -> Iterator[Connection]:
        """A write transaction that changes no answer, and so makes no generation: for sources, encoders and notes."""
        self._check_open()
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise damaged(self.path, error) from error

    @property
    def identity(self) -> Identity | None:
        """Identity of the active encoder; None before the first commit of a vector."""
        with self.look_up() as connection:
            encoder_id = active_encoder_id(connection)
            return None if encoder_id is None else read_identity(connection, self.path, encoder_id)

    def check_identity(self, given: Identity) -> None:
        """Refuse an encoder other than the one the collection is bound to.

        Raises:
            IdentityMismatch: with what differs.
        """
        bound = self.identity
        if bound is not None and bound.digest != given.digest:
            raise IdentityMismatch(self.path, bound.name, given.name, bound.difference(given))

    def next_generation(self) -> int:
        """The number that the next commit gets."""
        with self.look_up() as connection:
            return read_generation(connection) + 1

    def source_id(self, uri: str, format_: str) -> int:
        """Catalogue id of a corpus, added where it is new."""
        sources = schema.sources
        with self.look_up() as connection:
            found = connection.execute(select(sources.c.id).where(sources.c.uri == uri)).scalar_one_or_none()
        if found is not None:
            return int(found)
        with self.without_generation() as connection:
            added = insert(sources).values(uri=uri, format=format_).returning(sources.c.id)
            return int(connection.execute(added).scalar_one())

    def encoder_id(self, identity: Identity) -> int:
        """Catalogue id of an encoder, added where it is new; the active one stays active."""
        with self.look_up() as connection:
            found = rows.find_encoder(connection, identity)
        if found is not None:
            return found
        with self.without_generation() as connection:
            return rows.ensure_encoder(connection, identity, activate=False)

    def note_left_out(self, source_id: int, counts: Mapping[str, int]) -> None:
        """Keep what the last whole run over a corpus passed over, for ``info``; no new generation."""
        values = {"name": f"{LEFT_OUT}{source_id}", "value": json.dumps(dict(counts), sort_keys=True)}
        upsert = sqlite_insert(schema.settings).values(values)
        with self.without_generation() as connection:
            connection.execute(
                upsert.on_conflict_do_update(index_elements=["name"], set_={"value": values["value"]})
            )

    def commit(self, change: Change, identity: Identity) -> dict[str, int]:
        """Make a change part of the collection: all of it, or, after any failure or power cut, nothing.

        The first commit with a vector binds the collection to ``identity``.

        Returns:
            Item ids of ``change.items`` by uri.

        Raises:
            IdentityMismatch: the collection is bound to another encoder.
            CollectionError: the disk is full or fails; nothing of the change is there.
        """
        self.check_identity(identity)
        if any(content.vector.shape != (identity.dimension,) for content in change.contents.values()):
            raise CollectionError(
                f"an encoder gave vectors that cannot be kept: their dimension is not {identity.dimension}"
            )
        generation = self.next_generation()
        with self.new_files():
            segments = self._write_segments(change.contents.values(), generation)
            with self.switch(generation) as connection:
                encoder_id = rows.ensure_encoder(connection, identity, activate=bool(segments))
                _insert_segments(connection, segments, encoder_id)
                return rows.apply(connection, change)

    def commit_rows(self, change: Change) -> None:
        """Make a change that brings no new content part of the collection; needs no encoder.

        Raises:
            CollectionError: the disk is full or fails; nothing of the change is there.
        """
        assert not change.contents, "new contents come with their encoder's identity"
        with self.switch(self.next_generation()) as connection:
            rows.apply(connection, change)

    def commit_beside(self, contents: Iterable[NewContent], encoder_id: int) -> None:
        """Make vectors of contents that are in the catalogue part of it, under an encoder that need not be active.

        Raises:
            CollectionError: the disk is full or fails; nothing of this is there.
        """
        generation = self.next_generation()
        with self.new_files():
            segments = self._write_segments(contents, generation)
            with self.switch(generation) as connection:
                _insert_segments(connection, segments, encoder_id)

    def _write_segments(self, contents: Iterable[NewContent], generation: int) -> list[_NewSegment]:
        """One segment on disk for each kind that has new contents; part of nothing yet."""
        with self.look_up() as connection:
            next_id = rows.next_id(connection, "encodings")
        by_kind: dict[Kind, list[NewContent]] = {kind: [] for kind in KINDS}
        for content in contents:
            by_kind[content.kind].append(content)
        written = []
        for kind, fresh in by_kind.items():
            if fresh:
                ids = np.arange(next_id, next_id + len(fresh), dtype=np.int64)
                next_id += len(ids)
                vectors = np.stack([content.vector for content in fresh])
                try:
                    files = self.write_segment(generation, ids, [vectors])
                except ValueError as error:
                    raise CollectionError(f"an encoder gave vectors that cannot be kept: {error}") from error
                written.append(_NewSegment(kind, fresh, ids, files))
        return written

    def write_segment(
        self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
    ) -> WrittenSegment:
        """Write a segment's files (see :func:`retrieval.collection.segments.write_segment`), inside :meth:`new_files`.

        Their names are noted in the catalogue first: no one but us can have committed them, so that they may be
        removed if we die before their commit.
        """
        stem = new_stem(generation)
        with self.without_generation() as connection:
            sweeping.note_sweepable(connection, stem_names(stem))
        return write_segment(self.path, stem, ids, blocks)

    @contextlib.contextmanager
    def new_files(self) -> Iterator[None]:
        """A block that writes segments and commits them; if it fails, what it wrote is swept.

        Raises:
            CollectionError: instead of an OSError, which is a disk that is full or fails.
        """
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(VlsearchError, OSError):  # what cannot go now goes with the next writer
                self.sweep()
            if not isinstance(error, OSError):
                raise
            raise CollectionError(
                f"collection {self.path} could not be written ({error.strerror or error}); "
                "what was committed before is safe, free some space and run this again"
            ) from error

    @contextlib.contextmanager
    def switch(self, generation: int) -> Iterator[Connection]:
        """The transaction that makes ``generation`` current; leaves either it or the one before, and knows which.

        A COMMIT that fails may have happened (a full disk, an I/O error while syncing): the catalogue is opened
        again and asked before anybody removes a file.

        Raises:
            CollectionError: it did not happen.
        """
        self._check_open()
        try:
            with self._engine.begin() as connection:
                before = sweeping.named_files(connection)
                yield connection
                sweeping.settle_sweepable(connection, before)
                connection.execute(
                    update(schema.settings)
                    .where(schema.settings.c.name == "generation")
                    .values(value=str(generation))
                )
        except DatabaseError as error:
            self._engine.dispose()
            with self.look_up() as connection:
                if read_generation(connection) == generation:
                    return
            raise damaged(self.path, error) from error

    def sweep(self) -> list[str]:
        """Remove the files that are this catalogue's own to remove; see :func:`indexer.store.sweeping.sweep`."""
        return sweeping.sweep(self)

    def _check_open(self) -> None:
        if not self._lock.is_locked:  # a connection opened now would write without the lock
            raise UsageError(f"this writer of {self.path} is closed; open another one")

    def _migrate(self) -> None:
        try:
            with self._engine.begin() as connection:
                version = schema_version(connection)
                if version > SCHEMA_VERSION:
                    raise CollectionTooNew(self.path, version, SCHEMA_VERSION)
                if version < SCHEMA_VERSION:
                    migrate(connection)
                check_readable(connection, self.path)
        except DatabaseError as error:
            raise damaged(self.path, error) from error


def _checked_timeout(timeout_s: float) -> float:
    if not 0 <= timeout_s < LONGEST_WAIT_S:  # filelock takes -1 for "wait for ever"
        raise UsageError(f"the timeout is {timeout_s}; give seconds to wait for another writer, 0 or more")
    return timeout_s


def _insert_segments(connection: Connection, segments: Iterable[_NewSegment], encoder_id: int) -> None:
    for new in segments:
        segment_id = rows.insert_segment(connection, new.kind, encoder_id, new.files)
        rows.insert_encodings(connection, new.contents, new.ids, encoder_id, segment_id)


def _check_free(collection: Path) -> None:
    """Refuse to make a collection among other files: walkers of corpora leave a collection's whole folder out."""
    if is_collection(collection) or not collection.is_dir():
        return
    names = sorted(path.name for path in collection.iterdir() if not path.name.startswith("."))
    others = [name for name in names if name not in (SEGMENTS, WRITER_LOCK, JOURNAL, *CATALOGUE_FILES)]
    if others:
        raise UsageError(
            f"{collection} is no collection and holds other files ({others[0]}); give a new collection a folder of "
            f"its own, such as {collection / 'vlsearch'}"
        )


def _make_folders(collection: Path) -> None:
    """The collection's folders, durable, so that no power cut leaves a catalogue without its segments."""
    if not os.path.lexists(segments_path(collection)):
        segments_path(collection).mkdir(parents=True, exist_ok=True)
        sync_folder(collection)
        with contextlib.suppress(OSError):  # a folder above ours may be one that we may not open
            sync_folder(collection.absolute().parent)
