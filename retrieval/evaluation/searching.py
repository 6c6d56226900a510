"""Evaluation through the engine, as users search, and what approximate indexes lose."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.evaluation.ranks import top_items
from retrieval.types import Kind, Picture, Text

if TYPE_CHECKING:
    from retrieval.collection import Collection

FETCH = (
    4  # candidates asked of an approximate index for each hit: they are scored exactly, as the engine does
)


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


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """One approximate index against exact search on the same text queries.

    Attributes:
        factory: FAISS's name of the index.
        k: depth of the comparison.
        recall: mean share of the exact first k that it found.
        hit_rate: of the queries, with the index, at k.
        exact_hit_rate: without.
        latency: of single queries, exact re-scoring included.
        bytes: of the index, as FAISS writes it.
        build_seconds: training and adding.
    """

    factory: str
    k: int
    recall: float
    hit_rate: float
    exact_hit_rate: float
    latency: Latency
    bytes: int
    build_seconds: float


def search_collection(
    collection: Collection,
    evaluated: EvaluationSet,
    pictures: NDArray[np.float32],
    texts: NDArray[np.float32],
    depth: int,
    advance: Callable[[str, int, int], None] | None = None,
) -> Searched:
    """Ask a collection every query, one at a time, as users do.

    Items of the collection that are not of the evaluation take their places in the lists as row -1: they push
    others down, as they do for a user.

    Args:
        collection: must hold every picture and text that can answer.
        evaluated: whose queries are asked.
        pictures: (pictures, d) float32 unit rows by the collection's encoder.
        texts: (texts, d) likewise.
        depth: hits a query.
        advance: told of progress.

    Raises:
        EvaluationError: the collection lacks pictures or texts of the evaluation.
    """
    lists: dict[Direction, list[NDArray[np.int64]]] = {}
    latency: dict[Direction, Latency] = {}
    for direction, side in evaluated.sides.items():
        find: Kind = "image" if direction == "text to image" else "text"
        gallery: Sequence[Picture | Text] = evaluated.pictures if find == "image" else evaluated.texts
        rows = {item.uri: row for row, item in enumerate(gallery)}
        _check_holds(collection, find, rows)
        vectors = texts if find == "image" else pictures
        found, seconds = [], []
        for done, query in enumerate(side.asking.tolist(), 1):
            start = time.perf_counter()
            hits = collection.search(vectors[query : query + 1], find, depth)[0]
            seconds.append(time.perf_counter() - start)
            found.append(np.array([rows.get(hit.uri, -1) for hit in hits], dtype=np.int64))
            if advance:
                advance(f"searching {direction}", done, len(side.asking))
        lists[direction], latency[direction] = found, Latency.of(seconds)
    return Searched(lists, latency)


def measure_index(
    factory: str,
    evaluated: EvaluationSet,
    pictures: NDArray[np.float32],
    texts: NDArray[np.float32],
    k: int = 10,
) -> IndexFigures:
    """Build a FAISS index over the pictures and compare it with exact search, on the text queries of the evaluation.

    Text queries, since they lie outside the distribution of the pictures: an approximate index loses far more
    of them than of picture queries. What it proposes is scored exactly, so it can miss items but not misplace
    them.

    Raises:
        EvaluationError: FAISS knows no such index, or cannot train it on so few pictures.
    """
    import faiss

    if "text to image" not in evaluated.sides:
        raise EvaluationError("an index is measured on text queries, and this evaluation has none")
    side = evaluated.sides["text to image"]
    queries = np.ascontiguousarray(texts[side.asking])
    start = time.perf_counter()
    try:
        index = faiss.index_factory(pictures.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        index.train(pictures)
        index.add(pictures)
    except RuntimeError as error:
        reason = str(error).split("failed:")[-1].strip()
        raise EvaluationError(
            f"FAISS cannot build an index {factory!r} over {len(pictures):,} pictures ({reason}); name "
            f"another with --index"
        ) from error
    build = time.perf_counter() - start
    k = min(k, len(pictures))
    exact, _ = top_items(queries, pictures, k)
    answers = [set(side.relevance.answers(query).tolist()) for query in side.asking.tolist()]
    shared, hits, exact_hits, seconds = 0, 0, 0, []
    for query, best, wanted in zip(queries, exact.tolist(), answers, strict=True):
        start = time.perf_counter()
        _, proposed = index.search(query[None], min(FETCH * k, len(pictures)))
        rows = np.sort(proposed[0][proposed[0] >= 0])
        order = np.lexsort((rows, -exact_scores(pictures[rows], query)))[:k]
        seconds.append(time.perf_counter() - start)
        found = set(rows[order].tolist())
        shared += len(found & set(best))
        hits += bool(found & wanted)
        exact_hits += bool(set(best) & wanted)
    return IndexFigures(
        factory=factory,
        k=k,
        recall=shared / (k * len(queries)),
        hit_rate=hits / len(queries),
        exact_hit_rate=exact_hits / len(queries),
        latency=Latency.of(seconds),
        bytes=int(faiss.serialize_index(index).nbytes),
        build_seconds=build,
    )


def _check_holds(collection: Collection, kind: Kind, rows: dict[str, int]) -> None:
    held = _uris(collection, kind)
    missing = [uri for uri in rows if uri not in held]
    if missing:
        noun = "pictures" if kind == "image" else "texts"
        raise EvaluationError(
            f"collection {collection.path} lacks {len(missing):,} of the {len(rows):,} {noun} of the "
            f"evaluation, the first "
            f"is {missing[0]}; index the same corpus into it, or leave --collection out"
        )


def _uris(collection: Collection, kind: Kind) -> set[str]:
    from sqlalchemy import select

    from retrieval.collection import schema
    from retrieval.collection.catalogue import connect

    engine = connect(collection.path, "read")
    try:
        with engine.connect() as connection:
            return set(
                connection.execute(select(schema.items.c.uri).where(schema.items.c.kind == kind)).scalars()
            )
    finally:
        engine.dispose()
