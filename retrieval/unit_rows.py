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


def are_unit(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Tell of each row of an (n, d) array whether it is finite and of unit length (within 1e-4)."""
    return np.asarray(np.abs(row_lengths(rows) - 1.0) <= UNIT_TOLERANCE)  # NaN is not


def first_not_unit(rows: NDArray[np.floating]) -> tuple[int, float] | None:
    """Find the first row of an (n, d) array that is not finite and of unit length (within 1e-4), with its length."""
    wrong = ~are_unit(rows)
    row = int(wrong.argmax()) if len(wrong) else 0
    return (row, float(row_lengths(rows[row : row + 1])[0])) if wrong.any() else None
