"""What approximate indexes lose: recall of the exact first k on the same text queries, latency, memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.faiss_factory import FactoryIndex, one_thread
from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError, UsageError
from retrieval.evaluation.ranks import top_items
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.searching import CollectionIndex, Latency
from retrieval.types import OnProgress, Progress

FETCH = 4  # candidates asked of an index for each hit: they are scored exactly, as the engine does it

OWN = "own"
"""Name of the approximate index that a collection has (``vlsearch optimize``)."""


@dataclass(frozen=True, slots=True)
class IndexFigures:
    """One index against exact search on the same text queries.

    Attributes:
        name: FAISS's factory string, with search settings after a semicolon: ``IVF32,Flat;nprobe=4``; or
            :data:`OWN`.
        k: depth of the comparison.
        recall: mean share of the exact first k that it found.
        hits: queries with a relevant item among its first k.
        exact_hits: the same with exact search.
        queries: the denominator of both.
        gallery: images that it holds.
        latency: of single queries, exact re-scoring included; of :data:`OWN`, as a user's search, hits included.
        bytes: of the index, as FAISS writes it; of :data:`OWN`, on disk.
        build_seconds: training and adding; None of :data:`OWN`, which was there before.
    """

    name: str
    k: int
    recall: float
    hits: int
    exact_hits: int
    queries: int
    gallery: int
    latency: Latency
    bytes: int
    build_seconds: float | None


def usual_indexes(images: int) -> tuple[str, ...]:
    """Index choices that span speed against recall, for a number of images.

    Inverted lists number the square root of the images, but hold 40 images or more each: the least that
    FAISS trains on without a warning.
    """
    lists = max(1, min(int(images**0.5), images // 40))
    inverted = (f"IVF{lists},Flat;nprobe={probes}" for probes in (1, 4, 16) if probes <= lists)
    graphs = (f"HNSW32;efSearch={width}" for width in (16, 64, 256))
    return ("Flat", "SQ8", *graphs, *inverted)


def measure_indexes(
    names: Sequence[str],
    queries: NDArray[np.float32],
    gallery: NDArray[np.float32],
    relevance: Relevance,
    k: int = 10,
    advance: OnProgress | None = None,
    own: CollectionIndex | None = None,
) -> list[IndexFigures]:
    """Compare approximate indexes of a gallery of images with exact search on text queries.

    Those of FAISS are built now.

    Text queries, since they lie outside the distribution of the images: an approximate index loses far more
    of them than of image queries. What an index proposes is scored exactly, so it can miss items but not
    misplace them.

    Args:
        names: as :attr:`IndexFigures.name`; one that differs from another in its settings alone is built once.
        queries: (q, d) float32 unit rows of texts.
        gallery: (n, d) float32 unit rows of images.
        relevance: of q queries and n images.
        k: depth of the comparison; at most n is used.
        advance: told of progress.
        own: the index of the collection that the gallery is of, measured under the name :data:`OWN`.

    Raises:
        EvaluationError: FAISS knows no such index or setting, or cannot train it on so few images; or there is no
            ``own`` one to measure, or no image.
    """
    if not len(gallery):
        raise EvaluationError(
            "no picture of the collection can be found; there is nothing to compare indexes on"
        )
    k = min(k, len(gallery))
    exact = [set(best) for best in top_items(queries, gallery, k)[0].tolist()]
    wanted = [set(relevance.answers(query).tolist()) for query in range(relevance.queries)]
    exact_hits = sum(bool(best & answers) for best, answers in zip(exact, wanted, strict=True))
    built: dict[str, FactoryIndex] = {}
    figures = []
    for name in names:
        index = _own(own) if name == OWN else _prepared(name, gallery, built)
        with one_thread():
            found, seconds = _search(_best_by(index, gallery, k), queries, advance, name)
        figures.append(
            IndexFigures(
                name=name,
                k=k,
                recall=sum(len(a & b) for a, b in zip(found, exact, strict=True)) / (k * len(queries)),
                hits=sum(bool(rows & answers) for rows, answers in zip(found, wanted, strict=True)),
                exact_hits=exact_hits,
                queries=len(queries),
                gallery=len(gallery),
                latency=Latency.of(seconds),
                bytes=index.size_bytes,
                build_seconds=index.build_seconds if isinstance(index, FactoryIndex) else None,
            )
        )
    return figures


def check_index_names(names: Sequence[str], dimension: int) -> None:
    """Refuse a name of no index, or with settings that it has not, before anything is encoded.

    Raises:
        UsageError: one is such a name.
    """
    built: dict[str, FactoryIndex] = {}
    for name in names:
        if name != OWN:
            try:
                _prepared(name, np.empty((0, dimension), np.float32), built)
            except EvaluationError as error:
                raise UsageError(str(error)) from error


def _own(index: CollectionIndex | None) -> CollectionIndex:
    if index is None:
        raise EvaluationError(
            f"there is no index {OWN!r} to measure: no --collection was given, or it has no approximate index of its "
            "pictures; vlsearch optimize builds one"
        )
    return index


def _prepared(name: str, gallery: NDArray[np.float32], built: dict[str, FactoryIndex]) -> FactoryIndex:
    """Give an index of FAISS with the settings of its name, built now if it is not among those built before."""
    factory, _, settings = name.partition(";")
    if factory not in built:
        built[factory] = _build(factory, gallery)
    _set(built[factory], name, settings)
    return built[factory]


def _build(factory: str, gallery: NDArray[np.float32]) -> FactoryIndex:
    try:
        return FactoryIndex(factory, gallery)
    except ValueError as error:
        of_pictures = f" over {len(gallery):,} pictures" if len(gallery) else ""
        raise EvaluationError(
            f"FAISS cannot build an index {factory!r}{of_pictures} ({error}); name another with --index"
        ) from error


def _set(index: FactoryIndex, name: str, settings: str) -> None:
    if not settings:
        return
    try:
        for setting in settings.split(","):
            parameter, _, value = setting.partition("=")
            index.set(parameter, float(value))
    except ValueError as error:
        raise EvaluationError(
            f"FAISS takes no setting {settings!r} of the index {name!r}; write one such as nprobe=4 or efSearch=64, "
            "1 or more, after the semicolon"
        ) from error


Best = Callable[[NDArray[np.float32]], NDArray[np.int64]]


def _best_by(index: FactoryIndex | CollectionIndex, gallery: NDArray[np.float32], k: int) -> Best:
    """Give what finds the first k rows for a query through an index."""
    if not isinstance(index, FactoryIndex):
        return lambda query: index.best(query, k)

    def best(query: NDArray[np.float32]) -> NDArray[np.int64]:
        rows = index.propose(query, min(FETCH * k, len(gallery)))
        return rows[np.lexsort((rows, -exact_scores(gallery[rows], query)))[:k]]

    return best


def _search(
    best: Best, queries: NDArray[np.float32], advance: OnProgress | None, name: str
) -> tuple[list[set[int]], list[float]]:
    found, seconds = [], []
    for done, query in enumerate(queries, 1):
        start = time.perf_counter()
        rows = best(query)
        seconds.append(time.perf_counter() - start)
        found.append(set(rows.tolist()))
        if advance:
            advance(Progress(f"measuring {name}", done, len(queries)))
    return found, seconds
