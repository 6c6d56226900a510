"""Rows of mapped files that are not in memory, read from the disk all at once and alone, before they are touched.

A page that is touched and not there is read with the 128 KiB or more around it, and the next one only after it: of ten
million vectors of 512 dimensions, the 400 that a search scores took 200 MB and 80 ms. Asked for ahead they take 2.5 MB,
read side by side, and 7 ms. To ask takes a microsecond a row, as much as reading it takes where it is in memory: so a
gather asks only after one that had to read.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import resource

    _THREAD: int | None = resource.RUSAGE_THREAD
except (ImportError, AttributeError):  # Windows; macOS
    _THREAD = None

SPARSE = 16
"""Of so many rows at most one may be asked for: of more, what lies around them is worth reading too."""


def mapping_of(array: NDArray[Any]) -> mmap.mmap | None:
    """Give the mapping that an array lies in, None where it is in memory."""
    holder: object = array
    while isinstance(holder, np.ndarray) and holder.base is not None:
        holder = holder.base
    return holder if isinstance(holder, mmap.mmap) else None


def ask_for(data: NDArray[np.uint8], rows: NDArray[np.int64]) -> None:
    """Have the kernel read some rows of a mapped array, and do not wait for it; nothing where the system cannot.

    Args:
        data: (n, bytes) C-contiguous; one that is not mapped is left alone.
        rows: numbers of its rows.
    """
    mapping = mapping_of(data)
    if mapping is None or not hasattr(mmap, "MADV_WILLNEED") or len(rows) * SPARSE > len(data):
        return
    start = data.ctypes.data - np.frombuffer(mapping, np.uint8, 1).ctypes.data
    firsts = start + rows * data.shape[1]
    pages = firsts // mmap.PAGESIZE * mmap.PAGESIZE
    lengths = firsts + data.shape[1] - pages
    with suppress(OSError):  # it is a hint
        for page, length in zip(pages.tolist(), lengths.tolist(), strict=True):
            mapping.madvise(mmap.MADV_WILLNEED, page, length)


class ColdReads:
    """Whether the last gather of some files had to read from the disk; the first is taken to have to.

    Safe in several threads: a wrong guess costs time alone.
    """

    def __init__(self) -> None:
        self.expected = True

    @contextmanager
    def gathering(self, ask: Callable[[], None]) -> Iterator[None]:
        """Around a gather: ask for its rows if it may have to read, and expect of the next one what this one had to."""
        before = _blocks_read()
        if self.expected:
            ask()
        yield
        self.expected = _blocks_read() > before


def _blocks_read() -> int:
    """Blocks that this thread has read from disks, or had read ahead; 0 where the system does not tell."""
    return 0 if _THREAD is None else resource.getrusage(_THREAD).ru_inblock
