"""Generations of a collection in a folder: a read transaction of SQLite's, and the segments that it names.

One query is one read transaction: it reads the generation, brings the snapshot up to date if that moved, searches,
resolves hits, and ends. Nothing holds a transaction between queries: the write-ahead log would grow without bound.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.collection.catalogue import damaged, read_state, unreadable
from retrieval.collection.connections import ReadConnections
from retrieval.collection.layout import segments_path
from retrieval.collection.snapshot import Snapshot, read_snapshot
from retrieval.collection.statement import ReadConnection
from retrieval.collection.stores import search_threads
from retrieval.errors import CollectionDamaged

OPEN_ATTEMPTS = 20  # compactions that may overtake one query before it gives up
SEARCH_THREADS = 2  # that searches of one collection share


class FolderSource:
    """A collection in a folder; see :class:`retrieval.collection.source.Source`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections = ReadConnections(path)
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._threads = search_threads(SEARCH_THREADS)

    def close(self) -> None:
        """Close the catalogue; mapped files go when the last thread lets go of them."""
        self._threads.shutdown()
        self._connections.close()

    @contextmanager
    def transaction(self) -> Iterator[tuple[ReadConnection, Snapshot]]:
        """Begin a read transaction and give the snapshot of exactly the generation that it sees."""
        for attempt in range(OPEN_ATTEMPTS):
            try:
                with self._connections.transaction() as connection:
                    try:
                        snapshot = self._current(connection)
                    except FileNotFoundError as error:
                        # A writer has committed and unlinked since this transaction began: look again. If the
                        # files that the newest generation names are gone, no number of attempts finds them.
                        if attempt == OPEN_ATTEMPTS - 1:
                            missing = f"{error.filename or segments_path(self.path)} is missing"
                            raise CollectionDamaged(self.path, missing) from error
                        continue
                    except OSError as error:
                        raise unreadable(self.path, error) from error
                    self._connections.see(connection, snapshot.move, snapshot.schema)
                    yield connection, snapshot
                    return
            except sqlite3.Error as error:
                raise damaged(self.path, error) from error

    def _current(self, connection: sqlite3.Connection) -> Snapshot:
        generation = read_state(connection, self.path)
        last = self._snapshot
        if last is not None and last.generation == generation:
            return last
        snapshot = read_snapshot(connection, self.path, generation, last, self._threads)
        with self._lock:
            # A thread whose transaction began earlier uses its own snapshot and leaves the newer one in place.
            if self._snapshot is None or self._snapshot.generation < generation:
                self._snapshot = snapshot
        return snapshot
