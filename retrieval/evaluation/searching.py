"""Evaluation through the engine: what a user's query returns is what is scored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from retrieval.collection import schema
from retrieval.collection.catalogue import connect, read_generation
from retrieval.collection.snapshot import read_snapshot
from retrieval.errors import EvaluationError
from retrieval.evaluation.embedding import Advance
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.types import CorpusImage, CorpusText, Kind

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
    pictures: NDArray[np.float32],
    texts: NDArray[np.float32],
    depth: int,
    advance: Advance | None = None,
) -> Searched:
    """Ask a collection every query, one at a time, as users do.

    Items of the collection that are not of the evaluation take their places in the lists as row -1: they push
    others down, as they do for a user.

    Args:
        collection: must hold every picture and text that can answer.
        evaluated: whose queries are asked.
        pictures: (pictures, d) float32 unit rows by the collection's encoder, each encoded alone, as a query is.
        texts: (texts, d) likewise.
        depth: hits a query.
        advance: told of progress.

    Raises:
        EvaluationError: the collection lacks pictures or texts of the evaluation.
    """
    check_holds(collection, evaluated)
    lists: dict[Direction, list[NDArray[np.int64]]] = {}
    latency: dict[Direction, Latency] = {}
    for direction, side in evaluated.sides.items():
        find: Kind = "image" if direction == "text to image" else "text"
        gallery: Sequence[CorpusImage | CorpusText] = (
            evaluated.pictures if find == "image" else evaluated.texts
        )
        rows = {item.uri: row for row, item in enumerate(gallery)}
        vectors = texts if find == "image" else pictures
        found, seconds = [], []
        for done, query in enumerate(side.asking.tolist(), 1):
            start = time.perf_counter()
            hits = collection.search(vectors[query : query + 1], find, depth)[0]
            seconds.append(time.perf_counter() - start)
            found.append(np.array([rows.get(hit.uri, -1) for hit in hits], dtype=np.int64))
            if advance:
                advance(f"searching, {direction}", done, len(side.asking))
        lists[direction], latency[direction] = found, Latency.of(seconds)
    return Searched(lists, latency)


def collection_pictures(path: Path) -> tuple[list[str], NDArray[np.float32]]:
    """Uris of the pictures of a collection that are not hidden, by item id, and their vectors, (n, d) float32."""
    items, encodings = schema.items, schema.encodings
    engine = connect(path, "read")
    try:
        with engine.connect() as connection, connection.begin():
            snapshot = read_snapshot(connection, path, read_generation(connection), None)
            found = connection.execute(
                select(items.c.uri, items.c.id.label("item_id"), encodings.c.id)
                .join(encodings, encodings.c.content_id == items.c.content_id)
                .where(items.c.kind == "image", encodings.c.encoder_id == snapshot.encoder_id)
                .order_by(items.c.id)
            ).all()
    finally:
        engine.dispose()
    hidden = set(snapshot.hidden["image"].tolist())
    found = [row for row in found if row.item_id not in hidden]
    segments = [segment for segment in snapshot.segments["image"].values() if segment.rows]
    ids = np.concatenate([np.asarray(segment.ids) for segment in segments])
    vectors = np.concatenate([segment.vectors(np.arange(segment.rows)) for segment in segments])
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids, [row.id for row in found], sorter=order)]
    return [row.uri for row in found], np.ascontiguousarray(vectors[rows])


def check_holds(collection: Collection, evaluated: EvaluationSet) -> None:
    """Refuse a collection that lacks pictures or texts that can answer.

    Raises:
        EvaluationError: with how many, and the first.
    """
    for direction in evaluated.sides:
        kind: Kind = "image" if direction == "text to image" else "text"
        gallery: Sequence[CorpusImage | CorpusText] = (
            evaluated.pictures if kind == "image" else evaluated.texts
        )
        held = _uris(collection, kind)
        missing = [item.uri for item in gallery if item.uri not in held]
        if missing:
            noun = "pictures" if kind == "image" else "texts"
            raise EvaluationError(
                f"collection {collection.path} lacks {len(missing):,} of the {len(gallery):,} {noun} of the "
                f"evaluation, the first is {missing[0]}; index the same corpus into it, or leave --collection out"
            )


def _uris(collection: Collection, kind: Kind) -> set[str]:
    engine = connect(collection.path, "read")
    try:
        with engine.connect() as connection:
            return set(
                connection.execute(select(schema.items.c.uri).where(schema.items.c.kind == kind)).scalars()
            )
    finally:
        engine.dispose()
