"""Ranks of each query's relevant items: exact ranks from vectors, a score matrix or ranked lists.

The order is the engine's: score descending, then id ascending, where an item's id is its row. From vectors,
the score is :func:`retrieval.collection.score.exact_scores`: a float32 matrix product decides the comparisons
that lie further apart than its error bound, that function all others. Nothing here depends on block sizes or
threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound, exact_scores
from retrieval.errors import EvaluationError
from retrieval.evaluation.relevance import Relevance
from retrieval.unit_rows import first_not_unit

UNRANKED = np.iinfo(np.int64).max
"""The rank of a relevant item that a cut-off list does not hold."""

BLOCK_BYTES = (
    64 * 2**20
)  # of scores held at once: 5,000 x 25,010 stays under 0.5 GB; larger blocks gain nothing
PAIRS = 4096  # pairs scored exactly at once: 512 dimensions take 33 MB


@dataclass(frozen=True, slots=True, eq=False)
class Ranks:
    """Ranks, counting from 1, of each query's relevant items.

    Attributes:
        offsets: (queries + 1,) int64; query q's are ``ranks[offsets[q]:offsets[q + 1]]``.
        ranks: (pairs,) int64, ascending within a query; :data:`UNRANKED` beyond ``depth``.
        depth: how deep the lists were ranked; all items, unless a search was cut off.
    """

    offsets: NDArray[np.int64]
    ranks: NDArray[np.int64]
    depth: int

    @property
    def queries(self) -> int:
        """Number of queries, those without a relevant item included."""
        return len(self.offsets) - 1

    @property
    def relevant(self) -> NDArray[np.int64]:
        """(queries,) int64: relevant items of each query."""
        return np.diff(self.offsets)

    def select(self, queries: NDArray[np.int64]) -> Ranks:
        """Select the ranks of some queries, in the order given; the gallery stays the same."""
        counts = self.relevant[queries]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        parts = [self.ranks[self.offsets[query] : self.offsets[query + 1]] for query in queries.tolist()]
        return Ranks(offsets, np.concatenate([np.zeros(0, np.int64), *parts]), self.depth)

    def judged(self) -> Ranks:
        """Select the queries that have a relevant item, which are the denominator of trec_eval."""
        return self.select(np.flatnonzero(self.relevant))

    @staticmethod
    def joined(parts: Sequence[Ranks]) -> Ranks:
        """Concatenate the queries of several rankings of equal depth, such as the folds of one figure."""
        depths = {part.depth for part in parts}
        if len(depths) != 1:
            raise EvaluationError(f"folds ranked to the depths {sorted(depths)} cannot be averaged")
        counts = np.concatenate([part.relevant for part in parts])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        return Ranks(offsets, np.concatenate([part.ranks for part in parts]), depths.pop())


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Ranks under the exact tie rule, and as they would be with every tie for or against the model.

    Attributes:
        exact: ties by item row, ascending.
        best: relevant items before all others of the same score.
        worst: relevant items after all others of the same score.
        rows: (pairs,) int64: the item of each rank.
        tied_pairs: relevant items that share their score with an item that is not relevant.
    """

    exact: Ranks
    best: Ranks
    worst: Ranks
    rows: NDArray[np.int64]
    tied_pairs: int


def rank_vectors(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    relevance: Relevance,
    block_bytes: int = BLOCK_BYTES,
) -> Ranking:
    """Exact ranks of the relevant items among all ``items``, by the engine's own score.

    Args:
        queries: (q, d) float32 unit rows.
        items: (n, d) float32 unit rows; an item's id, for ties, is its row.
        relevance: of q queries and n items.
        block_bytes: bound on the scores held at once; changes memory and speed, never the result.

    Raises:
        EvaluationError: shapes disagree, or a row is not finite and of unit length (within 1e-4).
    """
    _check_rows(queries, items, relevance)
    counts = _Counts(queries, items, relevance)
    margin = error_bound(queries.shape[1])
    own = counts.own.astype(np.float64)
    low = np.nextafter((own - margin).astype(np.float32), np.float32(-np.inf)).tolist()
    high = np.nextafter((own + margin).astype(np.float32), np.float32(np.inf)).tolist()
    offsets = relevance.offsets.tolist()
    above, within = np.empty(len(items), np.bool_), np.empty(len(items), np.bool_)
    for start, block in _score_blocks(queries, items, block_bytes):
        for query, row in enumerate(block, start):
            for pair in range(offsets[query], offsets[query + 1]):
                np.greater(row, high[pair], out=above)
                counts.greater[pair] += np.count_nonzero(above)
                np.greater_equal(row, low[pair], out=within)
                counts.defer(pair, np.flatnonzero(np.greater(within, above, out=within)))
    counts.resolve()
    return _assemble(relevance, counts.own, counts.greater, counts.before, counts.tied)


def rank_scores(scores: NDArray[np.floating], relevance: Relevance) -> Ranking:
    """Exact ranks of the relevant items in a matrix of scores, taken as they are.

    Args:
        scores: (queries, items) of a floating type, higher is better, no NaN.
        relevance: of the same shape.
    """
    if scores.shape != (relevance.queries, relevance.items):
        raise EvaluationError(
            f"the scores are {scores.shape[0]} x {scores.shape[1]}, but relevance is of {relevance.queries} "
            f"queries "
            f"and {relevance.items} items"
        )
    if np.isnan(scores).any():
        query, item = np.argwhere(np.isnan(scores))[0]
        raise EvaluationError(f"the score of query {query} and item {item} is not a number; it has no rank")
    own = scores[relevance.query_of_pair, relevance.rows]
    greater, before, tied = (np.zeros(len(own), np.int64) for _ in range(3))
    for pair, (query, item) in enumerate(
        zip(relevance.query_of_pair.tolist(), relevance.rows.tolist(), strict=True)
    ):
        row = scores[query]
        equal = np.flatnonzero(row == own[pair])
        greater[pair] = np.count_nonzero(row > own[pair])
        tied[pair], before[pair] = len(equal) - 1, np.count_nonzero(equal < item)
    return _assemble(relevance, own, greater, before, tied)


def rank_lists(lists: list[NDArray[np.int64]], relevance: Relevance, depth: int) -> Ranks:
    """Ranks in ranked lists of item rows, best first, as a search returns them.

    Args:
        lists: one array of distinct item rows a query, of at most ``depth``; -1 is an item that is not judged
            but takes a place; a query without hits has an empty array.
        relevance: of as many queries.
        depth: where the lists were cut.

    Raises:
        EvaluationError: the number of lists is not that of the queries, or a list holds an item twice.
    """
    if len(lists) != relevance.queries:
        raise EvaluationError(f"{len(lists)} ranked lists were given for {relevance.queries} queries")
    ranks = np.full(len(relevance.rows), UNRANKED, np.int64)
    for query, found in enumerate(lists):
        known = found[found >= 0]
        if len(np.unique(known)) != len(known):
            raise EvaluationError(f"the ranked list of query {query} holds an item twice")
        position = np.full(relevance.items, UNRANKED, np.int64)
        place = np.flatnonzero(found[:depth] >= 0)
        position[found[place]] = place + 1
        span = slice(relevance.offsets[query], relevance.offsets[query + 1])
        ranks[span] = np.sort(position[relevance.rows[span]])
    return Ranks(relevance.offsets, ranks, depth)


def top_items(
    queries: NDArray[np.float32], items: NDArray[np.float32], depth: int, block_bytes: int = BLOCK_BYTES
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The first ``depth`` items of each query in exact order, as (q, depth) int64 rows and float32 scores.

    The exact k-th score is at least the k-th proposed one less the error bound, so that every item of the
    true list was proposed within twice the bound of it: those are scored exactly and sorted.
    """
    count = min(depth, len(items))
    rows, scores = np.empty((len(queries), count), np.int64), np.empty((len(queries), count), np.float32)
    margin = np.float32(2 * error_bound(queries.shape[1]) * 1.01)
    for start, block in _score_blocks(queries, items, block_bytes):
        kth = np.partition(block, len(items) - count, axis=1)[:, len(items) - count]
        for query, row in enumerate(block, start):
            near = np.flatnonzero(row >= kth[query - start] - margin)
            exact = exact_scores(items[near], queries[query])
            order = np.lexsort((near, -exact))[:count]
            rows[query], scores[query] = near[order], exact[order]
    return rows, scores


def _check_rows(queries: NDArray[np.float32], items: NDArray[np.float32], relevance: Relevance) -> None:
    if queries.ndim != 2 or items.ndim != 2 or queries.shape[1] != items.shape[1]:
        raise EvaluationError(f"vectors of shapes {queries.shape} and {items.shape} do not lie in one space")
    if (len(queries), len(items)) != (relevance.queries, relevance.items):
        raise EvaluationError(
            f"{len(queries)} query vectors and {len(items)} item vectors were given for a relevance of "
            f"{relevance.queries} queries and {relevance.items} items"
        )
    for name, rows in (("query", queries), ("item", items)):
        if wrong := first_not_unit(rows):
            raise EvaluationError(
                f"{name} vector {wrong[0]} has length {wrong[1]:.6g}; scores compare only unit vectors"
            )


def _score_blocks(
    queries: NDArray[np.float32], items: NDArray[np.float32], block_bytes: int
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Proposed scores, as (first query row, (rows, n) float32); each block overwrites the one before."""
    if not len(items):
        return
    step = max(1, min(len(queries), block_bytes // (4 * len(items))))
    buffer = np.empty((step, len(items)), np.float32)
    for start in range(0, len(queries), step):
        block = buffer[: len(queries[start : start + step])]
        np.matmul(queries[start : start + step], items.T, out=block)
        yield start, block


def _pair_scores(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    query: NDArray[np.int64],
    item: NDArray[np.int64],
) -> NDArray[np.float32]:
    """The engine's score of pairs, (pairs,) float32: a pair's bits depend on that pair alone."""
    scores = np.empty(len(query), np.float32)
    for start in range(0, len(query), PAIRS):
        span = slice(start, start + PAIRS)
        scores[span] = exact_scores(items[item[span]], queries[query[span]])
    return scores


class _Counts:
    """For each relevant pair: how many items score higher, tie, and tie with a lower row."""

    def __init__(
        self, queries: NDArray[np.float32], items: NDArray[np.float32], relevance: Relevance
    ) -> None:
        self._queries, self._items, self._item_of_pair = queries, items, relevance.rows
        self._query_of_pair = relevance.query_of_pair
        self.own = _pair_scores(queries, items, self._query_of_pair, relevance.rows)
        self.greater, self.before, self.tied = (np.zeros(len(self.own), np.int64) for _ in range(3))
        self._deferred: list[tuple[int, NDArray[np.int64]]] = []
        self._deferred_count = 0

    def defer(self, pair: int, items: NDArray[np.int64]) -> None:
        """Record the items whose proposed score is within the error bound of the pair's own."""
        self._deferred.append((pair, items))
        self._deferred_count += len(items)
        if self._deferred_count > 2**20:  # 16 MB; identical vectors defer every pair
            self.resolve()

    def resolve(self) -> None:
        """Decide the recorded comparisons by the exact score."""
        if not self._deferred:
            return
        item = np.concatenate([items for _, items in self._deferred])
        pair = np.repeat([pair for pair, _ in self._deferred], [len(items) for _, items in self._deferred])
        self._deferred, self._deferred_count = [], 0
        other = item != self._item_of_pair[pair]
        pair, item = pair[other], item[other]
        scores = _pair_scores(self._queries, self._items, self._query_of_pair[pair], item)
        own, size = self.own[pair], len(self.own)
        equal = scores == own
        self.greater += np.bincount(pair[scores > own], minlength=size)
        self.tied += np.bincount(pair[equal], minlength=size)
        self.before += np.bincount(pair[equal & (item < self._item_of_pair[pair])], minlength=size)


def _assemble(
    relevance: Relevance,
    own: NDArray[np.floating],
    greater: NDArray[np.int64],
    before: NDArray[np.int64],
    tied: NDArray[np.int64],
) -> Ranking:
    """Ranks from how many items score higher, tie, and tie with a lower row.

    Exchanging relevant items that tie with each other changes no figure, so their order is the same in all three
    cases.
    """
    query = relevance.query_of_pair
    order = np.lexsort((relevance.rows, -own, query))
    own, query = own[order], query[order]
    fresh = np.ones(len(own), np.bool_)
    fresh[1:] = (own[1:] != own[:-1]) | (query[1:] != query[:-1])
    first = np.flatnonzero(fresh)
    group = np.cumsum(fresh) - 1
    ahead = np.arange(len(own)) - first[group]  # relevant items of the same score that come before
    others = tied[order] + 1 - np.bincount(group, minlength=len(first))[group]
    base = 1 + greater[order]
    offsets, depth = relevance.offsets, relevance.items
    return Ranking(
        exact=Ranks(offsets, base + before[order], depth),
        best=Ranks(offsets, base + ahead, depth),
        worst=Ranks(offsets, base + ahead + others, depth),
        rows=relevance.rows[order],
        tied_pairs=int(np.count_nonzero(others)),
    )
