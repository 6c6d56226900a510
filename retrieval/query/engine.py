"""Search: joins a collection and the encoder that built it. Queries in, hits out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import Collection, CollectionInfo
from retrieval.errors import (
    CollectionError,
    IdentityMismatch,
    NothingOfKind,
    PlacedQueryError,
    QueryError,
    UsageError,
)
from retrieval.identity import Identity
from retrieval.query.compose import compose
from retrieval.query.location import collection_path
from retrieval.query.parts import Part, Query, Queryable, TextPart
from retrieval.query.pictures import read_picture
from retrieval.shell import shell_command
from retrieval.types import Hit, Kind, Limits

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

DEFAULT_LIMITS = Limits()
ATTEMPTS = 5  # re-encodings (vlsearch reindex) that may overtake one search before it gives up


def open_engine(
    path: str | Path | None = None,
    *,
    encoder: Encoder | str | Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SearchEngine:
    """A collection, ready to be searched; close it, or use it in a ``with`` statement.

    Args:
        path: the collection's folder; by default ``$VLSEARCH_COLLECTION``, else the one that ``vlsearch
            index`` fills by default.
        encoder: an encoder, or a name or folder to load one from; by default the one that the collection
            names. It must be the one that the collection was built with.
        limits: what is accepted of a query's pictures.

    Raises:
        CollectionNotFound: there is none.
        CollectionTooNew: a newer vlsearch wrote it.
        CollectionDamaged: its catalogue or a segment cannot be read.
    """
    return SearchEngine(Collection.open(collection_path(path)), encoder, limits)


class SearchEngine:
    """A collection and its encoder, which is loaded when a query first needs it; many threads may share it.

    Owns the collection: :meth:`close` closes it. Make one with :func:`retrieval.open`.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder | str | Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.collection = collection
        self.limits = limits
        self._given = encoder
        self._loaded: Encoder | None = None
        self._lock = threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The collection's encoder, loaded now if it has not been.

        Raises:
            CollectionError: nothing has been indexed, so no encoder is bound.
            IdentityMismatch: the encoder given or found is not the one that the collection was built with.
        """
        return self._encoder_for(self._identity())

    def search(
        self,
        query: Query | Queryable | Sequence[Queryable],
        k: int = 10,
        find: Kind | None = None,
        distinct: bool = False,
    ) -> list[Hit]:
        """The k items that answer a query best: by score descending, exact ties by item id.

        Args:
            query: a ``str`` is always a text; a ``Path``, bytes or PIL picture is a picture; several parts,
                plain or weighted, are summed.
            k: >= 1; fewer hits come back only where the collection holds fewer.
            find: the kind of item wanted. By default words find pictures, pictures find texts, and a query
                of both finds pictures; a kind that the collection has none of gives way to the other.
            distinct: give equal contents once, as the item with the lowest id.

        Raises:
            QueryError: the query is empty, one of its pictures cannot be read, its parts cancel each other
                out, or the collection holds nothing of the kind that ``find`` names.
            UsageError: k is below 1.
            CollectionError: the collection is empty.
            IdentityMismatch: the encoder is not the one that the collection was built with.
        """
        return self._search([Query.of(query)], k, find, distinct)[0]

    def search_batch(
        self,
        queries: Sequence[Query | Queryable | Sequence[Queryable]],
        k: int = 10,
        find: Kind | None = None,
        distinct: bool = False,
    ) -> list[list[Hit]]:
        """The hits of each query; the same bits as from :meth:`search`, but one pass over the collection.

        Each direction (queries that find pictures, queries that find texts) is answered in one generation.

        Raises:
            QueryError: as :meth:`search`; the sentence begins with the query's place, else ``query N``,
                counted from 1.
        """
        parsed = []
        for number, query in enumerate(queries, start=1):
            with _named(f"query {number}"):
                parsed.append(Query.of(query))
        return self._search(parsed, k, find, distinct) if parsed else []

    def info(self) -> CollectionInfo:
        """The collection's totals, counted in one generation."""
        return self.collection.info()

    def close(self) -> None:
        """Close the collection and let go of the encoder."""
        self._loaded = None
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _search(self, queries: Sequence[Query], k: int, find: Kind | None, distinct: bool) -> list[list[Hit]]:
        if k < 1:
            raise UsageError(f"k is {k}; ask for at least 1 hit")
        for _ in range(ATTEMPTS):
            identity = self._identity()
            kinds = self._directions(queries, find)
            vectors = _encode(self._encoder_for(identity), queries, self.limits)
            try:
                hits = self._rank(vectors, kinds, k, distinct)
            except (
                Exception
            ):  # a reindex in between may have changed the dimension; ours to report only if not
                if self._identity().digest == identity.digest:
                    raise
                continue
            if self._identity().digest == identity.digest:
                return hits
        raise CollectionError(f"collection {self.collection.path} keeps being re-encoded; try again later")

    def _rank(
        self, vectors: NDArray[np.float32], kinds: Sequence[Kind], k: int, distinct: bool
    ) -> list[list[Hit]]:
        answers: list[list[Hit]] = [[] for _ in kinds]
        for kind in sorted(set(kinds)):
            numbers = [number for number, wanted in enumerate(kinds) if wanted == kind]
            for number, hits in zip(
                numbers, self.collection.search(vectors[numbers], kind, k, distinct), strict=True
            ):
                answers[number] = hits
        return answers

    def _directions(self, queries: Sequence[Query], find: Kind | None) -> list[Kind]:
        held: dict[Kind, bool] = {"image": self.collection.has("image"), "text": self.collection.has("text")}
        if not any(held.values()):
            raise self._empty()
        if find is None:
            return [direction(query, held) for query in queries]
        if not held[find]:
            raise NothingOfKind(self.collection.path, find)
        return [find] * len(queries)

    def _identity(self) -> Identity:
        identity = self.collection.identity
        if identity is None:
            raise self._empty()
        return identity

    def _empty(self) -> CollectionError:
        path = self.collection.path
        return CollectionError(
            f"collection {path} is empty; fill it with: {shell_command('index', 'CORPUS', '--collection', path)}"
        )

    def _encoder_for(self, identity: Identity) -> Encoder:
        with self._lock:
            if self._loaded is not None and self._loaded.identity.digest == identity.digest:
                return self._loaded
            encoder = self._load(identity)
            given = encoder.identity
            if given.digest != identity.digest:
                raise IdentityMismatch(
                    self.collection.path, identity.name, given.name, identity.difference(given)
                )
            self._loaded = encoder
            return encoder

    def _load(self, identity: Identity) -> Encoder:
        given = self._given
        if given is not None and not isinstance(given, (str, Path)):
            return given
        from retrieval.encoders.registry import load_bound_encoder, load_encoder  # late: brings torch

        return load_encoder(given) if given is not None else load_bound_encoder(identity)


def direction(query: Query, held: dict[Kind, bool]) -> Kind:
    """The kind of item that a query finds where nobody says: texts for pictures alone, else pictures.

    ``held`` says which kinds the collection has any of (at least one); the kind that it lacks gives way.
    """
    wanted: Kind = "text" if query.only_pictures else "image"
    other: Kind = "image" if wanted == "text" else "text"
    return wanted if held[wanted] else other


def _encode(encoder: Encoder, queries: Sequence[Query], limits: Limits) -> NDArray[np.float32]:
    """Query vectors, (q, d) float32 unit rows, whose bits do not depend on the other queries."""
    vectors = []
    known: dict[object, NDArray[np.float32]] = {}
    for number, query in enumerate(queries, start=1):
        with _named(query.place or (f"query {number}" if len(queries) > 1 else None)):
            rows = np.stack([_encode_part(encoder, part, limits, known) for part in query.parts])
            vectors.append(compose(rows, [part.weight for part in query.parts]))
    return np.stack(vectors)


@contextmanager
def _named(place: str | None) -> Iterator[None]:
    """Errors say which query of a batch they are about."""
    try:
        yield
    except QueryError as error:
        if place is None:
            raise
        raise PlacedQueryError(place, error) from error


def _encode_part(
    encoder: Encoder, part: Part, limits: Limits, known: dict[object, NDArray[np.float32]]
) -> NDArray[np.float32]:
    """One row, (d,) float32. Every row is encoded alone: a batch's size changes the last bits of its rows.

    ``known`` holds the rows of the texts and of the pictures with a name that were met so far.
    """
    name = _name(part)
    if name in known:
        return known[name]
    if isinstance(part, TextPart):
        rows = encoder.encode_texts([part.words], batch_size=1)
    else:
        picture = read_picture(part.source, limits, encoder.image_size)
        rows = encoder.encode_images([picture], batch_size=1)
    vector: NDArray[np.float32] = rows[0]
    if name is not None:
        known[name] = vector
    return vector


def _name(part: Part) -> object:
    """What two parts with one vector share; None where that is unknown."""
    if isinstance(part, TextPart):
        return ("text", part.words)
    return ("picture", part.source) if isinstance(part.source, (Path, str)) else None
