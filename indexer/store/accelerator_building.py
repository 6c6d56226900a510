"""Build one accelerator, tuned and measured on queries of the other kind. Imports FAISS."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.store.tuning_queries import Encode, choose_queries
from retrieval.collection.accelerators.coded_rows import CodedRows, build_coded_rows
from retrieval.collection.accelerators.file import accelerator_bytes
from retrieval.collection.accelerators.inverted_file import InvertedFile
from retrieval.collection.accelerators.measurement import AcceleratorMeasurement
from retrieval.collection.accelerators.planning import TUNED_FOR
from retrieval.collection.accelerators.tuning import measure, tune
from retrieval.collection.search import Candidates, best_of, best_scored, search
from retrieval.collection.stores import SegmentStore
from retrieval.freed_memory import return_freed_memory
from retrieval.types import Kind

_FIT_QUERIES, _TUNE_QUERIES, _HELD_OUT_QUERIES = 400, 400, 200
_FEWEST_QUERIES = 200  # stored ones; with fewer of them, the queries are bundled texts
_SCANS = 5  # timed
_OTHERS = 7
"""Queries whose codes are read between two times that one is asked: the second would find its own in the processor's
cache else. Vectors are read of one query at a time, for the kernel maps up to 2 MiB around each."""
_RESIDENT_BYTES = 64 * 2**20  # of vectors that are in memory at a time, and that a scan is timed on


@dataclass(frozen=True, slots=True, eq=False)
class BuiltAccelerator:
    """An accelerator that reaches its recall.

    Attributes:
        coded: what its file holds.
        measurement: its recall and speed.
        last_encoding: id of the last vector that it covers.
    """

    coded: CodedRows
    measurement: AcceleratorMeasurement
    last_encoding: int

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Give its file's contents piece by piece."""
        return accelerator_bytes(self.coded)


@dataclass(frozen=True, slots=True, eq=False)
class _Queries:
    """Queries of the other kind, in parts that do not overlap."""

    fit: NDArray[np.float32]
    tune: NDArray[np.float32]
    held_out: NDArray[np.float32]
    what: str


def build_accelerator(
    stores: dict[Kind, SegmentStore],
    kind: Kind,
    masked: NDArray[np.int64],
    encode: Encode,
    recall: float,
    threads: int,
    coded: CodedRows | None = None,
) -> BuiltAccelerator | None:
    """Code the vectors of a kind and find the search parameters that reach the recall; None if none do.

    Args:
        stores: of both kinds.
        kind: of the vectors to code.
        masked: ids of encodings that are not to be found.
        encode: called where the collection holds too few texts to measure with.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1.
        threads: that building may use.
        coded: the vectors as they were coded before, all of them, to find other search parameters alone.
    """
    store = stores[kind]
    queries = _queries(stores["text" if kind == "image" else "image"], kind, masked, encode)
    ids = np.concatenate([segment.ids for segment in store.segments])

    def blocks() -> Iterator[NDArray[np.float32]]:
        for segment in store.segments:
            for _, rows in segment.blocks():
                yield rows
                segment.release()

    if coded is None:
        coded = build_coded_rows(blocks, ids, queries.fit, threads)
        return_freed_memory()  # of samples: the vectors that are read from here on take as much
    inverted = InvertedFile(coded)
    # The exact best come first: they are searched in the store's threads, of which there is one.
    best = exact_best(store, queries.tune, masked)
    found = store.run(tune, inverted, queries.tune, best, recall)
    if found is None:
        return None
    held_out = store.run(
        measure, inverted, queries.held_out, exact_best(store, queries.held_out, masked), found.parameters
    )

    def accelerated(query: NDArray[np.float32]) -> None:
        ids = np.sort(inverted.propose(query, found.parameters))
        best_scored(ids, store.vectors(ids), query, TUNED_FOR)

    def ask_others(place: int) -> None:
        for other in range(place + 1, place + 1 + _OTHERS):
            inverted.propose(queries.held_out[other % len(queries.held_out)], found.parameters)

    measurement = AcceleratorMeasurement(
        cells=found.parameters.cells,
        rescored=found.parameters.rescored,
        radius_weight=found.parameters.radius_weight,
        recall=round(held_out.recall, 4),
        target=recall,
        queries=len(queries.held_out),
        queried_with=queries.what,
        milliseconds=store.run(_median_ms, store, accelerated, queries.held_out, ask_others),
        exact_milliseconds=_scan_ms(store, queries.held_out[:_SCANS], masked),
        bytes_per_vector=round(coded.codes.shape[1] + coded.ids.itemsize, 1),
    )
    return BuiltAccelerator(coded, measurement, int(ids.max()))


def _queries(other: SegmentStore, kind: Kind, masked: NDArray[np.int64], encode: Encode) -> _Queries:
    """Choose queries, and share them out."""
    wanted = _FIT_QUERIES + _TUNE_QUERIES + _HELD_OUT_QUERIES
    rows, what = choose_queries(other, kind, masked, encode, _FEWEST_QUERIES, wanted)
    other.release()  # a few rows, and all that the kernel mapped around them
    shares = np.cumsum([_FIT_QUERIES, _TUNE_QUERIES]) * len(rows) // wanted
    fit, to_tune, held_out = np.split(rows, shares)
    return _Queries(fit, to_tune, held_out, what)


def exact_best(
    store: SegmentStore, queries: NDArray[np.float32], masked: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Find the ids of the exact best of each query, those that tie with the last included.

    Some rows after the others, of a store that may be larger than memory.
    """
    found = [Candidates(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
    for some in store.passes(_resident_rows(queries)):
        found = [
            best_of(np.concatenate([a.ids, b.ids]), np.concatenate([a.scores, b.scores]), TUNED_FOR)
            for a, b in zip(found, search(some, queries, TUNED_FOR, masked), strict=True)
        ]
    return [candidates.ids for candidates in found]


def _scan_ms(store: SegmentStore, queries: NDArray[np.float32], masked: NDArray[np.int64]) -> float:
    """Time exact scans of the first vectors, and count up to all."""
    part = store.first(_resident_rows(queries))
    spent = _median_ms(part, lambda query: search(part, query[None], TUNED_FOR, masked), queries)
    return round(spent * store.rows / part.rows, 3)


def _resident_rows(queries: NDArray[np.float32]) -> int:
    return max(1, _RESIDENT_BYTES // (4 * int(queries.shape[1])))


def _median_ms(
    store: SegmentStore,
    work: Callable[[NDArray[np.float32]], object],
    queries: NDArray[np.float32],
    between: Callable[[int], object] = lambda _: None,
) -> float:
    """Time each query's work where what it reads of the store is in memory already, and release that.

    Args:
        store: that is read.
        work: what is timed.
        queries: one after another.
        between: called between the work that brings into memory and the one that is timed, with the query's place.
    """
    spent = []
    for place, query in enumerate(queries):
        work(query)
        between(place)
        started = time.perf_counter()
        work(query)
        spent.append(time.perf_counter() - started)
        store.release()
    return round(1000 * statistics.median(spent), 3)
