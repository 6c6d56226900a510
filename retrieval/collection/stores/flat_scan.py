"""The best inner products among the rows of a mapped file: of one query in numpy or FAISS, of several in FAISS.

FAISS scans 80,000 rows of 512 for one query in 12 ms of CPU, for two in 24, and for eight, by matrix products, in 29.
In numpy one query takes 24. But importing FAISS takes 35, a good part of what a query in a new process takes, so a
process scans in numpy until that has cost it as much as the import.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NUMPY_BYTES = 512 * 2**20
"""Of rows, that a process scans in numpy before it imports FAISS; none where something else has imported it."""

_PRODUCTS_FROM_QUERIES = 3  # fewer are scanned one by one: a matrix product copies the rows first
_BATCH_BLOCK_BYTES = 8 * 2**20  # of selected rows, copied out for a batch at a time
_BLOCK_BYTES = 2**18  # copied out of the file at a time: stays in a core's cache until it is scanned

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
    if len(queries) == 1 and _numpy.takes(data.nbytes):
        scores, numbers = _best_in_numpy(data, queries[0], k)
        return scores[None], numbers[None]
    return _best_in_faiss(data, queries, k)


def best_selected(
    data: NDArray[np.uint8], rows: Numbers, queries: NDArray[np.float32], k: int
) -> tuple[Scores, Numbers]:
    """Find the k best of some rows, as :func:`best_rows` finds those of all; the numbers given count in ``rows``.

    FAISS reads the rows of one query where they lie: in half the time that copying them out takes, a block at a time,
    as numpy and several queries need it.

    Args:
        data: as of :func:`best_rows`.
        rows: (n,) numbers of rows, ascending.
        queries: as of :func:`best_rows`.
        k: 1 to n.
    """
    if len(queries) == 1:
        in_numpy = _numpy.takes(len(rows) * data.shape[1])
        products = (_selected_in_numpy if in_numpy else products_of)(data, rows, queries[0])
        scores, numbers = _best_of(products, k)
        return scores[None], numbers[None]
    step = max(1, _BATCH_BLOCK_BYTES // data.shape[1])
    best = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), step):
        block = data.take(rows[start : start + step], axis=0)
        scores, numbers = _best_in_faiss(block, queries, min(k, len(block)))
        best = best_of_parts([best, (scores, np.where(numbers < 0, -1, numbers + start))], k)
    return best


def products_of(data: NDArray[np.uint8], rows: Numbers, query: NDArray[np.float32]) -> Scores:
    """Compute the inner products of some rows with a query, (n,) float32, by some float32 summation; imports FAISS.

    It reads the rows where they are, which takes half as long as copying them out.

    Args:
        data: as of :func:`best_rows`.
        rows: (n,) numbers of rows, in any order.
        query: (d,) float32, C-contiguous.
    """
    prepare_thread()
    import faiss

    products = np.empty(len(rows), np.float32)
    numbers = np.ascontiguousarray(rows, np.int64)
    faiss.fvec_inner_products_by_idx(  # type: ignore[attr-defined]
        faiss.swig_ptr(products), faiss.swig_ptr(query), faiss.swig_ptr(data.view("<f4")), faiss.swig_ptr(numbers),
        len(query), 1, len(numbers),
    )  # fmt: skip
    return products


def best_of_parts(parts: Sequence[tuple[Scores, Numbers]], k: int) -> tuple[Scores, Numbers]:
    """Find the k best, descending, of what was found in several parts of the rows, (q, m) each."""
    if len(parts) == 1:
        return parts[0]
    scores, numbers = np.hstack([one for one, _ in parts]), np.hstack([one for _, one in parts])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(scores, order, 1), np.take_along_axis(numbers, order, 1)


class _Numpy:
    """What of this process's scans numpy takes."""

    def __init__(self) -> None:
        self._scanned = 0

    def takes(self, size: int) -> bool:
        """Whether numpy is to scan so many bytes."""
        self._scanned += size
        return self._scanned <= NUMPY_BYTES and "faiss" not in sys.modules


_numpy = _Numpy()


def prepare_thread() -> None:
    """Have FAISS use the calling thread alone; imports it."""
    if not getattr(_thread, "is_prepared", False):
        import faiss  # late: see this module's docstring

        faiss.omp_set_num_threads(1)  # of this thread: OpenMP keeps the number for each
        _thread.is_prepared = True


_thread = threading.local()


def _best_in_faiss(data: NDArray[np.uint8], queries: NDArray[np.float32], k: int) -> tuple[Scores, Numbers]:
    prepare_thread()
    import faiss

    scores = np.empty((len(queries), k), np.float32)
    numbers = np.empty((len(queries), k), np.int64)
    d = data.shape[1] // 4
    # Of the process, and compared with queries times dimension (FAISS 1.15).
    faiss.cvar.distance_compute_blas_threshold = _PRODUCTS_FROM_QUERIES * d
    # FAISS is given the file's own bytes: it loads from any address.
    faiss.knn_inner_product(
        faiss.swig_ptr(queries), faiss.swig_ptr(data.view("<f4")), d, len(queries), len(data), k,
        faiss.swig_ptr(scores), faiss.swig_ptr(numbers),
    )  # fmt: skip
    return scores, numbers


def _best_in_numpy(data: NDArray[np.uint8], query: NDArray[np.float32], k: int) -> tuple[Scores, Numbers]:
    step = max(1, _BLOCK_BYTES // data.shape[1])
    blocks = (np.array(data[start : start + step]) for start in range(0, len(data), step))
    return _best_of(np.concatenate([_inner_products(block, query) for block in blocks]), k)


def _selected_in_numpy(data: NDArray[np.uint8], rows: Numbers, query: NDArray[np.float32]) -> Scores:
    step = max(1, _BLOCK_BYTES // data.shape[1])
    blocks = (data.take(rows[start : start + step], axis=0) for start in range(0, len(rows), step))
    return np.concatenate([_inner_products(block, query) for block in blocks])


def _best_of(scores: Scores, k: int) -> tuple[Scores, Numbers]:
    """Find the k largest scores, descending, with their places."""
    scores[np.isnan(scores)] = -np.inf
    numbers = np.argpartition(-scores, k - 1)[:k]
    numbers = numbers[np.argsort(-scores[numbers], kind="stable")]
    best: Scores = scores[numbers]
    return best, np.where(best == -np.inf, -1, numbers)


def _inner_products(data: NDArray[np.uint8], query: NDArray[np.float32]) -> Scores:
    """Compute the inner products of rows, copied out of the file, with a query, (n,) float32."""
    rows = data.view("<f4")  # aligned in the copy; numpy computes on unaligned rows a hundred times slower
    # Not BLAS, whose threads wait for each other on a busy machine.
    products: Scores = np.einsum("ij,j->i", rows, query)
    return products
