"""Vectors of a query's parts: the stored one of what the collection holds, else one by the encoder.

A content has one vector in a collection, whoever asks with it. So a query that is made of contents and keys that the
collection holds needs no encoder at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import Collection
from retrieval.collection.stored import KeyedVector
from retrieval.contents import picture_digest, pixel_digest, text_digest
from retrieval.errors import PlacedQueryError, QueryError
from retrieval.query.compose import compose
from retrieval.query.parts import KeyPart, Part, PicturePart, Query, TextPart
from retrieval.query.pictures import encode_source, read_source
from retrieval.types import Kind

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder


class QueryVectors:
    """The vectors of the queries of one search, whose bits do not depend on the other queries."""

    def __init__(
        self,
        collection: Collection,
        keyed: Mapping[str, KeyedVector],
        pool: DecodePool,
        load: Callable[[], Encoder],
    ) -> None:
        self._collection, self._keyed, self._pool, self._load = collection, keyed, pool, load
        self._known: dict[object, NDArray[np.float32]] = {}

    def compose(self, queries: Sequence[Query]) -> NDArray[np.float32]:
        """One unit row a query, (q, d) float32.

        Raises:
            QueryError: a picture cannot be read, the item of a key has no vector, or parts cancel each other out.
        """
        texts = {part.words for query in queries for part in query.parts if isinstance(part, TextPart)}
        digests: dict[tuple[Kind, bytes], str] = {("text", text_digest(words)): words for words in texts}
        for content, vector in self._collection.vectors(digests).items():
            self._known["text", digests[content]] = vector
        vectors = []
        for number, query in enumerate(queries, start=1):
            with named(query.place or (f"query {number}" if len(queries) > 1 else None)):
                rows = np.stack([self._row(part) for part in query.parts])
                vectors.append(compose(rows, [part.weight for part in query.parts]))
        return np.stack(vectors)

    def _row(self, part: Part) -> NDArray[np.float32]:
        """One row, (d,) float32. Every row is encoded alone: a batch's size changes the last bits of its rows."""
        name = _name(part)
        if name is not None and name in self._known:
            return self._known[name]
        if isinstance(part, KeyPart):
            vector = self._of_key(part.key)
        elif isinstance(part, PicturePart):
            vector = self._of_picture(part)
        else:
            vector = self._load().encode_texts([part.words], batch_size=1)[0]
        if name is not None:
            self._known[name] = vector
        return vector

    def _of_key(self, key: str) -> NDArray[np.float32]:
        vector = self._keyed[key].vector
        if vector is None:
            raise QueryError(f"the item with the key {key!r} has no vector yet; index its corpus again")
        return vector

    def _of_picture(self, part: PicturePart) -> NDArray[np.float32]:
        source = part.source
        if isinstance(source, (Path, str, bytes)):
            data = read_source(source, self._pool.limits)
            stored = self._stored(picture_digest(data))
            if stored is not None:
                return stored
            self._pool.start()  # while the encoder is loaded
            return encode_source(data, source, self._load(), self._pool)
        stored = self._stored(pixel_digest(source))
        if stored is not None:
            return stored
        row: NDArray[np.float32] = self._load().encode_images([source], batch_size=1)[0]
        return row

    def _stored(self, digest: bytes) -> NDArray[np.float32] | None:
        return self._collection.vectors([("image", digest)]).get(("image", digest))


@contextmanager
def named(place: str | None) -> Iterator[None]:
    """A block whose query errors say which query of a batch they are about."""
    try:
        yield
    except QueryError as error:
        if place is None:
            raise
        raise PlacedQueryError(place, error) from error


def _name(part: Part) -> object:
    """What two parts with one vector share; None where that is unknown."""
    if isinstance(part, TextPart):
        return ("text", part.words)
    if isinstance(part, KeyPart):
        return ("key", part.key)
    return ("picture", part.source) if isinstance(part.source, (Path, str)) else None
