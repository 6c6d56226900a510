"""The one rule for vectors: finite float32 rows of unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UNIT_TOLERANCE = 1e-4
"""How far the length of a row may be from 1."""


def row_lengths(rows: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the Euclidean length of each row of an (n, d) array, in float64; not finite where a value is not."""
    with np.errstate(invalid="ignore", over="ignore"):
        lengths: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return lengths


def first_not_unit(rows: NDArray[np.floating]) -> tuple[int, float] | None:
    """Find the first row of an (n, d) array that is not finite and of unit length (within 1e-4), with its length."""
    lengths = row_lengths(rows)
    wrong = ~(np.abs(lengths - 1.0) <= UNIT_TOLERANCE)  # written so that NaN counts as wrong
    row = int(wrong.argmax()) if len(wrong) else 0
    return (row, float(lengths[row])) if wrong.any() else None
