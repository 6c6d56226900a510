"""A copy of a segment's rows in bytes, in memory, which proves in a fraction of a scan's time which rows are the best.

A copy has a quarter of the rows' size, and its scan a third of their scan's time or less, since reading memory is what
takes time. It takes the time of some hundred scans to make, so a segment gets one once it has been scanned often: in
servers and long-lived engines, not in a process that asks once.

Rows and queries are turned by one random rotation, which changes no score and spreads what single dimensions have over
all (as in RaBitQ: Gao and Long, SIGMOD 2024), and rounded to multiples of a step. What rounding takes from a row or a
query has a length, and so the score of no row is further from its copy's than those lengths allow (Cauchy-Schwarz). The
rows that may be among the best by this bound are a thousand or so; those are scored by the rows themselves, and where
they prove nothing, all are. Copies are compared by sums of products of whole numbers, which are the same however they
are computed: FAISS has kernels that take a query in float32, and such as round it to bytes.
"""

from __future__ import annotations

import threading
import weakref
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound
from retrieval.collection.stores.flat_scan import prepare_thread

SCANS_BEFORE_COPY = 64
"""Times that a segment is scanned before it is copied."""

MOST_BYTES = 256 * 2**20
"""Of the copies of all segments of a process; segments whose copies do not fit are scanned as they are."""

LARGEST_DIMENSION = 1024
"""Up to here sums of products of bytes are exact in float32: 1024 * 127 * 127 < 2^24."""

FEW_QUERIES = 8
"""More queries at a time take less in matrix products of the rows themselves."""

_LEAST_CANDIDATES, _CANDIDATES_A_ROW = 2048, 16  # of the copy's best: so many, or so many for each row wanted
_MORE = 4  # times as many where those prove nothing
_SCORED_AT_FIRST = 2  # rows for each one wanted: their scores rule out most of the other candidates
_BLOCK_BYTES = 8 * 2**20  # of float32 rows, copied at a time
_HIGHEST = 127
_ROUNDED_UP = 1.001  # lengths and products with the rotation are themselves computed in float32
_TURNING = 1e-5  # by which a rotation in float32 may change a score
_UNPROVEN = 16  # scans for nothing, beyond those that proved something, after which a copy is dropped

Scores = NDArray[np.float32]
Numbers = NDArray[np.int64]


class Rows(Protocol):
    """What is copied: a segment."""

    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def dimension(self) -> int: ...  # noqa: D102
    def vectors(self, rows: Numbers) -> NDArray[np.float32]: ...  # noqa: D102


class Candidates(NamedTuple):
    """The best rows by a copy.

    Attributes:
        numbers: of rows.
        scores: theirs by the copy, descending.
        error: by which a row's float32 score may differ from the copy's.
        bound: what the score of no other row exceeds; -inf where there is no other.
    """

    numbers: Numbers
    scores: Scores
    error: float
    bound: float


class ByteRows:
    """Rows in bytes; searched from many threads.

    Args:
        index: FAISS's, of the rows as whole numbers.
        step: that a whole number stands for.
        error: the length of what the row that lost most has lost.
        longest: the length of the longest row, in steps.
    """

    def __init__(self, index: Any, step: float, error: float, longest: float) -> None:
        self._index, self._step, self.error, self._longest = index, step, error, longest
        self.rows: int = index.ntotal

    def candidates(
        self, query: NDArray[np.float32], count: int, selected: Numbers | None = None
    ) -> Candidates:
        """Find the ``count`` rows of the highest scores by the copy.

        Args:
            query: (d,) float32 unit row.
            count: >= 1.
            selected: numbers of the rows that count, ascending, at least one; None is all.
        """
        turned = np.einsum("i,ij->j", query, rotation(len(query)))  # not BLAS: see flat_scan
        step = max(float(np.abs(turned).max()) / _HIGHEST, float(np.finfo(np.float32).tiny))
        whole = np.rint(turned / step).astype(np.float32)
        lost = float(np.linalg.norm(turned - whole * step))
        slack = 4 * error_bound(len(query)) + _TURNING
        error = (
            _ROUNDED_UP * (lost * self._longest * self._step + self.error * float(np.linalg.norm(query)))
            + slack
        )
        total = self.rows if selected is None else len(selected)
        sums, numbers = _search(self._index, whole[None], min(count, total), selected)
        scores = sums * np.float32(step * self._step)
        return Candidates(
            numbers, scores, error, -np.inf if len(numbers) == total else float(scores[-1]) + error
        )


@cache
def rotation(dimension: int) -> NDArray[np.float32]:
    """Give the rotation of rows and queries, (d, d) float32 orthogonal, always the same."""
    drawn = np.random.default_rng(0).standard_normal((dimension, dimension))
    return np.ascontiguousarray(np.linalg.qr(drawn)[0], np.float32)


def copy_rows(source: Rows) -> ByteRows | None:
    """Copy rows into bytes; None where some are not numbers, or there are too many dimensions."""
    import faiss

    dimension = source.dimension
    a_block = max(1, _BLOCK_BYTES // (4 * dimension))
    parts = [np.arange(at, min(at + a_block, source.rows)) for at in range(0, source.rows, a_block)]
    if dimension > LARGEST_DIMENSION or not all(np.isfinite(source.vectors(part)).all() for part in parts):
        return None
    prepare_thread()
    turn = rotation(dimension)
    highest = max(float(np.abs(source.vectors(part) @ turn).max()) for part in parts)
    step = max(highest / _HIGHEST, float(np.finfo(np.float32).tiny))
    index = faiss.IndexScalarQuantizer(
        dimension, faiss.ScalarQuantizer.QT_8bit_direct_signed, faiss.METRIC_INNER_PRODUCT
    )
    error = longest = 0.0
    for part in parts:
        turned = source.vectors(part) @ turn
        whole = np.rint(turned / step).astype(np.float32)
        error = max(error, float(np.linalg.norm(turned - whole * np.float32(step), axis=1).max()))
        longest = max(longest, float(np.linalg.norm(whole, axis=1).max()))
        index.add(whole)
    return ByteRows(index, step, error, longest) if _sums_whole_numbers(index) else None


def _sums_whole_numbers(index: Any) -> bool:
    """Whether FAISS gives the very sums of products that a copy's proofs rest on."""
    query = np.random.default_rng(0).integers(-_HIGHEST, _HIGHEST + 1, index.d).astype(np.float32)
    sums, numbers = _search(index, query[None], min(8, index.ntotal), None)
    rows = [index.reconstruct(int(number)).astype(np.int64) for number in numbers]
    return bool(np.array_equal(sums.astype(np.int64), [row @ query.astype(np.int64) for row in rows]))


def _search(
    index: Any, query: NDArray[np.float32], count: int, selected: Numbers | None
) -> tuple[Scores, Numbers]:
    prepare_thread()
    if selected is None:
        scores, numbers = index.search(query, count)
        return scores[0], numbers[0]
    import faiss  # late, as in flat_scan

    bits = np.zeros(index.ntotal, bool)
    bits[selected] = True
    packed = np.packbits(bits, bitorder="little")
    chosen = faiss.SearchParameters(  # type: ignore[call-arg]
        sel=faiss.IDSelectorBitmap(len(packed), faiss.swig_ptr(packed))
    )
    scores, numbers = index.search(query, count, params=chosen)
    return scores[0], numbers[0]


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
        self, queries: NDArray[np.float32], k: int, selected: Numbers | None = None
    ) -> tuple[Scores, Numbers] | None:
        """Find the k best of the rows, or of some, as a scan of them does; None where there is no copy or no proof.

        Args:
            queries: (q, d) float32 unit rows.
            k: 1 to the number of rows that count.
            selected: numbers of the rows that count, ascending; None is all.

        Returns:
            (q, k) scores by float32 arithmetic, descending, and numbers of rows.
        """
        copy, source = self.rows, self._source()
        if copy is None or source is None:
            return None
        found = [_best(source, copy, query, k, selected) for query in queries]
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
    source: Rows, copy: ByteRows, query: NDArray[np.float32], k: int, selected: Numbers | None
) -> tuple[Scores, Numbers] | None:
    first = max(_LEAST_CANDIDATES, _CANDIDATES_A_ROW * k)
    for count in (first, _MORE * first):
        found = copy.candidates(query, count, selected)
        at_first = found.numbers[: _SCORED_AT_FIRST * k]
        scores = _inner_products(source, at_first, query)
        floor = np.partition(scores, len(scores) - k)[len(scores) - k] if len(scores) >= k else -np.inf
        if found.bound > floor:
            continue
        later = found.numbers[len(at_first) :]
        later = later[found.scores[len(at_first) :] + found.error >= floor]
        scores = np.concatenate([scores, _inner_products(source, later, query)])
        best = np.argsort(-scores, kind="stable")[:k]
        return scores[best], np.concatenate([at_first, later])[best]
    return None


def _inner_products(source: Rows, numbers: Numbers, query: NDArray[np.float32]) -> Scores:
    products: Scores = np.einsum("ij,j->i", source.vectors(numbers), query)
    return products


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
