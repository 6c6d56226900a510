"""Sums of products of bytes: of every row with each of a few queries, in one pass over the rows.

Reading the rows is what takes time: 80,000 of 512 take 4 ms of CPU for one query and 4.5 for eight, by instructions for
sums of products of bytes; FAISS takes 3.5 for each. OpenVINO has the matrix product for processors with them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.openvino_runtime import import_openvino, is_installed, openvino_core
from retrieval.processor import multiplies_bytes

HIGHEST = 127
_TEST_ROWS, _SAMPLE = 8, 64
_SETTINGS = {
    "INFERENCE_PRECISION_HINT": "f32",  # of all that is not bytes
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "ENABLE_CPU_PINNING": False,
}

Whole = NDArray[np.float32]
"""Whole numbers from -127 to 127, as float32."""


def is_usable() -> bool:
    """Whether this machine computes such sums fast; imports nothing."""
    return multiplies_bytes() and is_installed()


class ByteProducts:
    """Rows of bytes, (n, d) with d * 127 * 127 < 2^24; multiplied in many threads, one pass after the other."""

    def __init__(self, compiled: Any, rows: int) -> None:
        self._compiled, self.rows = compiled, rows
        self._lock = threading.Lock()
        self._idle: list[Any] = []

    @contextmanager
    def sums(self, queries: Whole) -> Iterator[NDArray[np.float32]]:
        """Compute the sums of all rows with (q, d) queries: (q, n) float32, exact, valid as long as the block runs."""
        with self._sums(queries) as sums:
            yield sums[:, : self.rows]

    @contextmanager
    def _sums(self, queries: Whole) -> Iterator[NDArray[np.float32]]:
        with self._lock:
            request = self._idle.pop() if self._idle else self._compiled.create_infer_request()
        try:
            yield request.infer([np.ascontiguousarray(queries)], share_inputs=True, share_outputs=True)[0]
        finally:
            with self._lock:
                self._idle.append(request)


def multiply_bytes(
    count: int, dimension: int, most_queries: int, fill: Callable[[NDArray[np.int8]], None]
) -> ByteProducts | None:
    """Make the product with some rows; None where this machine does not compute it exactly.

    Args:
        count: of rows, >= 1.
        dimension: of each.
        most_queries: that are asked at a time; sums are tried for each number of them.
        fill: writes the rows, (n, d).
    """
    table = np.empty((count + _TEST_ROWS, dimension), np.int8)
    fill(table[:count])
    table[count:] = _extremes(dimension).astype(np.int8)
    sample = np.concatenate(
        [np.linspace(0, count - 1, min(count, _SAMPLE)).astype(np.int64), np.arange(count, len(table))]
    )
    rows = table[sample].astype(np.int64)
    try:
        products = ByteProducts(_compiled(table), count)
        del table
        is_exact = all(_is_exact(products, sample, rows, number) for number in range(1, most_queries + 1))
    except (ImportError, RuntimeError):  # of OpenVINO
        return None
    return products if is_exact else None


def _compiled(table: NDArray[np.int8]) -> Any:
    """Compile the matrix product: what is rounded to steps of 1 on the way to it is multiplied as bytes."""
    openvino = import_openvino()
    op = openvino.opset13
    queries = op.parameter([-1, table.shape[1]], np.float32)
    lowest, highest = np.float32(-HIGHEST - 1), np.float32(HIGHEST)
    rounded = op.fake_quantize(queries, lowest, highest, lowest, highest, 256)
    steps = op.constant(np.ones((len(table), 1), np.float32))
    rows = op.multiply(op.convert(op.constant(table, shared_memory=True), np.float32), steps)
    model = openvino.Model([op.matmul(rounded, rows, False, True)], [queries], "byte products")
    return openvino_core().compile_model(model, "CPU", _SETTINGS)


def _is_exact(
    products: ByteProducts, sample: NDArray[np.int64], rows: NDArray[np.int64], number: int
) -> bool:
    """Whether so many queries have the very sums of some rows: also where sums of few products are the largest.

    Some processors add products of bytes in 16 bits, where two are too large.
    """
    dimension = rows.shape[1]
    drawn = np.random.default_rng(number).integers(-HIGHEST, HIGHEST + 1, (number, dimension))
    for queries in (drawn, np.resize(_extremes(dimension), (number, dimension))):
        with products._sums(queries.astype(np.float32)) as sums:
            if not np.array_equal(sums[:, sample].astype(np.int64), queries @ rows.T):
                return False
    return True


def _extremes(dimension: int) -> NDArray[np.int64]:
    """Give (8, d) rows of the largest numbers: of one sign, alternating, and by chance."""
    signs = np.random.default_rng(0).choice([-1, 1], (_TEST_ROWS, dimension))
    signs[0], signs[1] = 1, -1
    signs[2, ::2], signs[2, 1::2] = 1, -1
    signs[3, ::4], signs[3, 1::4], signs[3, 2::4], signs[3, 3::4] = 1, 1, -1, -1
    return HIGHEST * signs
