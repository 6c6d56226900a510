"""Searches that wait while a store is scanned share its next scan: eight take the time of two and a half.

It reads all rows once (80,000 of 512: 12 ms of CPU for one query, 29 for eight). Nobody waits for company: a search
that finds the store at rest scans at once, and those that come meanwhile are scanned together when it is done.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

MOST_SHARED = 32  # queries in one scan; the others go on to the next

Found = list[tuple[NDArray[np.float32], NDArray[np.int64]]]
"""Of each segment, (q, k) scores, descending, and numbers of rows."""

Scan = Callable[[NDArray[np.float32], int], Found]


class SharedScans:
    """One scan at a time, for all queries that wait for it; safe to call from many threads.

    The thread of one of the waiting searches scans for all, and then hands on to the next. The store is not kept here:
    a circle of references would keep its files mapped after its last user has gone.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[_Search] = []
        self._is_scanning = False

    def search(self, scan: Scan, query: NDArray[np.float32], depth: int) -> Found:
        """Find the best rows of a query, (1, d), to a depth.

        Args:
            scan: the store's: finds the rows of (q, d) queries to a depth, of every segment.
            query: float32.
            depth: >= 1.

        Raises:
            Exception: what the scan raises for this query alone; the others that shared it are not concerned.
        """
        mine = _Search(query, depth)
        with self._lock:
            self._waiting.append(mine)
            mine.scans = not self._is_scanning
            self._is_scanning = True
        try:
            if not mine.scans:
                mine.turn.wait()
            if mine.scans:
                self._scan_for_all(scan, mine)
        finally:  # an interrupted thread hands on too: the others must not wait for it
            with self._lock:
                self._leave(mine)
        return mine.result()

    def _scan_for_all(self, scan: Scan, mine: _Search) -> None:
        with self._lock:
            mine.together = [mine, *(one for one in self._waiting if one is not mine)][:MOST_SHARED]
            self._waiting = [one for one in self._waiting if one not in mine.together]
        _find(scan, mine.together)

    def _leave(self, mine: _Search) -> None:
        """Take a search away; where it had the turn to scan, give that to another. With the lock held."""
        if mine in self._waiting:
            self._waiting.remove(mine)
        if not mine.scans:
            return
        self._waiting[:0] = [one for one in mine.together if one is not mine and not one.is_done]
        mine.together = []
        self._is_scanning = bool(self._waiting)
        if self._waiting:
            self._waiting[0].scans = True
            self._waiting[0].turn.set()


def _find(scan: Scan, together: list[_Search]) -> None:
    """Scan for searches together; where that fails, for each alone, so that an error is of its own query."""
    try:
        found = scan(np.concatenate([one.query for one in together]), max(one.depth for one in together))
    except Exception as error:
        if len(together) == 1:
            together[0].fail(error)
            return
        for one in together:
            _find(scan, [one])
        return
    for number, one in enumerate(together):
        at = slice(number, number + 1), slice(one.depth)
        one.answer([(scores[at], rows[at]) for scores, rows in found])


class _Search:
    """A search that waits.

    Attributes:
        query: (1, d) float32.
        depth: of the rows wanted.
        turn: set when rows are found, or when this search is to scan.
        scans: whether its own thread is to scan.
        together: those that its thread scans for.
        is_done: whether rows, or an error, are known.
    """

    def __init__(self, query: NDArray[np.float32], depth: int) -> None:
        self.query, self.depth = query, depth
        self.turn = threading.Event()
        self.scans = self.is_done = False
        self.together: list[_Search] = []
        self._found: Found = []
        self._error: Exception | None = None

    def answer(self, found: Found) -> None:
        self._found, self.is_done = found, True
        self.turn.set()

    def fail(self, error: Exception) -> None:
        self._error, self.is_done = error, True
        self.turn.set()

    def result(self) -> Found:
        if self._error is not None:
            raise self._error
        return self._found
