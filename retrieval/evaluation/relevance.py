"""Relevance (qrels): which items answer which query, many to many. Queries and items are row numbers here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError


@dataclass(frozen=True, slots=True, eq=False)
class Relevance:
    """Which items answer which query, both as row numbers.

    Attributes:
        offsets: (queries + 1,) int64; the answers of query q are ``rows[offsets[q]:offsets[q + 1]]``.
        rows: (pairs,) int64 item rows, ascending within a query, each at most once.
        items: how many items there are to choose from.
    """

    offsets: NDArray[np.int64]
    rows: NDArray[np.int64]
    items: int

    @classmethod
    def of_pairs(cls, pairs: Iterable[tuple[int, int]], queries: int, items: int) -> Relevance:
        """Relevance from (query row, item row) pairs in any order; a pair that comes twice counts once.

        Raises:
            EvaluationError: a row lies outside ``queries`` or ``items``.
        """
        found = np.array(list(pairs), dtype=np.int64).reshape(-1, 2)
        if len(found) and (found.min() < 0 or found[:, 0].max() >= queries or found[:, 1].max() >= items):
            bad = next((q, i) for q, i in found.tolist() if not (0 <= q < queries and 0 <= i < items))
            raise EvaluationError(
                f"relevance names query {bad[0]} and item {bad[1]}, but there are {queries} queries and "
                f"{items} items; "
                "rows count from 0"
            )
        found = np.unique(found, axis=0)
        offsets = np.zeros(queries + 1, np.int64)
        np.cumsum(np.bincount(found[:, 0], minlength=queries), out=offsets[1:])
        return cls(offsets, np.ascontiguousarray(found[:, 1]), items)

    @property
    def queries(self) -> int:
        """Number of queries, those without an answer included."""
        return len(self.offsets) - 1

    @property
    def counts(self) -> NDArray[np.int64]:
        """(queries,) int64: how many items answer each query, 0 included."""
        return np.diff(self.offsets)

    @property
    def query_of_pair(self) -> NDArray[np.int64]:
        """(pairs,) int64: the query row of each pair, in the order of ``rows``."""
        return np.repeat(np.arange(self.queries, dtype=np.int64), self.counts)

    def answers(self, query: int) -> NDArray[np.int64]:
        """Give the rows of the items that answer one query, ascending; may be empty."""
        return self.rows[self.offsets[query] : self.offsets[query + 1]]

    def restricted(self, queries: NDArray[np.int64], items: NDArray[np.int64]) -> Relevance:
        """Restrict the relevance to some queries and items, given as ascending rows, which are renumbered from 0."""
        place = np.full(self.items, -1, np.int64)
        place[items] = np.arange(len(items))
        kept = [found[found >= 0] for found in (place[self.answers(query)] for query in queries.tolist())]
        offsets = np.zeros(len(queries) + 1, np.int64)
        np.cumsum([len(found) for found in kept], out=offsets[1:])
        return Relevance(offsets, np.concatenate([np.zeros(0, np.int64), *kept]), len(items))

    def transposed(self) -> Relevance:
        """Exchange queries and items."""
        pairs = np.stack([self.rows, self.query_of_pair], axis=1)
        return Relevance.of_pairs(map(tuple, pairs.tolist()), self.items, self.queries)


def linked_groups(relevance: Relevance) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups of queries and items that links connect, as (group of each query, group of each item).

    Two captions of one image fall into one group, and so do two images that share a caption: they are not
    independent observations, so a bootstrap draws whole groups. If each caption has one image, a group is
    an image with all its captions. Groups count from 0 in the order of their first item; a query without an
    answer is a group of its own, after those.
    """
    parent = np.arange(relevance.items + relevance.queries)
    for query in range(relevance.queries):
        nodes = [relevance.items + query, *relevance.answers(query).tolist()]
        roots = {_root(parent, node) for node in nodes}
        parent[list(roots)] = min(roots)
    roots_of_all = np.array([_root(parent, node) for node in range(len(parent))], dtype=np.int64)
    _, group = np.unique(
        roots_of_all, return_inverse=True
    )  # a root is its group's lowest node: items come first
    group = group.astype(np.int64)
    return group[relevance.items :], group[: relevance.items]


def _root(parent: NDArray[np.int64], node: int) -> int:
    root = node
    while parent[root] != root:
        root = int(parent[root])
    while parent[node] != root:  # path compression keeps a chain of many shared captions linear
        parent[node], node = root, int(parent[node])
    return root
