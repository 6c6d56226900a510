"""Build the indexes of a server for approximate search, tuned and measured on queries of the other kind.

Readers go on meanwhile; the lock of the one writer is held, so that no ``reindex`` puts other vectors in the place.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from indexer.store.acceleration import DEFAULT_RECALL, STALE_SHARE, Accelerated
from indexer.store.postgres.session import WriterSession
from indexer.store.tuning_queries import Encode, choose_queries
from retrieval.collection.accelerators.measurement import IndexMeasurement
from retrieval.collection.accelerators.planning import TUNED_FOR, is_too_deep
from retrieval.collection.postgres.server_connection import ServerConnection, server_fault
from retrieval.collection.postgres.server_index import (
    INDEXES,
    LARGEST_DIMENSION,
    MEASURED,
    OLDEST_EXTENSION,
    IndexFacts,
    ServerIndex,
    has_iterative_scans,
    index_lists,
    index_size,
    is_used,
    read_indexes,
)
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.postgres.server_store import IDS_A_STATEMENT, ServerStore
from retrieval.collection.search import search
from retrieval.collection.snapshot import read_rows_of_state
from retrieval.errors import CollectionError
from retrieval.identity import Identity
from retrieval.places import ServerAddress
from retrieval.types import KINDS, Kind

_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TUNE_QUERIES, _HELD_OUT_QUERIES = 300, 100
_FEWEST_QUERIES = 100  # stored ones; with fewer of them, the queries are bundled texts
_SCANS = 5  # timed
_STEP = 1.25  # from one number of lists that is tried to the next
_PROPOSED = 40  # candidates for 10 hits: half precision moves few of them
_FILTERED_RECALL = (
    0.995  # that lists for searches under a condition are chosen by; these then find 0.99 and more
)
_WAIT_S = 3600  # for transactions that began before an index
_MOST_LISTS = 3000  # finding the centres takes 2 GB from there on
_LISTS_A_ROOT = 2  # lists for the root of the number of vectors: the time is shared by centres and vectors
_FEWEST_LISTS = 0.75  # share of what as many vectors would get now; with fewer the index is built anew
_SAMPLED = 50  # vectors a list, that pgvector finds the centres with


class _State(NamedTuple):
    """What a build needs to know of a kind."""

    identity: Identity
    store: ServerStore
    masked: NDArray[np.int64]
    known: ServerIndex | None


def accelerate_server(
    address: ServerAddress,
    encode: Callable[[Identity], Encode],
    *,
    recall: float | None,
    from_rows: int,
    threads: int,
    timeout_s: float,
) -> list[Accelerated]:
    """Build the indexes that are missing, and measure those that were measured on fewer vectors.

    Args:
        address: of the collection.
        encode: gives the function that encodes texts where the collection holds too few to measure with.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1; None for that which the
            index there was tuned for, else 0.98.
        from_rows: vectors of a kind from which an index is built.
        threads: of the server, that building may use.
        timeout_s: how long to wait for another writer to end.

    Raises:
        CollectionLocked, CollectionNotFound: as for other writers.
        CollectionError: the server fails, refuses, or has too old a pgvector; the indexes that were there stay.
    """
    done = []
    with contextlib.closing(WriterSession(address, timeout_s, make=False)) as session:
        for kind in KINDS:
            with session.transaction(_READ) as server:
                state = _read(server, address, kind)
                if state is None:
                    continue
                target = _target(state.known) if recall is None else recall
                if not _is_due(state, target, from_rows):
                    continue
                _check_extension(server, address)
                rows = state.store.rows
                is_there = (
                    index_size(server, kind) is not None
                    and is_used(state.store)
                    and index_lists(server, kind) >= _FEWEST_LISTS * lists_of(rows)
                )
            if not is_there:
                _build(session, kind, state.identity.dimension, rows, threads)
            with session.transaction(_READ) as server:
                measured = _measured(server, address, kind, encode(state.identity), target)
            _keep(session, kind, measured)
            done.append(Accelerated(kind, rows, target, measured))
    return done


def drop_server_indexes(address: ServerAddress, timeout_s: float) -> int:
    """Drop the indexes, so that searches scan all vectors again, and return how many there were."""
    with contextlib.closing(WriterSession(address, timeout_s, make=False)) as session:
        with session.transaction(_READ) as server:
            there = [kind for kind in KINDS if index_size(server, kind) is not None]
        for kind in there:
            _keep(session, kind, None)
        return len(there)


def _read(server: ServerConnection, address: ServerAddress, kind: Kind) -> _State | None:
    """Read the state of a kind; None before anything was indexed."""
    state = read_rows_of_state(server, address)
    if state.identity is None:
        return None
    dimension = state.identity.dimension
    known = read_indexes(server, dimension).get(kind)
    return _State(state.identity, ServerStore(server, kind, dimension), state.masked, known)


def _target(known: ServerIndex | None) -> float:
    return DEFAULT_RECALL if known is None or known.measurement is None else known.measurement.target


def _is_due(state: _State, recall: float, from_rows: int) -> bool:
    rows = state.store.rows
    if rows < from_rows or state.identity.dimension > LARGEST_DIMENSION:
        return False
    measured = None if state.known is None else state.known.measurement
    return measured is None or measured.target != recall or measured.rows < (1 - STALE_SHARE) * rows


def _check_extension(server: ServerConnection, address: ServerAddress) -> None:
    if not has_iterative_scans(server):
        newest = ".".join(map(str, OLDEST_EXTENSION))
        raise CollectionError(
            f"the database of collection {address} has a pgvector older than {newest}, which approximate search needs; "
            "have its administrator run: ALTER EXTENSION vector UPDATE"
        )


def _build(session: WriterSession, kind: Kind, dimension: int, rows: int, threads: int) -> None:
    """Build an index beside those who read, through the one that was there, and write.

    What a build that failed has left is dropped.
    """
    name, table = sql.Identifier(f"{INDEXES[kind]}_new"), sql.Identifier(VECTORS[kind])
    extension = sql.SQL(session.connection.extension)
    lists = lists_of(rows)
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON {} USING ivfflat ((vector::{}.halfvec({})) {}.halfvec_ip_ops) "
        "WITH (lists = {})"
    ).format(name, table, extension, dimension, extension, lists)
    with _outside_transactions(session) as execute:
        execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
        execute(sql.SQL("SET lock_timeout = {}").format(_WAIT_S * 1000))
        execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(threads - 1))
        execute(
            sql.SQL(
                "SELECT set_config('maintenance_work_mem', greatest({}, setting::bigint)::text, false) "
                "FROM pg_settings WHERE name = 'maintenance_work_mem'"
            ).format(_kilobytes(lists, dimension))
        )
        try:
            execute(create)
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name))
            raise
        _drop(execute, kind)
        execute(sql.SQL("ALTER INDEX {} RENAME TO {}").format(name, sql.Identifier(INDEXES[kind])))


def _drop(execute: Callable[[sql.Composable], object], kind: Kind) -> None:
    """Drop the index of a kind, and that of an earlier version."""
    for there in (INDEXES[kind], f"{VECTORS[kind]}_hnsw"):
        execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(there)))


def lists_of(rows: int) -> int:
    """Choose the number of lists of an index of so many vectors."""
    return min(_MOST_LISTS, math.ceil(_LISTS_A_ROOT * math.sqrt(rows)))


def _kilobytes(lists: int, dimension: int) -> int:
    """Count the memory that finding the centres takes, and a third more.

    Each vector of the sample is there, with a bound of its distance to each centre; and distances between the centres.
    """
    sample = _SAMPLED * lists * (2 * dimension + 4 * lists)
    return (sample + 4 * lists * (lists + 3 * dimension)) // 768 + 2**16


@contextlib.contextmanager
def _outside_transactions(session: WriterSession) -> Iterator[Callable[[sql.Composable], object]]:
    """Give what sends statements that PostgreSQL refuses in transactions."""

    def execute(statement: sql.Composable) -> object:
        return session.connection.driver.cursor().execute(statement.as_bytes(session.connection.driver))

    try:
        yield execute
    except psycopg.Error as error:
        raise server_fault(session.address, error) from error


def _measured(
    server: ServerConnection, address: ServerAddress, kind: Kind, encode: Encode, recall: float
) -> IndexMeasurement | None:
    """Find how many lists reach the recall, and measure them on other queries; None if no number does."""
    state = _read(server, address, kind)
    size = index_size(server, kind)
    assert state is not None
    if size is None or not is_used(state.store):
        raise CollectionError(f"the server of collection {address} does not use the index that it has built")
    store, masked = state.store, state.masked
    other = ServerStore(server, "text" if kind == "image" else "image", store.dimension)
    wanted = _TUNE_QUERIES + _HELD_OUT_QUERIES
    queries, what = choose_queries(other, kind, masked, encode, _FEWEST_QUERIES, wanted)
    held_out = len(queries) * _HELD_OUT_QUERIES // wanted
    best = _exact_best(store, queries, masked)
    lists = index_lists(server, kind)
    unknown = IndexMeasurement(
        recall=0.0,
        target=recall,
        queries=held_out,
        queried_with=what,
        milliseconds=0.0,
        exact_milliseconds=_scan_ms(store, queries[:_SCANS], masked),
        bytes_per_vector=round(size / max(1, store.rows), 1),
        lists=lists,
        probes=lists,
        filtered_probes=lists,
        proposed=_PROPOSED,
        rows=store.rows,
    )

    def measure(tried: IndexMeasurement, asked: slice) -> tuple[float, float]:
        index = ServerIndex(IndexFacts(store.rows, size), tried)
        return _recall(index, store, queries[asked], masked, best[asked])

    found = tuned(unknown, lambda tried: measure(tried, slice(held_out, None))[0])
    if found is None:
        return None
    reached, spent_ms = measure(found, slice(held_out))
    return replace(found, recall=round(reached, 4), milliseconds=spent_ms)


def tuned(
    unknown: IndexMeasurement, recall_of: Callable[[IndexMeasurement], float]
) -> IndexMeasurement | None:
    """Find how many lists reach the recall that is asked for, and that of searches under a condition.

    None if no number does that is worth while; a condition that would need more is answered by a scan.
    """
    found = None
    probes = 1
    while not is_too_deep(probes, unknown.lists):
        recall = recall_of(replace(unknown, probes=probes))
        if found is None and recall >= unknown.target:
            found = replace(unknown, probes=probes)
        if found is not None and recall >= max(unknown.target, _FILTERED_RECALL):
            return replace(found, filtered_probes=probes)
        probes = math.ceil(_STEP * probes)
    return found


def _exact_best(
    store: ServerStore, queries: NDArray[np.float32], masked: NDArray[np.int64]
) -> list[NDArray[np.int64]]:
    """Find the ids of the best of each query in one pass over all vectors, which are sent once for all queries.

    By the products of float32, which differ from the exact scores in their last bits.
    """
    scores = np.full((len(queries), TUNED_FOR), -np.inf, np.float32)
    best = np.full((len(queries), TUNED_FOR), -1, np.int64)
    ids = np.setdiff1d(store.ids, masked)
    for start in range(0, len(ids), IDS_A_STATEMENT):
        page = ids[start : start + IDS_A_STATEMENT]
        both = np.hstack([scores, queries @ store.vectors(page).T])
        places = np.argpartition(-both, TUNED_FOR - 1, axis=1)[:, :TUNED_FOR]
        scores = np.take_along_axis(both, places, 1)
        best = np.take_along_axis(
            np.hstack([best, np.broadcast_to(page, (len(queries), len(page)))]), places, 1
        )
    return [found[found >= 0] for found in best]


def _scan_ms(store: ServerStore, queries: NDArray[np.float32], masked: NDArray[np.int64]) -> float:
    """Measure the median time of an exact search in milliseconds."""
    spent = []
    for query in queries:
        started = time.perf_counter()
        search(store, query[None], TUNED_FOR, masked)
        spent.append(time.perf_counter() - started)
    return round(1000 * float(np.median(spent)), 3)


def _recall(
    index: ServerIndex,
    store: ServerStore,
    queries: NDArray[np.float32],
    masked: NDArray[np.int64],
    best: list[NDArray[np.int64]],
) -> tuple[float, float]:
    """Measure the mean share of the best that is found, and the median time in milliseconds."""
    shares, spent = [], []
    for query, wanted in zip(queries, best, strict=True):
        started = time.perf_counter()
        [found] = index.search(store, query[None], TUNED_FOR, masked)
        spent.append(time.perf_counter() - started)
        shares.append(np.isin(wanted, found.ids).mean())
    return float(np.mean(shares)), round(1000 * float(np.median(spent)), 3)


def _keep(session: WriterSession, kind: Kind, measured: IndexMeasurement | None) -> None:
    """Have readers use an index from the next generation on; None drops it."""
    with session.transaction() as server:
        server.send("DELETE FROM settings WHERE name IN (%s, %s)", [MEASURED[kind], f"hnsw_{kind}"])
        if measured is not None:
            server.send(
                "INSERT INTO settings (name, value) VALUES (%s, %s)", [MEASURED[kind], measured.to_json()]
            )
        server.send("UPDATE settings SET value = (value::bigint + 1)::text WHERE name = 'generation'")
    if measured is None:
        with _outside_transactions(session) as execute:
            _drop(execute, kind)
