"""What the queries of one engine share: a collection, its encoder, and the process that decodes their images."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from retrieval.collection import Collection, View
from retrieval.errors import CollectionEmpty, CollectionError
from retrieval.query.loaded_encoders import LoadedEncoders
from retrieval.query.parts import Query
from retrieval.query.vectors import NotPrepared, QueryVectors
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder

T = TypeVar("T")

ATTEMPTS = 6  # one to find out what to prepare, and re-encodings (vlsearch reindex) that overtake a search


class QueryResources:
    """What the queries of one engine share; many threads may use it.

    Owns the collection: :meth:`close` closes it.

    Attributes:
        collection: that is asked.
        limits: what is accepted of a query's images.
        encoders: the collection's encoder, loaded when it is first needed.
    """

    def __init__(self, collection: Collection, encoder: Encoder | str | Path | None, limits: Limits) -> None:
        self.collection, self.limits = collection, limits
        self.encoders = LoadedEncoders(collection.path, encoder)
        self._pool: DecodePool | None = None
        self._lock = threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The collection's encoder, loaded now if it has not been.

        Raises:
            CollectionEmpty: nothing has been indexed, so no encoder is bound.
            IdentityMismatch: the encoder given or found is not the one that the collection was built with.
        """
        identity = self.collection.identity
        if identity is None:
            raise CollectionEmpty(self.collection.path)
        return self.encoders.load(identity)

    def decode_pool(self) -> DecodePool:
        """Give the worker process that decodes queries' images; made when the first comes."""
        from retrieval.decoding.pool import DecodePool  # late: queries of words do without

        with self._lock:
            if self._pool is None:
                self._pool = DecodePool(self.limits, workers=1)
            return self._pool

    def vectors_of(self, queries: Sequence[Query]) -> QueryVectors:
        """Give what makes the vectors of queries."""
        return QueryVectors(queries, self.collection, self.encoders, self.decode_pool)

    def reading(self, vectors: QueryVectors, use: Callable[[View], T]) -> T:
        """Use one generation, and again after vectors that it turned out to take have been made.

        Raises:
            CollectionError: reindexing overtakes it again and again.
        """
        for _ in range(ATTEMPTS):
            try:
                with self.collection.reading() as view:
                    return use(view)
            except NotPrepared as missing:  # or a reindex has changed the encoder since
                vectors.prepare(missing.identity)
        raise CollectionError(f"collection {self.collection.path} keeps being re-encoded; try again later")

    def close(self) -> None:
        """Close the collection, end the worker process and let go of the encoder."""
        self.encoders.forget()
        if self._pool is not None:
            self._pool.close()
        self.collection.close()
