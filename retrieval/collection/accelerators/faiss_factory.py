"""FAISS's own index types over vectors in memory, by factory string: what evaluation measures beside exact search."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
from numpy.typing import NDArray

LARGEST_SETTING = 2**31 - 1


class FactoryIndex:
    """An index over unit rows in memory, by inner product.

    Args:
        factory: FAISS's factory string, such as ``IVF32,Flat``.
        rows: (n, d) float32 unit rows; none for an index that is only made, to see whether there is one of that name.

    Attributes:
        build_seconds: what training and adding took.

    Raises:
        ValueError: FAISS knows no such index, or cannot train it on so few rows; with its reason.
    """

    def __init__(self, factory: str, rows: NDArray[np.float32]) -> None:
        start = time.perf_counter()
        try:
            self._index = faiss.index_factory(rows.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
            if len(rows):  # without, the name alone is checked
                self._index.train(rows)
                self._index.add(rows)
        except RuntimeError as error:
            raise ValueError(_reason(error)) from error
        self.build_seconds = time.perf_counter() - start

    @property
    def size_bytes(self) -> int:
        """Its size as FAISS writes it."""
        return int(faiss.serialize_index(self._index).nbytes)

    def set(self, name: str, value: float) -> None:
        """Change a search setting, such as ``nprobe``.

        Raises:
            ValueError: the index has no such setting, or it is no number from 1 to 2^31 - 1.
        """
        if not 1 <= value <= LARGEST_SETTING:
            raise ValueError(f"{name} cannot be {value:g}")
        try:
            faiss.ParameterSpace().set_index_parameter(self._index, name, value)
        except RuntimeError as error:
            raise ValueError(f"no setting {name}") from error

    def propose(self, query: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
        """Give the places, ascending, of about ``depth`` rows that may be the best for a query, (d,) float32."""
        _, rows = self._index.search(query[None], depth)
        return np.sort(rows[0][rows[0] >= 0])


def _reason(error: RuntimeError) -> str:
    """Take from FAISS's message what it says of its input, without the place in its source."""
    return re.sub(r"^Error in .*? at \S+: ", "", str(error).split("failed:")[-1].strip(), flags=re.DOTALL)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS use one thread in a block: SQ8 over 1,000 rows takes 0.2 ms a query, and 18 with a busy second."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)
