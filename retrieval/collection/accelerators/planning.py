"""When an approximate index answers a search and when a scan does, and how much an index looks at."""

from __future__ import annotations

import math
from typing import NamedTuple

TUNED_FOR = 10
"""The k of the measured recall@k; searches for a larger k use larger search parameters."""

EXACT_SHARE = 0.25
"""Of the vectors: a search that would score more of them exactly scans them all instead."""


class IndexCost(NamedTuple):
    """Time of a search through an index, in exact scans of a vector.

    Attributes:
        asking: of asking it at all.
        candidate: of each candidate.
    """

    asking: float
    candidate: float = 0.0

    def saved(self, passing: int, candidates: int) -> float:
        """Count the scans that a search saves, of so many vectors that pass a condition; below 0, a scan is faster."""
        return passing - self.asking - self.candidate * candidates


def scaled(visited: int, candidates: int, k: int) -> tuple[int, int]:
    """Scale what was tuned for :data:`TUNED_FOR` hits to k: candidates with k, what is visited with its square root."""
    factor = max(1.0, k / TUNED_FOR)
    return math.ceil(visited * math.sqrt(factor)), math.ceil(candidates * factor)


def is_too_deep(depth: int, rows: int) -> bool:
    """Whether the candidates reach so deep among the vectors that scanning all of those is better."""
    return depth > EXACT_SHARE * rows
