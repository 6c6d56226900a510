"""Evaluate a collection by asking it the queries of an evaluation set, as a user would."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.types import CorpusImage, CorpusText, Kind, OnProgress, Progress, Request

if TYPE_CHECKING:
    from retrieval.collection import Collection


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds a query, one query at a time: percentiles over all queries."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Percentiles of measured times."""
        p50, p95, p99 = np.quantile(np.array(seconds), [0.5, 0.95, 0.99]).tolist()
        return cls(p50, p95, p99)


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """Ranked rows of each query, by direction, and how long the searches took."""

    lists: dict[Direction, list[NDArray[np.int64]]]
    latency: dict[Direction, Latency]


def search_collection(
    collection: Collection,
    evaluated: EvaluationSet,
    images: NDArray[np.float32],
    texts: NDArray[np.float32],
    depth: int,
    advance: OnProgress | None = None,
) -> Searched:
    """Ask a collection every query, one at a time, as users do.

    Items of the collection that are not of the evaluation take their places in the lists as row -1: they push
    others down, as they do for a user.

    Args:
        collection: must hold every image and text that can answer.
        evaluated: whose queries are asked.
        images: (images, d) float32 unit rows by the collection's encoder, each encoded alone, as a query is.
        texts: (texts, d) likewise.
        depth: hits a query.
        advance: told of progress.

    Raises:
        EvaluationError: the collection lacks images or texts of the evaluation.
    """
    check_holds(collection, evaluated)
    lists: dict[Direction, list[NDArray[np.int64]]] = {}
    latency: dict[Direction, Latency] = {}
    for (direction, task), (find, gallery) in zip(
        evaluated.directions.items(), _galleries(evaluated), strict=True
    ):
        rows = {item.uri: row for row, item in enumerate(gallery)}
        vectors = texts if find == "image" else images
        found, seconds = [], []
        for done, query in enumerate(task.query_rows.tolist(), 1):
            start = time.perf_counter()
            hits = collection.search(vectors[query : query + 1], find, depth, exact=True)[0]
            seconds.append(time.perf_counter() - start)
            found.append(np.array([rows.get(hit.uri, -1) for hit in hits], dtype=np.int64))
            if advance:
                advance(Progress(f"searching, {direction}", done, len(task.query_rows)))
        lists[direction], latency[direction] = found, Latency.of(seconds)
    return Searched(lists, latency)


class CollectionImages(NamedTuple):
    """The images of a collection that are not hidden and have a vector, by item id.

    Attributes:
        ids: (n,) int64 item ids, ascending.
        uris: of the items.
        vectors: (n, d) float32 unit rows.
    """

    ids: NDArray[np.int64]
    uris: list[str]
    vectors: NDArray[np.float32]


def collection_images(collection: Collection) -> CollectionImages:
    """Read the images of a collection that can be found, in one generation."""
    ids, uris, encodings = [], [], []
    with collection.reading() as view:
        for page in view.pages("image"):
            for item in page:
                if item.encoding is not None and not view.hides(item.id):
                    ids.append(item.id)
                    uris.append(item.uri)
                    encodings.append(item.encoding)
        return CollectionImages(np.array(ids, np.int64), uris, view.vectors("image", encodings))


@dataclass(frozen=True, slots=True, eq=False)
class CollectionIndex:
    """The approximate index of a collection's images: an accelerator of a folder, or a server's index.

    Attributes:
        collection: that is searched, as users do, but without regions, which no gallery of whole images has.
        ids: (n,) int64 item ids of the gallery, ascending.
        size_bytes: of the index on disk.
    """

    collection: Collection
    ids: NDArray[np.int64]
    size_bytes: int

    @classmethod
    def of(cls, collection: Collection, images: CollectionImages) -> CollectionIndex | None:
        """Give the one that a collection has; None where it has none, and all vectors are scanned."""
        facts = collection.info().accelerators.get("image")
        return None if facts is None else cls(collection, images.ids, facts.bytes)

    def best(self, query: NDArray[np.float32], k: int) -> NDArray[np.int64]:
        """Search for a query, (d,) float32; give the rows of the gallery that are found, -1 for what is not in it."""
        with self.collection.reading() as view:
            [hits] = view.search(query[None], "image", Request(k, regions=False))
        found = np.array([hit.id for hit in hits], np.int64)
        rows = np.minimum(np.searchsorted(self.ids, found), len(self.ids) - 1)
        return np.where(self.ids[rows] == found, rows, -1)


def check_holds(collection: Collection, evaluated: EvaluationSet) -> None:
    """Refuse a collection that lacks images or texts that can answer.

    Raises:
        EvaluationError: with how many, and the first.
    """
    for kind, gallery in _galleries(evaluated):
        held = _uris(collection, kind)
        missing = [item.uri for item in gallery if item.uri not in held]
        if missing:
            noun = "pictures" if kind == "image" else "texts"
            raise EvaluationError(
                f"collection {collection.path} lacks {len(missing):,} of the {len(gallery):,} {noun} of the "
                f"evaluation, the first is {missing[0]}; index the same corpus into it, or leave --collection out"
            )


def hidden_notes(collection: Collection, evaluated: EvaluationSet) -> Iterator[str]:
    """Say how many of the images and texts that can answer a collection hides."""
    for kind, gallery in _galleries(evaluated):
        hides = _uris(collection, kind, hidden=True)
        if hidden := sum(item.uri in hides for item in gallery):
            noun = "pictures" if kind == "image" else "texts"
            yield (
                f"{hidden:,} of the {len(gallery):,} {noun} are hidden in collection {collection.path}: "
                "its searches do not find them, and they count as missed"
            )


def _galleries(evaluated: EvaluationSet) -> Iterator[tuple[Kind, Sequence[CorpusImage | CorpusText]]]:
    """Give what can answer, by its kind."""
    for direction in evaluated.directions:
        if direction == "text to image":
            yield "image", evaluated.images
        else:
            yield "text", evaluated.texts


def _uris(collection: Collection, kind: Kind, hidden: bool = False) -> set[str]:
    """Read the uris of a kind's items, or of its hidden ones."""
    with collection.reading() as view:
        return {row.uri for page in view.pages(kind) for row in page if not hidden or view.hides(row.id)}
