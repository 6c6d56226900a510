"""The seam below a collection as readers see it: where one generation of it is read from."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from retrieval.collection.snapshot import Snapshot
from retrieval.collection.statement import ReadConnection
from retrieval.places import CollectionPlace


class Source(Protocol):
    """A collection in a folder or on a server; safe to share between threads."""

    @property
    def path(self) -> CollectionPlace:
        """Where the collection is."""
        ...

    def transaction(self) -> AbstractContextManager[tuple[ReadConnection, Snapshot]]:
        """Begin a read transaction, which ends with the block, and give the snapshot of the generation that it sees.

        Raises:
            CollectionNotFound: there is no collection.
            CollectionTooNew: a newer vlsearch wrote it.
            CollectionDamaged: what is read is not what a writer writes.
            CollectionError: it cannot be read now.
        """
        ...

    def close(self) -> None:
        """Let go of the collection; a transaction that runs goes on to its end."""
        ...
