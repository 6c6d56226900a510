"""Paired permutation test of two models, by image, and correction for the number of tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.intervals import CHUNK_BYTES, group_sums

FLIPS = 10_000
TEST = "two-sided paired sign-flip permutation test by image"
CORRECTION = "Holm"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two models: their difference (second less first) and its p values."""

    first: str
    second: str
    figure: str
    difference: float
    p: float
    corrected: float = float("nan")


def sign_flip_p(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    group: NDArray[np.int64],
    *,
    flips: int = FLIPS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """P values, (metrics,), of the difference of two models' means on the same queries.

    Under the null hypothesis the two models' values may be exchanged within an image, all its queries
    together: the sign of an image's summed difference is a coin toss (Fisher 1935; for retrieval: Smucker,
    Allan & Carterette, CIKM 2007). p = (1 + flips at least as extreme) / (1 + flips), so it is never 0
    (Phipson & Smyth 2010).

    Args:
        first: (queries, metrics) per-query values of one model.
        second: of the other, in the same order.
        group: (queries,) int64, the image of each query.
        flips: random assignments of signs.
        seed: of the tosses.
    """
    if first.shape != second.shape:
        raise EvaluationError(
            f"two models are compared on the same queries and figures, not on {first.shape} and "
            f"{second.shape}"
        )
    sums, sizes = group_sums(second - first, group)
    observed = np.abs(sums.sum(axis=0))
    slack = 1e-9 * np.maximum(observed, 1)  # sums of the same numbers in another order are as extreme
    random = np.random.default_rng(seed)
    extreme = np.zeros(sums.shape[1], np.int64)
    step = max(1, CHUNK_BYTES // (8 * len(sizes)))
    for start in range(0, flips, step):
        count = min(step, flips - start)
        signs = 2.0 * random.integers(0, 2, size=(count, len(sizes)), dtype=np.int8) - 1.0
        extreme += np.count_nonzero(np.abs(signs @ sums) >= observed - slack, axis=0)
    return (1.0 + extreme.astype(np.float64)) / (1.0 + flips)


def holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down correction (Scandinavian Journal of Statistics 1979), in the order given.

    The smallest p is multiplied by the number of comparisons, the next by one less, and so on, never
    decreasing and at most 1: the chance of even one false claim stays below the level, whatever the
    dependence between comparisons.
    """
    order = np.argsort(p, kind="stable")
    scaled = np.minimum(1.0, p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.maximum.accumulate(scaled)
    return corrected
