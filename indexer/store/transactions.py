"""Transactions on a catalogue by the holder of the writer's lock: look-ups, notes, and the one that switches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from sqlalchemy import Connection, update

from indexer.store.attribute_rows import rebuild_values
from indexer.store.noted_files import settle_sweepable
from indexer.store.word_rows import ensure_words
from retrieval.collection import schema
from retrieval.collection.catalogue import damaged, read_generation
from retrieval.collection.engine import DATABASE_ERRORS, check_readable, connect, driver_connection
from retrieval.collection.migrations import ATTRIBUTES_SINCE, SCHEMA_VERSION
from retrieval.collection.schema import migrate, schema_version
from retrieval.collection.stores.segment_rows import named_files
from retrieval.errors import CollectionTooNew, UsageError

CHECKPOINT_WAIT_MS = 1000  # for readers in the middle of a query; the next writer folds what these leave


class Transactions:
    """The catalogue of a collection, brought up to date; :meth:`close` it before the lock is freed.

    Attributes:
        path: of the folder that it lies in.
        before_commit: called at the end of every transaction that writes; where it fails, nothing is committed.

    Args:
        collection: the folder that it lies in.
        is_durable: whether what is committed survives a power cut, for which the disk is waited for.

    Raises:
        CollectionTooNew: a newer vlsearch wrote it.
        CollectionDamaged: SQLite cannot read it.
    """

    def __init__(self, collection: Path, is_durable: bool = True) -> None:
        self.path = collection
        self.before_commit: Callable[[Connection], None] = _nothing
        self._engine = connect(collection, "write", is_durable)
        self._is_open = True
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Fold the write-ahead log into the catalogue, as far as readers allow, and close it."""
        if not self._is_open:  # a second close would open a connection without the lock
            return
        self._is_open = False
        # What stays in the log (a reader is in the middle of a query, the disk is full) is committed all the same.
        with contextlib.suppress(*DATABASE_ERRORS):
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute(f"PRAGMA busy_timeout = {CHECKPOINT_WAIT_MS}")
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()
        self._engine.dispose()

    @contextlib.contextmanager
    def look_up(self) -> Iterator[Connection]:
        """Begin a read transaction between commits; SQLite refuses to write in it."""
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
        except DATABASE_ERRORS as error:
            raise damaged(self.path, error) from error

    @contextlib.contextmanager
    def without_generation(self) -> Iterator[Connection]:
        """Begin a write transaction that changes no answer and makes no generation: for corpora, encoders, notes."""
        self._check_open()
        try:
            with self._engine.begin() as connection:
                yield connection
                self.before_commit(connection)
        except DATABASE_ERRORS as error:
            raise damaged(self.path, error) from error

    @contextlib.contextmanager
    def switch(self, generation: int) -> Iterator[Connection]:
        """Run the transaction that makes ``generation`` current; after an error the previous generation still is.

        A COMMIT that fails may have happened (a full disk, an I/O error while syncing): the catalogue is opened
        again and asked before anybody removes a file.

        Raises:
            CollectionError: the transaction did not take place.
        """
        self._check_open()
        try:
            with self._engine.begin() as connection:
                before = named_files(connection)
                yield connection
                settle_sweepable(connection, before)
                connection.execute(
                    update(schema.settings)
                    .where(schema.settings.c.name == "generation")
                    .values(value=str(generation))
                )
                self.before_commit(connection)
        except DATABASE_ERRORS as error:
            self._engine.dispose()
            with self.look_up() as connection:
                if read_generation(driver_connection(connection)) == generation:
                    return
            raise damaged(self.path, error) from error

    def next_generation(self) -> int:
        """Read the number that the next commit gets."""
        with self.look_up() as connection:
            return read_generation(driver_connection(connection)) + 1

    def _check_open(self) -> None:
        if not self._is_open:  # a connection opened now would write without the lock
            raise UsageError(f"this writer of {self.path} is closed; open another one")

    def _migrate(self) -> None:
        try:
            with self._engine.begin() as connection:
                version = schema_version(connection)
                if version > SCHEMA_VERSION:
                    raise CollectionTooNew(self.path, version, SCHEMA_VERSION)
                if version < SCHEMA_VERSION:
                    migrate(connection)
                if version < ATTRIBUTES_SINCE:
                    rebuild_values(connection)
                ensure_words(connection, self.path)
                check_readable(connection, self.path)
        except DATABASE_ERRORS as error:
            raise damaged(self.path, error) from error


def _nothing(connection: Connection) -> None:
    """Do nothing before a commit: of a catalogue that nothing follows."""
