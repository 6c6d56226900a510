"""Products of few rows with a matrix, which OpenBLAS would spread over threads that wait for each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

ONE_THREAD = 2**18
"""Multiplications up to which OpenBLAS stays in the calling thread (interface/gemm.c)."""


def product_of_few(rows: Array, weight: Array) -> Array:
    """Multiply (n, i) rows by (i, o): few of them in pieces so small that OpenBLAS does not spread them over threads.

    Its threads wait for each other on a busy machine: 8 rows by 384 by 576 took 32 ms there, and 0.06 in pieces. Of
    one row BLAS would use several threads even then: 16 ms of CPU and 98 of waiting a text, against 0.3 and 0.5.
    """
    if len(rows) == 1:
        one: Array = np.einsum("bi,io->bo", rows, weight)
        return one
    columns = ONE_THREAD // rows.size // 16 * 16
    if not 16 <= columns < weight.shape[1]:
        whole: Array = rows @ weight
        return whole
    product = np.empty((len(rows), weight.shape[1]), rows.dtype)
    for start in range(0, weight.shape[1], columns):
        np.matmul(rows, weight[:, start : start + columns], out=product[:, start : start + columns])
    return product
