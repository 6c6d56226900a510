"""A copy of a segment's rows in bytes, in memory, which proves in a sixth of a scan's time which rows are the best.

A scan of 80,000 copied rows of 512 takes one query 1.7 ms of CPU, one of the rows themselves 11. A copy has a quarter
of their size and takes the time of some thirty scans to make, so a segment gets one once it has been scanned often: in
servers and long-lived engines, not in a process that asks once.

Each element is rounded to a multiple of its dimension's step. What a row loses by that has a length, and the score of
no row is further from its copy's than the longest of those (Cauchy-Schwarz). The rows that may be among the best by
this bound are a few hundred; those are scored by the rows themselves, and where they prove nothing, all are.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound
from retrieval.collection.stores.flat_scan import prepare_thread

SCANS_BEFORE_COPY = 16
"""Times that a segment is scanned before it is copied."""

MOST_BYTES = 256 * 2**20
"""Of the copies of all segments of a process; segments whose copies do not fit are scanned as they are."""

FEW_QUERIES = 8
"""More queries at a time take less in matrix products of the rows themselves."""

_LEAST_CANDIDATES, _CANDIDATES_A_ROW = (
    512,
    4,
)  # scored, of the copy's best: so many, or so many for each one wanted
_MORE = 8  # times as many where those prove nothing
_CHUNK_BYTES = 32 * 2**20  # of float32 rows, copied at a time
_HIGHEST = 127
_ROUNDED_UP = 1.001  # the length of what is lost is itself computed in float32
_UNPROVEN = 16  # scans for nothing, beyond those that proved something, after which a copy is dropped

Scores = NDArray[np.float32]
Numbers = NDArray[np.int64]
Run = Callable[[Callable[[int], tuple[Scores, Numbers]], Iterable[int]], Iterable[tuple[Scores, Numbers]]]


class Rows(Protocol):
    """What is copied: a segment."""

    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    def vectors(self, rows: Numbers) -> NDArray[np.float32]: ...  # noqa: D102


class ByteRows:
    """Rows in bytes; searched from many threads.

    Args:
        steps: (d,) float32, of each dimension.
        error: the length of what the row that lost most has lost.
        chunks: FAISS's indexes of the rows, in order, all but the last of equal size.
        rows: their number.
    """

    def __init__(self, steps: NDArray[np.float32], error: float, chunks: list[Any], rows: int) -> None:
        self._steps, self.error, self._chunks, self.rows = steps, error, chunks, rows

    def candidates(
        self, query: NDArray[np.float32], count: int, selected: Numbers | None = None, run: Run = map
    ) -> tuple[Numbers, float]:
        """Find the ``count`` rows of the highest scores by the copy, and what no other row's float32 score exceeds.

        Args:
            query: (d,) float32 unit row.
            count: >= 1.
            selected: numbers of the rows that count, ascending; None is all.
            run: searches chunks, as ``map`` does.

        Returns:
            numbers of rows, ascending, and the bound: -inf where no other row is left.
        """
        scaled = np.ascontiguousarray((query * self._steps)[None])
        found = run(lambda chunk: self._of_chunk(chunk, scaled, count, selected), range(len(self._chunks)))
        scores, numbers = (np.concatenate(parts) for parts in zip(*found, strict=True))
        if len(numbers) == (self.rows if selected is None else len(selected)):
            return np.sort(numbers), -np.inf
        if len(numbers) > count:
            best = np.argpartition(-scores, count - 1)[:count]
            scores, numbers = scores[best], numbers[best]
        # the sums of the copy and of the row are of float32, of products whose sizes add up to little more than 1
        slack = self.error * float(np.linalg.norm(query)) + 4 * error_bound(len(query))
        return np.sort(numbers), float(scores.min()) + slack

    def _of_chunk(
        self, chunk: int, scaled: NDArray[np.float32], count: int, selected: Numbers | None
    ) -> tuple[Scores, Numbers]:
        prepare_thread()
        index, start = self._chunks[chunk], chunk * int(self._chunks[0].ntotal)
        if selected is None:
            scores, numbers = index.search(scaled, min(count, index.ntotal))
            return scores[0], numbers[0] + start
        here = selected[slice(*np.searchsorted(selected, (start, start + index.ntotal)))] - start
        if not len(here):
            return np.empty(0, np.float32), np.empty(0, np.int64)
        import faiss  # late, as in flat_scan

        bits = np.zeros(index.ntotal, bool)
        bits[here] = True
        packed = np.packbits(bits, bitorder="little")
        chosen = faiss.SearchParameters(  # type: ignore[call-arg]
            sel=faiss.IDSelectorBitmap(len(packed), faiss.swig_ptr(packed))
        )
        scores, numbers = index.search(scaled, min(count, len(here)), params=chosen)
        return scores[0], numbers[0] + start


def copy_rows(source: Rows) -> ByteRows | None:
    """Copy rows into bytes; None where some are not numbers."""
    import faiss

    a_chunk = max(1, _CHUNK_BYTES // (4 * source.dimension))
    parts = [np.arange(at, min(at + a_chunk, source.rows)) for at in range(0, source.rows, a_chunk)]
    highest = np.max([np.abs(source.vectors(part)).max(axis=0) for part in parts], axis=0)
    if not np.isfinite(highest).all():
        return None
    steps = np.maximum(highest / _HIGHEST, np.finfo(np.float32).tiny).astype(np.float32)
    chunks, error = [], 0.0
    for part in parts:
        rows = source.vectors(part)
        codes = np.rint(rows / steps)
        lost = rows - codes * steps
        error = max(error, float(np.sqrt(np.einsum("ij,ij->i", lost, lost).max())))
        index = faiss.IndexScalarQuantizer(
            source.dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
        )
        index.add(codes)
        chunks.append(index)
    return ByteRows(steps, error * _ROUNDED_UP, chunks, source.rows)


class CopyOf:
    """The copy of one segment: when it is made, and whether it is worth having.

    Attributes:
        size: bytes that it takes.
        rows: the copy, once it is made.
    """

    def __init__(self, source: Rows) -> None:
        self._source = weakref.ref(source)
        self.size = source.rows * source.dimension
        self._lock = threading.Lock()
        self._scans = self._unproven = 0
        self._is_asked_for = False
        self.rows: ByteRows | None = None

    def scanned(self) -> bool:
        """Count a scan; tell whether somebody is to call :meth:`make` now, which is so once at most."""
        with self._lock:
            self._scans += 1
            if self._is_asked_for or self._scans < SCANS_BEFORE_COPY:
                return False
            self._is_asked_for = True
            return _budget.take(self.size)

    def make(self) -> None:
        """Make the copy."""
        source = self._source()
        made = None if source is None else copy_rows(source)
        if made is None:
            _budget.give_back(self.size)
            return
        weakref.finalize(made, _budget.give_back, self.size)
        self.rows = made

    def best(
        self, queries: NDArray[np.float32], k: int, selected: Numbers | None = None, run: Run = map
    ) -> tuple[Scores, Numbers] | None:
        """Find the k best of the rows, or of some, as a scan of them does; None where there is no copy or no proof.

        Args:
            queries: (q, d) float32 unit rows.
            k: 1 to the number of rows that count.
            selected: numbers of the rows that count, ascending; None is all.
            run: searches chunks, as ``map`` does.

        Returns:
            (q, k) scores by float32 arithmetic, descending, and numbers of rows.
        """
        copy, source = self.rows, self._source()
        if copy is None or source is None:
            return None
        found = [_best(source, copy, query, k, selected, run) for query in queries]
        proven = [one for one in found if one is not None]
        self._judge(len(proven) == len(found))
        if len(proven) < len(found):
            return None
        scores, numbers = zip(*proven, strict=True)
        return np.stack(scores), np.stack(numbers)

    def _judge(self, is_proven: bool) -> None:
        with self._lock:
            self._unproven = max(0, self._unproven + (-1 if is_proven else 1))
            if self._unproven > _UNPROVEN:
                self.rows = None


def _best(
    source: Rows, copy: ByteRows, query: NDArray[np.float32], k: int, selected: Numbers | None, run: Run
) -> tuple[Scores, Numbers] | None:
    first = max(_LEAST_CANDIDATES, _CANDIDATES_A_ROW * k)
    for count in (first, _MORE * first):
        numbers, bound = copy.candidates(query, count, selected, run)
        scores = np.einsum("ij,j->i", source.vectors(numbers), query)
        best = np.argsort(-scores, kind="stable")[:k]
        if bound <= scores[best[-1]]:
            return scores[best], numbers[best]
    return None


class _Budget:
    """Bytes of memory that copies may take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken = 0

    def take(self, size: int) -> bool:
        with self._lock:
            if self._taken + size > MOST_BYTES:
                return False
            self._taken += size
            return True

    def give_back(self, size: int) -> None:
        with self._lock:
            self._taken -= size


_budget = _Budget()
