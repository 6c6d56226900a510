"""Build accelerators where an exact scan has grown slow, tuned and measured on queries of the other kind."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from indexer.store.bundled_queries import bundled_queries
from indexer.store.writer import Writer
from retrieval.collection.accelerators.file import accelerator_bytes
from retrieval.collection.accelerators.inverted_file import (
    CodedRows,
    InvertedFile,
    build_coded_rows,
)
from retrieval.collection.accelerators.opened import TUNED_FOR, Measurement, read_accelerators
from retrieval.collection.accelerators.tuning import measure, tune
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.score import exact_scores
from retrieval.collection.search import Candidates, best_of, search
from retrieval.collection.stores import SegmentStore, open_stores, search_threads
from retrieval.types import KINDS, Kind

FROM_ROWS = 100_000
"""Vectors of a kind from which an accelerator is built: below them an exact scan takes a few milliseconds."""

DEFAULT_RECALL = 0.98
STALE_SHARE = 0.1
"""Share of the vectors that an accelerator may lack; above it, the accelerator is rebuilt."""

_FIT_QUERIES, _TUNE_QUERIES, _HELD_OUT_QUERIES = 500, 200, 200
_FEWEST_QUERIES = 200  # stored ones; with fewer of them, the queries are bundled texts
_LEAST_DIMENSION = 8  # below it a code saves little, and there is nothing to balance
# Of what a recall leaves to 1: what just reaches it on the queries that it is tuned on may miss it on others.
_TUNED_BEYOND = 0.2
_SCANS = 5  # timed
_SCANNED_BYTES = 2**30

Encode = Callable[[list[str]], NDArray[np.float32]]
"""Texts to (n, d) float32 unit rows, by the collection's encoder."""


@dataclass(frozen=True, slots=True)
class Accelerated:
    """Result of building one kind's accelerator; ``measurement`` is None if the target recall was not reached."""

    kind: Kind
    rows: int
    measurement: Measurement | None


@dataclass(frozen=True, slots=True, eq=False)
class _Queries:
    """Queries of the other kind, in parts that do not overlap."""

    fit: NDArray[np.float32]
    tune: NDArray[np.float32]
    held_out: NDArray[np.float32]
    what: str


def accelerate_if_due(
    writer: Writer,
    encode: Encode,
    *,
    recall: float = DEFAULT_RECALL,
    from_rows: int = FROM_ROWS,
    threads: int = 2,
) -> list[Accelerated]:
    """Build the accelerators that are missing or stale, each in a commit of its own.

    Args:
        writer: of the collection.
        encode: called where the collection holds too few texts to measure with.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1.
        from_rows: vectors of a kind from which one is built.
        threads: that building may use.

    Raises:
        CollectionError: the disk is full or fails; the accelerators that were there stay.
    """
    done = []
    for kind in KINDS:
        with writer.look_up() as connection:
            driver = driver_connection(connection)
            encoder_id = active_encoder_id(driver)
            if encoder_id is None:
                return []
            identity = read_identity(driver, writer.path, encoder_id)
            with search_threads(1) as pool:
                stores = open_stores(driver, writer.path, encoder_id, identity.dimension, {}, pool)
                known = {facts.kind: facts for facts in read_accelerators(driver, encoder_id)}
                store = stores[kind]
                covered = known[kind].last_encoding if kind in known else -1
                if (
                    store.rows < from_rows
                    or identity.dimension < _LEAST_DIMENSION
                    or _rows_after(store, covered) <= STALE_SHARE * store.rows
                ):
                    continue
                masked = writer.masked(connection)
                built = _build(stores, kind, masked, encode, recall, threads)
        if built is not None:
            coded, measurement, last = built
            writer.commit_accelerator(
                kind, encoder_id, coded.rows, last, measurement.to_json(), accelerator_bytes(coded)
            )
        done.append(Accelerated(kind, store.rows, None if built is None else built[1]))
    return done


def _build(
    stores: dict[Kind, SegmentStore],
    kind: Kind,
    masked: NDArray[np.int64],
    encode: Encode,
    recall: float,
    threads: int,
) -> tuple[CodedRows, Measurement, int] | None:
    """Code the vectors of a kind and find the search parameters that reach the recall; None if none do."""
    store = stores[kind]
    queries = _queries(stores["text" if kind == "image" else "image"], kind, masked, encode)
    ids = np.concatenate([segment.ids for segment in store.segments])

    def blocks() -> Iterator[NDArray[np.float32]]:
        for segment in store.segments:
            for _, rows in segment.blocks():
                yield rows
            segment.release()

    coded = build_coded_rows(blocks, ids, queries.fit, threads)
    inverted = InvertedFile(coded)
    # The exact best come first: they are searched in the store's threads, of which there is one.
    best = exact_best(store, queries.tune, masked)
    found = store.run(tune, inverted, queries.tune, best, recall + _TUNED_BEYOND * (1 - recall))
    if found is None:
        found = store.run(tune, inverted, queries.tune, best, recall)
    if found is None:
        return None
    held_out = store.run(
        measure, inverted, queries.held_out, exact_best(store, queries.held_out, masked), found.parameters
    )

    def accelerated(query: NDArray[np.float32]) -> None:
        ids = inverted.propose(query, found.parameters)
        best_of(ids, exact_scores(store.vectors(ids), query), TUNED_FOR)

    measurement = Measurement(
        cells=found.parameters.cells,
        rescored=found.parameters.rescored,
        radius_weight=found.parameters.radius_weight,
        recall=round(held_out.recall, 4),
        target=recall,
        queries=len(queries.held_out),
        queried_with=queries.what,
        milliseconds=store.run(_median_ms, accelerated, queries.held_out),
        exact_milliseconds=_scan_ms(store, queries.held_out[:_SCANS], masked),
        bytes_per_vector=round(coded.codes.shape[1] + coded.ids.itemsize, 1),
    )
    return coded, measurement, int(ids.max())


def _queries(other: SegmentStore, kind: Kind, masked: NDArray[np.int64], encode: Encode) -> _Queries:
    """Choose stored vectors of the other kind, or bundled texts where there are too few."""
    wanted = _FIT_QUERIES + _TUNE_QUERIES + _HELD_OUT_QUERIES
    rng = np.random.default_rng(0)
    ids = np.concatenate([np.empty(0, np.int64), *(segment.ids for segment in other.segments)])
    ids = np.setdiff1d(ids, masked)
    what = f"stored {'texts' if kind == 'image' else 'images'}"
    if len(ids) < _FEWEST_QUERIES:
        rows, what = encode(bundled_queries()), "bundled texts"
        rows = rows[rng.permutation(len(rows))[:wanted]]
    else:
        rows = other.vectors(ids[rng.permutation(len(ids))[:wanted]])
    shares = np.cumsum([_FIT_QUERIES, _TUNE_QUERIES]) * len(rows) // wanted
    fit, to_tune, held_out = np.split(rows, shares)
    return _Queries(fit, to_tune, held_out, what)


def exact_best(
    store: SegmentStore, queries: NDArray[np.float32], masked: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Find the ids of the exact best of each query, those that tie with the last included.

    One segment after the other: of a store larger than memory the kernel would keep every page of the pass resident.
    """
    found = [Candidates(np.empty(0, np.int64), np.empty(0, np.float32))] * len(queries)
    for number, segment in store.by_id.items():
        of_one = search(store.part([number]), queries, TUNED_FOR, masked)
        segment.release()
        found = [
            best_of(np.concatenate([a.ids, b.ids]), np.concatenate([a.scores, b.scores]), TUNED_FOR)
            for a, b in zip(found, of_one, strict=True)
        ]
    return [candidates.ids for candidates in found]


def _scan_ms(store: SegmentStore, queries: NDArray[np.float32], masked: NDArray[np.int64]) -> float:
    """Time exact scans of the first segments, as many as memory surely holds, and count up to all vectors."""
    numbers: list[int] = []
    for number, segment in store.by_id.items():
        rows = segment.rows + sum(store.by_id[one].rows for one in numbers)
        if not numbers or 4 * rows * segment.dimension <= _SCANNED_BYTES:
            numbers.append(number)
    part = store.part(numbers)
    spent = _median_ms(lambda query: search(part, query[None], TUNED_FOR, masked), queries)
    for segment in part.segments:
        segment.release()
    return round(spent * store.rows / part.rows, 3)


def _rows_after(store: SegmentStore, last: int) -> int:
    return sum(segment.rows - int(np.searchsorted(segment.ids, last, "right")) for segment in store.segments)


def _median_ms(work: Callable[[NDArray[np.float32]], object], queries: NDArray[np.float32]) -> float:
    spent = []
    for query in queries:
        started = time.perf_counter()
        work(query)
        spent.append(time.perf_counter() - started)
    return round(1000 * statistics.median(spent), 3)
