"""Vectors of a query's parts: the stored one of what the collection holds, else one by the encoder.

A content has one vector in a collection, whoever asks with it. So a query that is made of contents and keys that the
collection holds needs no encoder at all; nor does one of texts that were asked before, which
:mod:`~retrieval.query.text_cache` keeps. What takes long (loading the encoder, reading and encoding images) is done
between transactions; the rest, in the one transaction that also searches.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import Collection, View
from retrieval.collection.stored import StoredVector
from retrieval.contents import pixel_digest, text_digest
from retrieval.encoders.base import encode_asked_image, encode_asked_texts
from retrieval.errors import PlacedQueryError, QueryError
from retrieval.identity import Identity
from retrieval.query.compose import compose
from retrieval.query.parts import Crop, ImagePart, Part, Query, TextPart, name_of_stored
from retrieval.query.text_cache import find_vectors, keep_vectors
from retrieval.types import Kind

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder

Row = NDArray[np.float32]

_ENCODING = threading.BoundedSemaphore(2)
"""How many threads of a process encode at a time: networks take several cores each, unlike the rest of a search."""


class NotPrepared(Exception):
    """A query needs vectors of the encoder with this identity, to be made outside the transaction."""

    def __init__(self, identity: Identity) -> None:
        super().__init__(identity)
        self.identity = identity


class Encoders(Protocol):
    """Where the encoder of an identity comes from."""

    @property
    def remember_texts(self) -> bool:
        """Whether vectors of texts are kept for other processes, and taken from what those have kept."""
        ...

    def loaded(self, identity: Identity) -> Encoder | None:
        """Give the encoder if it has been loaded."""
        ...

    def load(self, identity: Identity) -> Encoder:
        """Load the encoder, which may take seconds."""
        ...


class QueryVectors:
    """The vectors of the queries of one search, whose bits do not depend on the other queries."""

    def __init__(
        self,
        queries: Sequence[Query],
        collection: Collection,
        encoders: Encoders,
        decode_pool: Callable[[], DecodePool],
    ) -> None:
        self._queries, self._collection, self._encoders = queries, collection, encoders
        self._decode_pool = decode_pool
        self._digest = ""  # of the identity whose rows are known
        self._images: dict[object, Row] = {}
        self._known: dict[str, Row] | None = None  # of texts that were asked before, once they are looked up
        self._encoded: dict[str, Row] = {}
        self._loaded_for: Identity | None = None  # the identity whose encoder this search had to load

    def prepare(self, identity: Identity) -> None:
        """Make ready what :meth:`compose` needs and what takes long: images' rows, else texts' or the encoder.

        Raises:
            QueryError: an image cannot be read.
            IdentityMismatch: the encoder found is not the one of this identity.
        """
        if self._digest != identity.digest:
            self._digest, self._images, self._known, self._encoded = identity.digest, {}, None, {}
            self._loaded_for = None
        images = [
            (name, part, place) for name, part, place in self._image_parts() if name not in self._images
        ]
        if not images and not self._recall(identity):
            if self._encoders.loaded(identity) is None:
                self._loaded_for = identity
            self._encoders.load(identity)
        for name, part, place in images:
            if name not in self._images:
                with with_place_in_errors(place):
                    self._images[name] = self._image_row(part, identity)

    def keep(self) -> None:
        """Keep the texts' rows for other processes, if the encoder had to be loaded for them.

        Not those of later queries: where the encoder is there, a row is computed as soon as it is kept.
        """
        if self._loaded_for is not None and self._encoders.remember_texts:
            keep_vectors(self._loaded_for, self._encoded)

    def compose(self, view: View, stored: Mapping[str | int, StoredVector]) -> Row:
        """Give one unit row a query, (q, d) float32.

        Raises:
            NotPrepared: call :meth:`prepare`, outside the view's block, and begin again.
            QueryError: the item of a key has no vector, or parts cancel each other out.
        """
        assert view.identity is not None, "queries are asked of a collection that has an encoder"
        if self._digest != view.identity.digest and any(self._image_parts()):
            raise NotPrepared(view.identity)
        texts = self._text_rows(view, view.identity)
        rows = []
        for number, query in enumerate(self._queries):
            with with_place_in_errors(self._place(number)):
                parts = [
                    self._part_row(part, (number, at), texts, stored) for at, part in enumerate(query.parts)
                ]
                rows.append(compose(np.stack(parts), [part.weight for part in query.parts]))
        return np.stack(rows)

    def _part_row(
        self,
        part: Part,
        at: tuple[int, int],
        texts: Mapping[str, Row],
        stored: Mapping[str | int, StoredVector],
    ) -> Row:
        if isinstance(part, TextPart):
            return texts[part.words]
        if isinstance(part, ImagePart):
            return self._images[_image_name(part, at)]
        name = name_of_stored(part)
        assert name is not None, "of the other kinds of part"
        vector = stored[name].vector
        if vector is None:
            item = f"the item with the key {name!r}" if isinstance(name, str) else f"item {name}"
            raise QueryError(f"{item} has no vector yet; index its corpus again")
        return vector

    def _text_rows(self, view: View, identity: Identity) -> dict[str, Row]:
        """Give the rows of all texts, each with the bits that it has alone."""
        texts = self._texts()
        digests: dict[tuple[Kind, bytes], str] = {("text", text_digest(words)): words for words in texts}
        rows = {digests[content]: row for content, row in view.content_vectors(digests).items()}
        if self._known and self._digest == identity.digest:
            rows = self._known | rows
        missing = texts - rows.keys()
        if missing:
            encoder = self._encoders.loaded(identity)
            if encoder is None:
                raise NotPrepared(identity)
            with _ENCODING:
                encoded = dict(zip(missing, encode_asked_texts(encoder, list(missing)), strict=True))
            self._encoded |= encoded
            rows |= encoded
        return rows

    def _texts(self) -> set[str]:
        return {part.words for query in self._queries for part in query.parts if isinstance(part, TextPart)}

    def _recall(self, identity: Identity) -> bool:
        """Look up texts that were asked before; whether any were found, so that the encoder may not be needed."""
        if self._known is not None or not self._encoders.remember_texts:
            return False
        self._known = find_vectors(identity, self._texts())
        return bool(self._known)

    def _image_row(self, part: ImagePart, identity: Identity) -> Row:
        source = part.source
        if isinstance(source, (Path, str, bytes)):
            from retrieval.query.image_sources import (
                content_of,
                encode_source,
                read_source,
            )  # late: words need neither

            pool = self._decode_pool()
            found = read_source(source, pool.limits)
            stored = None if part.crop else self._stored(content_of(found, source, pool), identity)
            if stored is not None:
                return stored
            pool.start()  # while the encoder is loaded
            encoder = self._encoders.load(identity)
            with _ENCODING:
                return encode_source(found, source, encoder, pool, part.crop)
        stored = None if part.crop else self._stored(pixel_digest(source), identity)
        if stored is not None:
            return stored
        image = source if part.crop is None else _cropped(source, part.crop)
        encoder = self._encoders.load(identity)
        with _ENCODING:
            return encode_asked_image(encoder, encoder.prepare_image(image))

    def _stored(self, digest: bytes, identity: Identity) -> Row | None:
        with self._collection.reading() as view:
            if view.identity is None or view.identity.digest != identity.digest:
                return None
            return view.content_vectors([("image", digest)]).get(("image", digest))

    def _image_parts(self) -> Iterator[tuple[object, ImagePart, str | None]]:
        for number, query in enumerate(self._queries):
            for at, part in enumerate(query.parts):
                if isinstance(part, ImagePart):
                    yield _image_name(part, (number, at)), part, self._place(number)

    def _place(self, number: int) -> str | None:
        return place_of(self._queries, number)


def place_of(queries: Sequence[Query], number: int) -> str | None:
    """Name a query of a batch for errors, by its number from 0; None for a single query."""
    return queries[number].place or (f"query {number + 1}" if len(queries) > 1 else None)


@contextmanager
def with_place_in_errors(place: str | None) -> Iterator[None]:
    """Run a block; its query errors are raised with the place of the query, if that is known."""
    try:
        yield
    except QueryError as error:
        if place is None:
            raise
        raise PlacedQueryError(place, error) from error


def _image_name(part: ImagePart, at: tuple[int, int]) -> object:
    """Name an image, so that equal paths and uris are read once; others by their place in the batch."""
    return (part.source, part.crop) if isinstance(part.source, (Path, str)) else at


def _cropped(image: Image, crop: Crop) -> Image:
    """Cut a part out of an image that the caller has decoded.

    Raises:
        QueryError: it reaches beyond the image.
    """
    from retrieval.query.image_sources import crop_in_shares

    width, height = image.size
    left, top, across, down = crop_in_shares(crop, width, height, "the picture")
    right, bottom = round((left + across) * width), round((top + down) * height)
    first = min(int(left * width), width - 1), min(int(top * height), height - 1)
    return image.crop((*first, max(right, first[0] + 1), max(bottom, first[1] + 1)))
