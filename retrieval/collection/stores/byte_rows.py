"""A copy of a segment's rows in bytes, in memory, which proves in a fraction of a scan's time which rows are the best.

A copy has a quarter of the rows' size, and its scan a third of their scan's time or less, since reading memory is what
takes time. It takes the time of some hundred scans to make, so a segment gets one once it has been scanned often: in
servers and long-lived engines, not in a process that asks once.

Rows and queries are turned by one random rotation, which changes no score and spreads what single dimensions have over
all (as in RaBitQ: Gao and Long, SIGMOD 2024), and rounded to multiples of a step. What rounding takes from a row or a
query has a length, and so the score of no row is further from its copy's than those lengths allow (Cauchy-Schwarz). The
rows that may be among the best by this bound are a thousand or so; those are scored by the rows themselves, and where
they prove nothing, all are. Copies are compared by sums of products of whole numbers, which are the same however they
are computed: by :mod:`~retrieval.collection.stores.byte_products` for several queries in one pass, where the processor
has instructions for it, else by FAISS, which has kernels that take a query in float32, and such as round it to bytes.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound
from retrieval.collection.stores import byte_products
from retrieval.collection.stores.byte_products import HIGHEST, ByteProducts, multiply_bytes
from retrieval.collection.stores.flat_scan import prepare_thread

SCANS_BEFORE_COPY = 64
"""Times that a segment is scanned for a query before it is copied."""

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
_ROUNDED_UP = 1.001  # lengths and products with the rotation are themselves computed in float32
_TURNING = 1e-5  # by which a rotation in float32 may change a score
_BLOCK_ROWS = 64  # of sums, whose highest are compared: a block of fewer where more rows are wanted
_BLOCKS_A_ROW = 4  # that is wanted, at least
_NEAR, _NEAR_OF_ALL = 4096, 4  # candidates at most, or a fourth of the rows: a scan of all takes no longer
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
    def products(self, rows: Numbers, query: NDArray[np.float32]) -> Scores: ...  # noqa: D102


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


class WholeQuery(NamedTuple):
    """A query as whole numbers.

    Attributes:
        numbers: (d,) float32, from -127 to 127.
        step: of a score, that a sum of 1 stands for.
        error: by which a row's float32 score may differ from its sum times the step.
    """

    numbers: NDArray[np.float32]
    step: float
    error: float


class ByteRows:
    """Rows in bytes; searched from many threads.

    Args:
        numbers: the rows as whole numbers: an index of FAISS's, or products.
        rows: how many.
        step: that a whole number stands for.
        error: the length of what the row that lost most has lost.
        longest: the length of the longest row, in steps.
    """

    def __init__(
        self, numbers: Any | ByteProducts, rows: int, step: float, error: float, longest: float
    ) -> None:
        self._numbers, self._step, self.error, self._longest = numbers, step, error, longest
        self.rows = rows

    def candidates(
        self, queries: NDArray[np.float32], k: int, selected: Numbers | None = None
    ) -> list[Iterable[Candidates]]:
        """Find rows that may be among the k best, for each query: at first few, then more where those prove nothing.

        Args:
            queries: (q, d) float32 unit rows, at most :data:`FEW_QUERIES`.
            k: 1 to the number of rows that count.
            selected: numbers of the rows that count, ascending, at least one; None is all.
        """
        asked = [self._whole(query) for query in queries]
        if not isinstance(self._numbers, ByteProducts):
            return [self._best_by_faiss(one, k, selected) for one in asked]
        with self._numbers.sums(np.stack([one.numbers for one in asked])) as sums:
            return [_near_the_best(of_one, one, k, selected) for of_one, one in zip(sums, asked, strict=True)]

    def _whole(self, query: NDArray[np.float32]) -> WholeQuery:
        turned = np.einsum("i,ij->j", query, rotation(len(query)))  # not BLAS: see flat_scan
        step = max(float(np.abs(turned).max()) / HIGHEST, float(np.finfo(np.float32).tiny))
        whole = np.rint(turned / step).astype(np.float32)
        lost = float(np.linalg.norm(turned - whole * step))
        slack = 4 * error_bound(len(query)) + _TURNING
        error = (
            _ROUNDED_UP * (lost * self._longest * self._step + self.error * float(np.linalg.norm(query)))
            + slack
        )
        return WholeQuery(whole, step * self._step, error)

    def _best_by_faiss(self, asked: WholeQuery, k: int, selected: Numbers | None) -> Iterator[Candidates]:
        total = self.rows if selected is None else len(selected)
        first = max(_LEAST_CANDIDATES, _CANDIDATES_A_ROW * k)
        for count in (first, _MORE * first):
            sums, numbers = _search(self._numbers, asked.numbers[None], min(count, total), selected)
            scores = sums * np.float32(asked.step)
            bound = -np.inf if len(numbers) == total else float(scores[-1]) + asked.error
            yield Candidates(numbers, scores, asked.error, bound)


def _near_the_best(sums: Scores, asked: WholeQuery, k: int, selected: Numbers | None) -> Sequence[Candidates]:
    """Choose the rows that may be among the k best by the sums of all; none where those are too many.

    A row whose sum is among the k highest scores at least its sum less the error, so no row whose sum with the error
    stays below that is among the k best.
    """
    of = sums if selected is None else sums[selected]
    least = float(_low_kth(of, k)) * asked.step - 2 * asked.error
    near = np.flatnonzero(of >= np.float32(max(least / asked.step, float(np.finfo(np.float32).min))))
    if len(near) > max(_NEAR, len(of) // _NEAR_OF_ALL):
        return []
    near = near[np.argsort(-of[near])]
    bound = -np.inf if len(near) == len(of) else least + asked.error
    numbers = near if selected is None else selected[near]
    return [Candidates(numbers, of[near] * np.float32(asked.step), asked.error, bound)]


def _low_kth(sums: Scores, k: int) -> np.float32:
    """Find what at least k sums reach, near the k-th highest: the k-th of the highest of blocks."""
    block = max(1, min(_BLOCK_ROWS, len(sums) // (_BLOCKS_A_ROW * k)))
    # the sums of a block lie apart, so that many blocks are compared at once: a fifth of the time
    highest = sums[: len(sums) // block * block].reshape(block, -1).max(axis=0)
    kth: np.float32 = np.partition(highest, len(highest) - k)[len(highest) - k]
    return kth


@cache
def rotation(dimension: int) -> NDArray[np.float32]:
    """Give the rotation of rows and queries, (d, d) float32 orthogonal, always the same."""
    drawn = np.random.default_rng(0).standard_normal((dimension, dimension))
    return np.ascontiguousarray(np.linalg.qr(drawn)[0], np.float32)


def copy_rows(source: Rows) -> ByteRows | None:
    """Copy rows into bytes; None where some are not numbers, or there are too many dimensions."""
    dimension = source.dimension
    a_block = max(1, _BLOCK_BYTES // (4 * dimension))
    parts = [np.arange(at, min(at + a_block, source.rows)) for at in range(0, source.rows, a_block)]
    if dimension > LARGEST_DIMENSION or not all(np.isfinite(source.vectors(part)).all() for part in parts):
        return None
    prepare_thread()
    turn = rotation(dimension)
    highest = max(float(np.abs(source.vectors(part) @ turn).max()) for part in parts)
    step = max(highest / HIGHEST, float(np.finfo(np.float32).tiny))
    rounded = _Rounded(source, parts, step)
    products = rounded.products() if byte_products.is_usable() else None
    numbers = rounded.index() if products is None else products
    return None if numbers is None else ByteRows(numbers, source.rows, step, rounded.error, rounded.longest)


class _Rounded:
    """Rows turned and rounded to whole numbers, a block at a time.

    Attributes:
        error: see :class:`ByteRows`; of the blocks so far.
        longest: likewise.
    """

    def __init__(self, source: Rows, parts: Sequence[Numbers], step: float) -> None:
        self._source, self._parts, self._step = source, parts, step
        self.error = self.longest = 0.0

    def products(self) -> ByteProducts | None:
        """Give the rows as products; None where sums are not exact."""

        def fill(table: NDArray[np.int8]) -> None:
            for part, whole in zip(self._parts, self._blocks(), strict=True):
                table[part] = whole

        return multiply_bytes(self._source.rows, self._source.dimension, FEW_QUERIES, fill)

    def index(self) -> Any | None:
        """Give the rows as an index of FAISS's; None where its sums are not exact."""
        import faiss

        index = faiss.IndexScalarQuantizer(
            self._source.dimension,
            faiss.ScalarQuantizer.QT_8bit_direct_signed,
            faiss.METRIC_INNER_PRODUCT,
        )
        for whole in self._blocks():
            index.add(whole)
        return index if _sums_whole_numbers(index) else None

    def _blocks(self) -> Iterator[NDArray[np.float32]]:
        for part in self._parts:
            turned = self._source.vectors(part) @ rotation(self._source.dimension)
            whole = np.rint(turned / self._step).astype(np.float32)
            lost = turned - whole * np.float32(self._step)
            self.error = max(self.error, float(np.linalg.norm(lost, axis=1).max()))
            self.longest = max(self.longest, float(np.linalg.norm(whole, axis=1).max()))
            yield whole


def _sums_whole_numbers(index: Any) -> bool:
    """Whether FAISS gives the very sums of products that a copy's proofs rest on."""
    query = np.random.default_rng(0).integers(-HIGHEST, HIGHEST + 1, index.d).astype(np.float32)
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

    def scanned(self, queries: int) -> bool:
        """Count a scan for each query; tell whether somebody is to call :meth:`make` now, which is so once at most."""
        with self._lock:
            self._scans += queries
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
        tries = copy.candidates(queries, k, selected)
        found = [_best(source, query, k, of_one) for query, of_one in zip(queries, tries, strict=True)]
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
    source: Rows, query: NDArray[np.float32], k: int, tries: Iterable[Candidates]
) -> tuple[Scores, Numbers] | None:
    """Find the k best rows among candidates; None where none of the tries proves them."""
    for found in tries:
        at_first = found.numbers[: _SCORED_AT_FIRST * k]
        scores = source.products(at_first, query)
        floor = np.partition(scores, len(scores) - k)[len(scores) - k] if len(scores) >= k else -np.inf
        if found.bound > floor:
            continue
        later = found.numbers[len(at_first) :]
        later = later[found.scores[len(at_first) :] + found.error >= floor]
        scores = np.concatenate([scores, source.products(later, query)])
        best = np.argsort(-scores, kind="stable")[:k]
        return scores[best], np.concatenate([at_first, later])[best]
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
