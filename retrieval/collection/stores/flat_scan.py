"""The best inner products among the rows of a mapped file: of one query in numpy, of several in FAISS.

One query takes as long in numpy as in FAISS (20,000 rows of 512: 5.7 against 5.2 ms of CPU), because both wait for
memory. Importing FAISS takes 35 ms, a good part of what a query in a new process takes. A batch repays it: FAISS scans
the same rows for 32 queries in 11.6 ms of CPU.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

NUMPY_BYTES = 256 * 2**20
"""Largest size of rows that one query scans in numpy: a tenth slower than in FAISS, less than importing that takes."""

BLAS_FROM_QUERIES = 20  # 32 queries over 100,000 rows: 71 ms; 239 ms with FAISS's default threshold
_BLOCK_BYTES = 2**20  # copied out of the file at a time: stays in a core's cache until it is scanned

Scores = NDArray[np.float32]
Numbers = NDArray[np.int64]


def best_rows(data: NDArray[np.uint8], queries: NDArray[np.float32], k: int) -> tuple[Scores, Numbers]:
    """Find the k rows of the largest inner product with each query, by some float32 summation.

    Args:
        data: (n, 4 d) bytes of n rows of float32, which need not be aligned.
        queries: (q, d) float32, C-contiguous.
        k: 1 to n.

    Returns:
        (q, k) scores, descending, and row numbers; where rows are not numbers, -inf and -1 stand in their place.
    """
    if len(queries) == 1 and data.nbytes <= NUMPY_BYTES:
        scores, numbers = _best_in_numpy(data, queries[0], k)
        return scores[None], numbers[None]
    return _best_in_faiss(data, queries, k)


def prepare_thread() -> None:
    """Have FAISS use the calling thread alone; imports it."""
    if not getattr(_thread, "is_prepared", False):
        import faiss  # late: see this module's docstring

        faiss.cvar.distance_compute_blas_threshold = BLAS_FROM_QUERIES  # of the process
        faiss.omp_set_num_threads(1)  # of this thread: OpenMP keeps the number for each
        _thread.is_prepared = True


_thread = threading.local()


def _best_in_faiss(data: NDArray[np.uint8], queries: NDArray[np.float32], k: int) -> tuple[Scores, Numbers]:
    prepare_thread()
    import faiss

    scores = np.empty((len(queries), k), np.float32)
    numbers = np.empty((len(queries), k), np.int64)
    d = data.shape[1] // 4
    # FAISS is given the file's own bytes: it loads from any address.
    faiss.knn_inner_product(
        faiss.swig_ptr(queries), faiss.swig_ptr(data.view("<f4")), d, len(queries), len(data), k,
        faiss.swig_ptr(scores), faiss.swig_ptr(numbers),
    )  # fmt: skip
    return scores, numbers


def _best_in_numpy(data: NDArray[np.uint8], query: NDArray[np.float32], k: int) -> tuple[Scores, Numbers]:
    step = max(1, _BLOCK_BYTES // data.shape[1])
    parts = [_inner_products(data[start : start + step], query) for start in range(0, len(data), step)]
    scores = np.concatenate(parts)
    scores[np.isnan(scores)] = -np.inf
    numbers = np.argpartition(-scores, k - 1)[:k]
    numbers = numbers[np.argsort(-scores[numbers], kind="stable")]
    best: Scores = scores[numbers]
    return best, np.where(best == -np.inf, -1, numbers)


def _inner_products(data: NDArray[np.uint8], query: NDArray[np.float32]) -> Scores:
    """Compute the inner products of some rows with a query, (n,) float32."""
    rows = np.array(data).view("<f4")  # aligned; numpy computes on unaligned rows a hundred times slower
    # Not BLAS, whose threads wait for each other on a busy machine.
    products: Scores = np.einsum("nd,d->n", rows, query)
    return products
