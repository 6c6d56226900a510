"""Some rows of a segment, searched as if they were a segment of their own: what filtered searches look at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.stores.segment_files import ALL, EXACT_SCAN_BYTES, Segment


class SelectedSegment:
    """Rows of a segment, numbered from 0 in their order; reading is safe from many threads.

    Args:
        segment: mapped.
        rows: numbers of its rows, ascending, at least one.
    """

    def __init__(self, segment: Segment, rows: NDArray[np.int64]) -> None:
        self._segment, self._rows = segment, rows
        self.ids = segment.ids[rows]
        self.rows: int = len(rows)
        self.dimension: int = segment.dimension
        self.copy = segment.copy

    def part(self, rows: slice) -> SelectedSegment:
        """Give some of the rows, numbered from 0; see :meth:`Segment.part`."""
        return SelectedSegment(self._segment, self._rows[rows])

    @property
    def is_small(self) -> bool:
        """Whether the rows are few; see :attr:`Segment.is_small`."""
        return 4 * self.rows * self.dimension <= EXACT_SCAN_BYTES

    def search(
        self, queries: NDArray[np.float32], k: int, part: slice = ALL
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give the ``min(k, rows)`` best of the rows, or a part of them; see :meth:`Segment.search`."""
        return self._segment.search_selected(self._rows[part], queries, k)

    def search_copy(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Search the segment's copy in memory; None where it has none, or that proves nothing."""
        found = self.copy.best(queries, min(k, self.rows), self._rows)
        return None if found is None else (found[0], np.searchsorted(self._rows, found[1]))

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows by number, (n, d) float32, C-contiguous."""
        return self._segment.vectors(self._rows[rows])

    def read(self, rows: NDArray[np.int64], into: NDArray[np.float32]) -> None:
        """Read rows by number into (n, d) float32; see :meth:`Segment.read`."""
        self._segment.read(self._rows[rows], into)

    def ask_for(self, rows: NDArray[np.int64]) -> None:
        """Have rows by number read that are soon read; see :meth:`Segment.ask_for`."""
        self._segment.ask_for(self._rows[rows])

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Read all the rows in order, as (first number, (n, d) float32), a few MB at a time."""
        step = max(1, EXACT_SCAN_BYTES // (4 * self.dimension))
        for start in range(0, self.rows, step):
            yield start, self._segment.vectors(self._rows[start : start + step])

    def release(self) -> None:
        """Drop what was read from this process's resident memory, as :meth:`Segment.release` does."""
        self._segment.release()
