"""Compose weighted unit vectors into one unit query vector. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import QueryError

CANCELLED = 1e-5  # of the summed weights: float32 rows of one image under two names differ by some 1e-7


def compose(vectors: NDArray[np.float32], weights: Sequence[float]) -> NDArray[np.float32]:
    """Give the direction of a weighted sum as a unit vector, (d,) float32.

    Summed in float64, then normalised. A single vector comes back bit for bit (negated if its weight is
    negative): scaling cannot change its direction, and normalising again would change its last bits.

    Args:
        vectors: (n, d) float32 unit rows, n >= 1.
        weights: n finite numbers, none of them 0.

    Raises:
        QueryError: the weighted vectors sum to zero.
    """
    if len(vectors) == 1:
        alone: NDArray[np.float32] = vectors[0]
        return alone if weights[0] > 0 else -alone
    shares = np.asarray(weights, dtype=np.float64)
    shares = shares / np.abs(shares).max()  # no sum overflows, however large the weights
    total = (vectors.astype(np.float64) * shares[:, None]).sum(axis=0)
    length = float(np.linalg.norm(total))
    if length <= CANCELLED * float(np.abs(shares).sum()):
        raise QueryError("the parts of the query cancel each other out; change a weight or leave a part out")
    unit: NDArray[np.float32] = (total / length).astype(np.float32)
    return unit
