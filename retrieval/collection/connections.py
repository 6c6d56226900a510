"""Connections that read a catalogue: one transaction each at a time, kept open from one query to the next."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from weakref import finalize

from retrieval.collection.catalogue import find_catalogue, open_catalogue
from retrieval.collection.moved import Move, hide_moved, show_moved

KEPT = 4  # connections that wait for the next query; more are opened where more threads ask at once


class ReadConnections:
    """Read transactions on the catalogue of a collection, from any number of threads; close it when done.

    Raises:
        CollectionNotFound, CollectionDamaged, CollectionError: as
            :func:`~retrieval.collection.catalogue.find_catalogue`.
    """

    def __init__(self, collection: Path) -> None:
        self._file = find_catalogue(collection, "read")
        self._lock = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._moves: dict[sqlite3.Connection, Move] = {}  # that a connection sees
        self._is_open = True
        self._remove_copy = finalize(self, self._file.remove_copy)

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin a read transaction, which ends with the block.

        Raises:
            sqlite3.Error: SQLite cannot read the catalogue.
            CollectionDamaged: its schema is not one that vlsearch writes.
        """
        connection = self._take()
        try:
            connection.execute("BEGIN")
            yield connection
        except BaseException:
            with suppress(sqlite3.Error):  # the first error is the one to tell
                self._end(connection, "ROLLBACK")
            raise
        self._end(connection, "COMMIT")

    def close(self) -> None:
        """Close the connections; one in the middle of a transaction closes when that ends."""
        with self._lock:
            self._is_open = False
            idle, self._idle = self._idle, []
        for connection in idle:
            self._drop(connection)
        self._remove_copy()

    def see(self, connection: sqlite3.Connection, move: Move | None, schema: int) -> None:
        """Have the statements of a connection, in its transaction, see uris as a move has changed them."""
        if self._moves.get(connection) == move:
            return
        if move is None:
            del self._moves[connection]
            hide_moved(connection)
        else:
            self._moves[connection] = move
            show_moved(connection, move, schema)

    def _take(self) -> sqlite3.Connection:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return open_catalogue(self._file)

    def _end(self, connection: sqlite3.Connection, statement: str) -> None:
        """End the transaction; keep the connection for the next one."""
        try:
            connection.execute(statement)
        except BaseException:
            self._drop(connection)
            raise
        is_as_noted = (
            statement == "COMMIT" or connection not in self._moves
        )  # what shows a move is rolled back too
        with self._lock:
            if self._is_open and len(self._idle) < KEPT and is_as_noted:
                self._idle.append(connection)
                return
        self._drop(connection)

    def _drop(self, connection: sqlite3.Connection) -> None:
        self._moves.pop(connection, None)
        connection.close()
