"""How like two vectors are, whatever encoder made them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FEW = 300
"""Vectors; of fewer, the mean says more of what they show than of the encoder."""

_MOST = 0.6  # of the encoders known


def cosine_of_any_two(vectors: NDArray[np.float32]) -> float:
    """Estimate the mean cosine of two pictures that have nothing in common; encoders differ in it, from 0 to 0.6.

    Args:
        vectors: (n, d) float32 unit rows; 0 comes back where they are too few to tell.
    """
    n = len(vectors)
    if n < FEW:
        return 0.0
    total = float(np.square(vectors.sum(0, dtype=np.float64)).sum())
    return min(max((total - n) / (n * (n - 1)), 0.0), _MOST)
