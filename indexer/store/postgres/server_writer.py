"""The one writer of a collection on a server: the writer of a folder's catalogue, on a copy, whose changes are sent.

The copy (:mod:`indexer.store.postgres.mirror`) is made when the writer is opened and goes with it. So there is one set
of rules for what a change does, and a look-up costs no way to the server; the price is reading all rows at the start.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import psycopg

from indexer.store.postgres.mirror import load, note_changes
from indexer.store.postgres.mirror_folder import MirrorFolder
from indexer.store.postgres.sending import Sender
from indexer.store.postgres.session import WriterSession
from indexer.store.transactions import Transactions
from indexer.store.writer import Writer
from retrieval.collection.engine import driver_connection
from retrieval.collection.postgres.server_connection import server_fault
from retrieval.collection.stores.held_vectors import HeldVectors
from retrieval.places import ServerAddress

_READ_ALL = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class ServerWriter(Writer):
    """The only writer of a collection on a server, holding its lock; a context manager.

    Args:
        address: of the collection.
        timeout_s: how long to wait for another writer to end, >= 0.
        make: make an empty collection where there is none.

    Raises:
        CollectionLocked, CollectionNotFound, CollectionTooNew, CollectionDamaged, CollectionError: as
            :class:`~indexer.store.postgres.session.WriterSession`.
    """

    def __init__(self, address: ServerAddress, timeout_s: float = 0.0, make: bool = True) -> None:
        self.place = address
        with contextlib.ExitStack() as opened:
            session = WriterSession(address, timeout_s, make)
            opened.callback(session.close)
            folder = MirrorFolder()
            opened.callback(folder.release)
            self.path = folder.path
            self.catalogue = Transactions(folder.path, is_durable=False)
            opened.callback(self.catalogue.close)
            self._new_vectors = HeldVectors(folder.path, self.catalogue.look_up)
            self.vectors = self._new_vectors
            self._fill(session)
            self._opened = opened.pop_all()

    @classmethod
    def existing(cls, collection: Path | ServerAddress, timeout_s: float = 0.0) -> Self:
        """Open the writer of a collection that is there.

        Raises:
            CollectionNotFound: there is none, and none is made.
        """
        assert isinstance(collection, ServerAddress)
        return cls(collection, timeout_s, make=False)

    def _fill(self, session: WriterSession) -> None:
        try:
            with self.catalogue.without_generation() as connection:
                mirror = driver_connection(connection)
                with session.transaction(_READ_ALL) as server:
                    load(mirror, server, session.address)
                note_changes(mirror)
                sender = Sender(session, mirror, self._new_vectors.held)
        except psycopg.Error as error:
            raise server_fault(session.address, error) from error
        self.catalogue.before_commit = sender

    def close(self) -> None:
        """Remove the copy and free the lock."""
        self._opened.close()

    @contextlib.contextmanager
    def new_files(self) -> Iterator[None]:
        """Run a block that gives vectors and commits them."""
        self._new_vectors.forget()
        try:
            with super().new_files():
                yield
        finally:
            self._new_vectors.forget()

    def sweep(self) -> list[str]:
        """Remove nothing: there are no files."""
        return []
