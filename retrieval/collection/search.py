"""The k best encodings of a store, exactly (docs/architecture.md, Ranking).

The store proposes, :func:`~retrieval.collection.score.exact_scores` decides. The store is asked for more until what
it has not proposed provably cannot be among the k best, so neither a burst of near-copies nor masked rows cost a hit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.stores.protocols import Proposals, VectorStore
from retrieval.types import Region

MARGIN_ROWS = 64  # proposed beyond k at first: nearly every query closes in one pass


@dataclass(frozen=True, slots=True)
class Candidates:
    """Live encodings that may be among the k best: all that score at least as the k-th, ties included.

    ``ids`` are encoding ids, (n,) int64; ``scores`` their exact scores, (n,) float32; in no particular order.
    ``regions`` has, by encoding id, the parts of images that score higher than the whole images.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    regions: Mapping[int, Region] = field(default_factory=dict)


def search(
    store: VectorStore, queries: NDArray[np.float32], k: int, masked: NDArray[np.int64]
) -> list[Candidates]:
    """Find for each query the encodings, masked ones left out, that score at least as its k-th best one does.

    Fewer than k come back only where fewer than k are not masked. The answer does not depend on how the store's rows
    are spread, on the other queries, on threads or on which rows are masked.

    Args:
        store: what is searched.
        queries: (q, d) float32 unit rows.
        k: >= 1.
        masked: encoding ids that are not to be found, ascending.
    """
    if not store.rows:
        return [Candidates(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    proposed = store.propose(queries, k + MARGIN_ROWS, masked)
    return [_exact_best(store, found, query, k) for found, query in zip(proposed, queries, strict=True)]


def _exact_best(store: VectorStore, found: Proposals, query: NDArray[np.float32], k: int) -> Candidates:
    """Score one query's proposals exactly, asking for more until no other row can be among the k best."""
    slack = 2 * error_bound(len(query))  # between the store's score of one row and of another
    while True:
        # A row whose proposed score is below the k-th live one by more than the slack is worse than k exact scores.
        floor = _kth(found.scores, k) - slack
        if found.unseen_bound < floor or found.unseen_bound == -np.inf:
            break
        found.deepen(floor)
    ids = found.ids[found.scores >= floor]
    return best_of(ids, exact_scores(store.vectors(ids), query), k)


def best_scored(
    ids: NDArray[np.int64], vectors: NDArray[np.float32], query: NDArray[np.float32], k: int
) -> Candidates:
    """Score some encodings exactly and keep those that score at least as the k-th best of them.

    Args:
        ids: of the encodings, (n,) int64.
        vectors: theirs, (n, d) float32 unit rows, C-contiguous.
        query: (d,) float32 unit row.
        k: >= 1.
    """
    return best_near(ids, vectors, near_scores(vectors, query), query, k)


def near_scores(vectors: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score vectors, (n, d) float32 unit rows, by float32 arithmetic: (n,), in a fraction of the exact scores' time."""
    near: NDArray[np.float32] = np.einsum(
        "ij,j->i", vectors, query
    )  # not BLAS, whose threads wait for each other
    return near


def best_near(
    ids: NDArray[np.int64],
    vectors: NDArray[np.float32],
    near: NDArray[np.float32],
    query: NDArray[np.float32],
    k: int,
) -> Candidates:
    """Score encodings as :func:`best_scored`, their :func:`near_scores` being known.

    Those rule out most: a vector whose score lies below the k-th by more than both may err is not among the best.
    """
    likely = near >= _kth(near, k) - 2 * error_bound(len(query))
    return best_of(ids[likely], exact_scores(vectors[likely], query), k)


def best_of(ids: NDArray[np.int64], scores: NDArray[np.float32], k: int) -> Candidates:
    """Keep the encodings that score at least as the k-th best of them."""
    best = scores >= _kth(scores, k)
    return Candidates(ids[best], scores[best])


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """Find the k-th largest score; minus infinity where there are fewer."""
    if len(scores) < k:
        return -np.inf
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])
