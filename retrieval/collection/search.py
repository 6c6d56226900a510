"""The k best encodings over segments, exactly (docs/architecture.md, Ranking).

FAISS proposes, :func:`~retrieval.collection.score.exact_scores` decides. A segment is searched deeper until what it
has not shown yet provably cannot be among the k best, so neither a burst of near-copies nor masked rows cost a hit.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.segments import Segment
from retrieval.collection.snapshot import contains

MARGIN_ROWS = 64  # proposed beyond k at first: nearly every query closes in one pass
BLAS_FROM_QUERIES = 20  # 32 queries over 100,000 rows: 71 ms; 239 ms with FAISS's default threshold


@dataclass(frozen=True, slots=True)
class Candidates:
    """Live encodings that may be among the k best: all that score at least as the k-th, ties included.

    ``ids`` are encoding ids, (n,) int64; ``scores`` their exact scores, (n,) float32; in no particular order.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


def search_segments(
    segments: Sequence[Segment],
    masked: NDArray[np.int64],
    queries: NDArray[np.float32],
    k: int,
    pool: ThreadPoolExecutor | None = None,
) -> list[Candidates]:
    """For each query the encodings, masked ones left out, that score at least as its k-th best one does.

    Fewer than k come back only where fewer than k are not masked. The answer does not depend on how rows are spread
    over segments, on the other queries, on threads or on which rows are masked.

    Args:
        segments: disjoint.
        masked: ids of encodings that may not be found, ascending.
        queries: (q, d) float32 unit rows.
        k: >= 1.
        pool: threads for many segments; None searches them one after another.
    """
    if not segments:
        return [Candidates(np.empty(0, np.int64), np.empty(0, np.float32)) for _ in queries]
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    depth = k + MARGIN_ROWS

    def propose(segment: Segment) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        faiss.omp_set_num_threads(1)  # of this thread: one OpenMP thread a segment beats many threads on each
        return segment.search(queries, depth)

    faiss.cvar.distance_compute_blas_threshold = BLAS_FROM_QUERIES
    parallel = pool is not None and len(segments) > 1
    if parallel and pool is not None:
        proposals = list(pool.map(propose, segments))
    else:
        proposals = [segment.search(queries, depth) for segment in segments]
    return [
        _close(
            [
                _Proposal(segment, scores[number], rows[number], masked)
                for segment, (scores, rows) in zip(segments, proposals, strict=True)
            ],
            query,
            k,
        )
        for number, query in enumerate(queries)
    ]


class _Proposal:
    """What FAISS has shown of one segment for one query so far: its best rows by FAISS's score, masked ones dropped."""

    def __init__(
        self,
        segment: Segment,
        scores: NDArray[np.float32],
        rows: NDArray[np.int64],
        masked: NDArray[np.int64],
    ) -> None:
        self.segment, self.masked = segment, masked
        self._take(scores, rows)

    def _take(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        self.depth = len(rows)
        self.exhausted = self.depth >= self.segment.rows
        # Nothing unseen scores above this by FAISS's arithmetic.
        self.unseen_bound = -np.inf if self.exhausted else float(scores[-1])
        ids = self.segment.ids[rows]
        live = ~contains(self.masked, ids)
        self.rows, self.ids, self.scores = rows[live], ids[live], scores[live]

    def deepen(self, query: NDArray[np.float32]) -> None:
        """Show twice as many rows; near a tenth of the segment, scan it exactly instead (FAISS's heaps grow slow)."""
        depth = self.depth * 2
        if depth > max(4096, self.segment.rows // 10):
            parts = [exact_scores(block, query) for _, block in self.segment.blocks()]
            self._take(np.concatenate(parts), np.arange(self.segment.rows))
        else:
            scores, rows = self.segment.search(query[None], depth)
            self._take(scores[0], rows[0])


def _close(proposals: list[_Proposal], query: NDArray[np.float32], k: int) -> Candidates:
    slack = 2 * error_bound(len(query))  # between FAISS's score of one row and of another
    while True:
        # A row whose FAISS score is below the k-th live one by more than the slack is worse than k exact scores.
        floor = _kth(np.concatenate([p.scores for p in proposals]), k) - slack
        open_ = [p for p in proposals if not p.exhausted and p.unseen_bound >= floor]
        if not open_:
            break
        for proposal in open_:
            proposal.deepen(query)
    ids, scores = [], []
    for proposal in proposals:
        near = proposal.scores >= floor
        if near.any():
            ids.append(proposal.ids[near])
            scores.append(exact_scores(proposal.segment.vectors(proposal.rows[near]), query))
    if not ids:
        return Candidates(np.empty(0, np.int64), np.empty(0, np.float32))
    all_ids, all_scores = np.concatenate(ids), np.concatenate(scores)
    best = all_scores >= _kth(all_scores, k)
    return Candidates(all_ids[best], all_scores[best])


def _kth(scores: NDArray[np.float32], k: int) -> float:
    """The k-th largest score, or minus infinity where there are fewer."""
    if len(scores) < k:
        return -np.inf
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])
