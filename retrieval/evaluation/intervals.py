"""Bootstrap intervals by image: captions of one image are not independent, so whole groups are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError

RESAMPLES = 2000
CHUNK_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Interval:
    """A percentile bootstrap interval: with ``level`` 0.95 from the 2.5th to the 97.5th percentile."""

    low: float
    high: float
    level: float


def bootstrap_intervals(
    values: NDArray[np.float64],
    group: NDArray[np.int64],
    *,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[Interval]:
    """Intervals of the means of per-query values when the images, with all their queries, are drawn again.

    Each resample draws as many groups as there are, with replacement (Efron & Tibshirani 1993, ch. 6; the
    cluster bootstrap); a mean weighs every drawn query equally, so an image with more captions weighs more,
    as in the figure itself. The gallery stays as it is.

    Args:
        values: (queries, metrics); one column a metric.
        group: (queries,) int64, the group of each query
            (:func:`retrieval.evaluation.relevance.linked_groups`).
        level: coverage, between 0 and 1.
        resamples: number of resamples.
        seed: of the draws; equal seeds give equal intervals.

    Returns:
        One interval a column.
    """
    if not 0 < level < 1:
        raise EvaluationError(f"an interval's level lies between 0 and 1, not at {level}")
    sums, sizes = group_sums(values, group)
    groups = len(sizes)
    random = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    step = max(1, CHUNK_BYTES // (8 * groups))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        drawn = random.multinomial(groups, np.full(groups, 1 / groups), size=count).astype(np.float64)
        means[start : start + count] = (drawn @ sums) / (drawn @ sizes)[:, None]
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail], axis=0)
    return [Interval(float(a), float(b), level) for a, b in zip(low, high, strict=True)]


def group_sums(
    values: NDArray[np.float64], group: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of values, (groups, metrics), and numbers of queries, (groups,), of groups that have queries."""
    _, member = np.unique(group, return_inverse=True)
    sizes = np.bincount(member).astype(np.float64)
    sums = np.zeros((len(sizes), values.shape[1]))
    np.add.at(sums, member, values)
    return sums, sizes
