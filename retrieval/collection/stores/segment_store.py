"""The segments of a collection as a vector store: they are scanned by a few threads, once for all that wait."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.collection.statement import Select
from retrieval.collection.stores.byte_rows import FEW_QUERIES
from retrieval.collection.stores.encoding_places import EncodingPlaces
from retrieval.collection.stores.flat_scan import best_of_parts, prepare_thread
from retrieval.collection.stores.protocols import SAMPLE_ROWS
from retrieval.collection.stores.read_ahead import ColdReads
from retrieval.collection.stores.segment_files import Segment, open_segment
from retrieval.collection.stores.selected_segment import SelectedSegment
from retrieval.collection.stores.shared_scans import Found, SharedScans
from retrieval.errors import CollectionDamaged
from retrieval.types import Kind

T = TypeVar("T", bound=np.generic)
P = ParamSpec("P")
R = TypeVar("R")

PART_BYTES = 16 * 2**20
"""Of a segment: no part that a thread scans is smaller, unless the segment is."""

PARTS = (
    4  # of all rows, so that no thread is left with most of them; between parts it waits for the interpreter
)

SHARED_DEPTH = 2048
"""Searches that want more of the best rows than this scan alone, as those of several queries do."""

CORES = os.cpu_count() or 1

SCAN_ROWS = 4096  # deeper than this, and a tenth of a segment, an exact scan is faster than FAISS's heaps


def search_threads(count: int) -> ThreadPoolExecutor:
    """Start the threads of a :class:`SegmentStore`, which takes no others for one search.

    50 segments of 20,000 rows: 43 ms with two threads, 76 with one, 190 with OpenMP's own threads.
    """
    return ThreadPoolExecutor(count, thread_name_prefix="vlsearch-search")


class SegmentStore:
    """Disjoint segments of one kind, searched side by side.

    Args:
        segments: mapped, by their ids in the catalogue.
        threads: from :func:`search_threads`.
    """

    def __init__(self, segments: Mapping[int, Segment | SelectedSegment], threads: Executor) -> None:
        self.by_id, self._threads = segments, threads
        self.segments = list(segments.values())
        self.rows = sum(segment.rows for segment in self.segments)
        self._sample: tuple[NDArray[np.float32], int] | None = None
        self._shared = SharedScans()
        self._cold_reads = ColdReads()

    def propose(
        self, queries: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> list[SegmentProposals]:
        """Propose the ``depth`` best rows of every segment for each query; see :class:`VectorStore`."""
        found = self._search(queries, depth)
        return [
            SegmentProposals(
                [
                    _Part(segment, scores[number], rows[number], masked)
                    for segment, (scores, rows) in zip(self.segments, found, strict=True)
                ],
                query,
                self._threads,
            )
            for number, query in enumerate(queries)
        ]

    def _search(self, queries: NDArray[np.float32], depth: int) -> Found:
        """Search every segment: one small one in the calling thread; one query beside others that wait, if it can."""
        first = self.segments[0] if len(self.segments) == 1 and len(queries) == 1 else None
        if isinstance(first, Segment) and first.is_small:
            return [first.search(queries, depth)]
        if len(queries) <= FEW_QUERIES and depth <= SHARED_DEPTH:
            found = self._in_copies(queries, depth)
            if found is not None:
                return found
        if len(queries) == 1 and depth <= SHARED_DEPTH:
            return self._shared.search(self._scan_beside, queries, depth)
        return self._scan(queries, depth)

    def _in_copies(self, queries: NDArray[np.float32], depth: int) -> Found | None:
        """Search the copies of large segments, and few small ones; None where one has none yet, or proves nothing."""
        large = [segment for segment in self.segments if not segment.is_small]
        rows_of_small = self.rows - sum(segment.rows for segment in large)
        if 4 * rows_of_small * queries.shape[1] > PART_BYTES:  # several threads scan those
            return None
        for segment in large:
            if segment.copy.rows is None and segment.copy.scanned(len(queries)):
                self._threads.submit(segment.copy.make)
        if any(segment.copy.rows is None for segment in large):
            return None
        found = [
            segment.search(queries, depth) if segment.is_small else segment.search_copy(queries, depth)
            for segment in self.segments
        ]
        proven = [one for one in found if one is not None]
        return proven if len(proven) == len(found) else None

    def _scan_beside(self, queries: NDArray[np.float32], depth: int) -> Found:
        """Scan for searches that share, leaving one core to all else that these and the next ones need."""
        return self._scan(queries, depth, one_thread=len(queries) > 1 and CORES <= 2)

    def _scan(self, queries: NDArray[np.float32], depth: int, one_thread: bool = False) -> Found:
        """Scan all segments, large ones in parts of about equal size; threads take one part after the other."""
        count = 1 if one_thread else PARTS
        rows_a_part = max(-(-self.rows // count), PART_BYTES // (4 * queries.shape[1]))
        parts = [
            (number, part)
            for number, one in enumerate(self.segments)
            for part in _parts(one.rows, rows_a_part)
        ]
        run = map if one_thread else self._threads.map
        found = run(lambda at: self.segments[at[0]].search(queries, depth, at[1]), parts)
        of_segment: list[Found] = [[] for _ in self.segments]
        for (number, part), (scores, rows) in zip(parts, found, strict=True):
            of_segment[number].append((scores, np.where(rows < 0, -1, rows + part.start)))
        return [best_of_parts(of_one, depth) for of_one in of_segment]

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors by encoding id; see :class:`VectorStore`."""
        if not self.segments:
            if len(ids):
                raise KeyError(int(ids[0]))
            return np.empty((0, 0), np.float32)
        found, held = self.held_vectors(ids)
        if not held.all():
            raise KeyError(int(ids[~held][0]))
        return found

    def held_vectors(self, ids: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Give the vectors of those encoding ids that are held, (m, d) float32, and for each id whether it is.

        Ascending ids take half the time: what a segment holds of them is then read to where it belongs.
        """
        held = np.zeros(len(ids), bool)
        if not self.segments:
            return np.empty((0, 0), np.float32), held
        found = np.empty((len(ids), self.segments[0].dimension), np.float32)
        parts = list(self._places.find(ids))

        def ask() -> None:
            for number, _, rows in parts:
                self.segments[number].ask_for(rows)

        with self._cold_reads.gathering(ask):
            for number, places, rows in parts:
                if isinstance(places, slice):
                    self.segments[number].read(rows, found[places])
                else:
                    found[places] = self.segments[number].vectors(rows)
                held[places] = True
        return found if held.all() else found[held], held

    @cached_property
    def _places(self) -> EncodingPlaces:
        return EncodingPlaces(self.segments)

    def sample(self, masked: NDArray[np.int64]) -> tuple[NDArray[np.float32], int]:
        """Give up to :data:`SAMPLE_ROWS` vectors, (m, d) float32, at even distances, and how many there are in all.

        Read once: a store is of one generation, in which the same ids are masked.

        Args:
            masked: encoding ids that count not, ascending.
        """
        if self._sample is None:
            every = self.ids
            live = every[~_is_in(masked, every)]
            places = np.linspace(0, len(live) - 1, min(len(live), SAMPLE_ROWS)).astype(np.int64)
            self._sample = self.vectors(live[places]), len(live)
        return self._sample

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids of all its vectors, (n,) int64, segment by segment."""
        return _joined([segment.ids for segment in self.segments], np.int64)

    def contains(self, ids: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Tell for each encoding id whether the store holds a vector of it."""
        held = np.zeros(len(ids), bool)
        for _, places, _ in self._places.find(ids):
            held[places] = True
        return held

    def only(self, ids: NDArray[np.int64]) -> SegmentStore:
        """Give a store of some of the vectors; see :class:`VectorStore`."""
        chosen = {}
        for number, segment in self.by_id.items():
            assert isinstance(segment, Segment), "chosen from all vectors"
            rows = np.flatnonzero(_is_in(ids, segment.ids))
            if len(rows):
                chosen[number] = SelectedSegment(segment, rows)
        return SegmentStore(chosen, self._threads)

    def passes(self, rows: int) -> Iterator[SegmentStore]:
        """Give stores of at most so many rows, that together hold all, for one pass over what may exceed memory.

        What was read of one is released before the next is given: the kernel would keep every page of it resident.
        """
        for number, segment in self.by_id.items():
            for start in range(0, segment.rows, rows):
                yield SegmentStore({number: segment.part(slice(start, start + rows))}, self._threads)
                segment.release()

    def first(self, rows: int) -> SegmentStore:
        """Give a store of the first so many rows, or of all where there are fewer."""
        chosen, left = {}, rows
        for number, segment in self.by_id.items():
            if left > 0:
                chosen[number] = segment.part(slice(0, left))
            left -= segment.rows
        return SegmentStore(chosen, self._threads)

    def release(self) -> None:
        """Drop what was read from this process's resident memory; see :meth:`Segment.release`."""
        for segment in self.segments:
            segment.release()

    def since(self, last: int) -> SegmentStore:
        """Give the segments with any encoding after the one with this id."""
        later = {number: segment for number, segment in self.by_id.items() if segment.ids[-1] > last}
        return SegmentStore(later, self._threads)

    def ids_after(self, last: int) -> NDArray[np.int64]:
        """Give the ids of the encodings after the one with this id, ascending."""
        later = [segment.ids[np.searchsorted(segment.ids, last, "right") :] for segment in self.segments]
        return np.sort(_joined(later, np.int64))

    @property
    def last(self) -> int:
        """The highest id of an encoding; 0 where there is none."""
        return int(self._places.last.max(initial=0))

    def run(self, work: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Run a function in one of the store's threads, where FAISS uses no more than that one."""

        def run() -> R:
            prepare_thread()
            return work(*arguments, **named)

        return self._threads.submit(run).result()


def open_stores(
    connection: sqlite3.Connection,
    collection: Path,
    encoder_id: int | None,
    dimension: int,
    last: Mapping[Kind, SegmentStore],
    threads: Executor,
) -> dict[Kind, SegmentStore]:
    """Map the segments of an encoder, by kind, that the catalogue names in this transaction.

    Args:
        connection: in a read transaction.
        collection: its folder.
        encoder_id: in the catalogue; None has no segments.
        dimension: of that encoder.
        last: stores of an earlier generation, whose mapped files are shared.
        threads: from :func:`search_threads`.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file is not what the catalogue says.
    """
    found: dict[Kind, dict[int, Segment | SelectedSegment]] = {"image": {}, "text": {}}
    for row in _SEGMENTS.rows(connection, encoder_id):
        mapped = [store.by_id[row.id] for store in last.values() if row.id in store.by_id]
        segment = mapped[0] if mapped else open_segment(collection, row)
        if segment.dimension != dimension:
            raise CollectionDamaged(
                collection,
                f"segments/{row.vectors_name} has dimension {segment.dimension}, and its encoder {dimension}",
            )
        found[row.kind][row.id] = segment
    return {kind: SegmentStore(of_kind, threads) for kind, of_kind in found.items()}


class _SegmentRow(NamedTuple):
    id: int
    kind: Kind
    rows: int
    vectors_name: str
    vectors_size: int
    ids_name: str
    ids_size: int


_SEGMENTS = Select(
    _SegmentRow,
    "SELECT id, kind, rows, vectors_name, vectors_size, ids_name, ids_size FROM segments "
    "WHERE encoder_id = ? ORDER BY id",
)


class SegmentProposals:
    """Rows that were proposed of every segment for one query."""

    def __init__(self, parts: list[_Part], query: NDArray[np.float32], threads: Executor) -> None:
        self._parts, self._query, self._threads = parts, query, threads

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids of the rows proposed."""
        return _joined([part.ids for part in self._parts], np.int64)

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores of the rows proposed, by float32 arithmetic."""
        return _joined([part.scores for part in self._parts], np.float32)

    @property
    def unseen_bound(self) -> float:
        """The highest score that a row not yet proposed may have, by the same arithmetic."""
        return max((part.unseen_bound for part in self._parts), default=-np.inf)

    def deepen(self, floor: float) -> None:
        """Propose twice as many rows of each segment that may hold one scoring ``floor`` or above."""
        open_ = [part for part in self._parts if part.unseen_bound >= floor]
        list(self._threads.map(lambda part: part.deepen(self._query), open_))


class _Part:
    """The best rows of one segment by some float32 score, masked ones dropped."""

    def __init__(
        self,
        segment: Segment | SelectedSegment,
        scores: NDArray[np.float32],
        rows: NDArray[np.int64],
        masked: NDArray[np.int64],
    ) -> None:
        self._segment, self._masked = segment, masked
        self._add(scores, rows)

    def _add(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> None:
        self._depth = len(rows)
        self.unseen_bound = -np.inf if self._depth >= self._segment.rows else float(scores[-1])
        ids = self._segment.ids[rows]
        # Where rows are damaged and not numbers, fewer are proposed than were asked for, and -1 for the rest.
        live = ~_is_in(self._masked, ids) & (rows >= 0)
        self.ids, self.scores = ids[live], scores[live]

    def deepen(self, query: NDArray[np.float32]) -> None:
        """Propose twice as many rows; near a tenth of the segment score it whole, since heaps grow slow."""
        depth = self._depth * 2
        if depth > max(SCAN_ROWS, self._segment.rows // 10):
            parts = [exact_scores(block, query) for _, block in self._segment.blocks()]
            self._add(np.concatenate(parts), np.arange(self._segment.rows))
        else:
            scores, rows = self._segment.search(query[None], depth)
            self._add(scores[0], rows[0])


def _parts(rows: int, most: int) -> list[slice]:
    """Divide rows into as few parts of about equal size as have at most so many rows."""
    step = -(-rows // -(-rows // max(1, most)))
    return [slice(start, start + step) for start in range(0, rows, step)]


def _joined(parts: list[NDArray[T]], dtype: type[T]) -> NDArray[T]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _is_in(ascending: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    if not len(ascending):
        return np.zeros(len(ids), bool)
    at = np.searchsorted(ascending, ids)
    found: NDArray[np.bool_] = ascending[np.minimum(at, len(ascending) - 1)] == ids
    return found
