"""The score: one function, which decides every comparison wherever items are ranked, evaluation included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def exact_scores(rows: NDArray[np.float32], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute inner products of unit rows with a unit query, (n,) float32, summed in float64.

    A row's score depends on that row and the query alone: not on the other rows, their number or the threads.
    FAISS's does (another last bit for three pairs in four between a batch and a single query), which is why
    FAISS proposes and this function decides.

    Args:
        rows: (n, d) float32, C-contiguous.
        query: (d,) float32.
    """
    if not rows.flags.c_contiguous:
        raise ValueError("rows must be C-contiguous: another memory order is summed in another order")
    scores: NDArray[np.float32] = np.multiply(rows, query, dtype=np.float64).sum(axis=1).astype(np.float32)
    return scores


def error_bound(dimension: int) -> float:
    """Bound how far any float32 summation of a unit row with a unit query may lie from :func:`exact_scores`.

    Each of the d products and partial sums errs by at most 2^-24 of a value that is at most 1 (Higham, Accuracy and
    Stability of Numerical Algorithms, 2002, section 3.1); one per cent is added for rows that are unit to 1e-4.
    """
    return dimension * 2.0**-24 * 1.01 + 2.0**-24
