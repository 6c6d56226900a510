"""Build the indexes of a server for approximate search, tuned and measured on queries of the other kind.

Readers go on meanwhile; the lock of the one writer is held, so that no ``reindex`` puts other vectors in the place.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from indexer.store.acceleration import STALE_SHARE, Accelerated
from indexer.store.postgres.session import WriterSession
from indexer.store.tuning_queries import Encode, choose_queries
from retrieval.collection.accelerators.measurement import IndexMeasurement
from retrieval.collection.accelerators.planning import TUNED_FOR
from retrieval.collection.postgres.server_connection import ServerConnection, server_fault
from retrieval.collection.postgres.server_index import (
    INDEXES,
    LARGEST_DIMENSION,
    LARGEST_EF,
    MEASURED,
    OLDEST_EXTENSION,
    IndexFacts,
    ServerIndex,
    has_iterative_scans,
    index_size,
    is_used,
    read_indexes,
)
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.collection.search import search
from retrieval.collection.snapshot import read_rows_of_state
from retrieval.errors import CollectionError
from retrieval.identity import Identity
from retrieval.places import ServerAddress
from retrieval.types import KINDS, Kind

LINKS, BUILT_WITH = 16, 64  # of each vector, and the list's length while building: pgvector's own
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TUNE_QUERIES = _HELD_OUT_QUERIES = 100  # each is scanned for exactly, too
_FEWEST_QUERIES = 100  # stored ones; with fewer of them, the queries are bundled texts
_EF_SEARCH = (40, 60, 100, 160, 250, 400, 630, LARGEST_EF)
_PROPOSED = 40  # candidates for 10 hits: half precision moves few of them
_WAIT_S = 3600  # for transactions that began before an index
_MOST_MEMORY = 2 * 2**30  # that building asks the server for, where its own setting is not higher
_GRAPH_BYTES = 400  # of a vector's links


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
    recall: float,
    from_rows: int,
    threads: int,
    timeout_s: float,
) -> list[Accelerated]:
    """Build the indexes that are missing, and measure those that were measured on fewer vectors.

    Args:
        address: of the collection.
        encode: gives the function that encodes texts where the collection holds too few to measure with.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1.
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
                if state is None or not _is_due(state, recall, from_rows):
                    continue
                _check_extension(server, address)
                is_there = index_size(server, kind) is not None and is_used(state.store)
                rows = state.store.rows
            if not is_there:
                _build(session, kind, state.identity.dimension, rows, threads)
            with session.transaction(_READ) as server:
                measured = _measured(server, address, kind, encode(state.identity), recall)
            _keep(session, kind, measured)
            done.append(Accelerated(kind, rows, measured))
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
    """Build an index beside those who read and write; what a build that failed has left is dropped."""
    name, table = sql.Identifier(INDEXES[kind]), sql.Identifier(VECTORS[kind])
    extension = sql.SQL(session.connection.extension)
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON {} USING hnsw ((vector::{}.halfvec({})) {}.halfvec_ip_ops) "
        "WITH (m = {}, ef_construction = {})"
    ).format(name, table, extension, dimension, extension, LINKS, BUILT_WITH)
    memory = min(_MOST_MEMORY, rows * (2 * dimension + _GRAPH_BYTES)) // 1024
    with _outside_transactions(session) as execute:
        execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
        execute(sql.SQL("SET lock_timeout = {}").format(_WAIT_S * 1000))
        execute(sql.SQL("SET max_parallel_maintenance_workers = {}").format(threads - 1))
        execute(
            sql.SQL(
                "SELECT set_config('maintenance_work_mem', greatest({}, setting::bigint)::text, false) "
                "FROM pg_settings WHERE name = 'maintenance_work_mem'"
            ).format(memory)
        )
        try:
            execute(create)
        except BaseException:
            with contextlib.suppress(psycopg.Error):
                execute(sql.SQL("DROP INDEX IF EXISTS {}").format(name))
            raise


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
    """Find the shortest list that reaches the recall, and measure it on other queries; None if none does."""
    state = _read(server, address, kind)
    size = index_size(server, kind)
    assert state is not None
    if size is None or not is_used(state.store):
        raise CollectionError(f"the server of collection {address} does not use the index that it has built")
    store, masked = state.store, state.masked
    other = ServerStore(server, "text" if kind == "image" else "image", store.dimension)
    wanted = _TUNE_QUERIES + _HELD_OUT_QUERIES
    queries, what = choose_queries(other, kind, masked, encode, _FEWEST_QUERIES, wanted)
    tuned, held_out = queries[: len(queries) // 2], queries[len(queries) // 2 :]
    best = _best(store, tuned, masked)[0]
    unknown = IndexMeasurement(
        recall=0.0,
        target=recall,
        queries=len(held_out),
        queried_with=what,
        milliseconds=0.0,
        exact_milliseconds=0.0,
        bytes_per_vector=round(size / max(1, store.rows), 1),
        ef_search=LARGEST_EF,
        proposed=_PROPOSED,
        rows=store.rows,
    )
    for ef_search in _EF_SEARCH:
        tried = ServerIndex(IndexFacts(store.rows, size), replace(unknown, ef_search=ef_search))
        if _recall(tried, store, tuned, masked, best)[0] >= recall:
            break
    else:
        return None
    best, exact_ms = _best(store, held_out, masked)
    found, spent_ms = _recall(tried, store, held_out, masked, best)
    return replace(
        tried.measurement, recall=round(found, 4), milliseconds=spent_ms, exact_milliseconds=exact_ms
    )


def _best(
    store: ServerStore, queries: NDArray[np.float32], masked: NDArray[np.int64]
) -> tuple[list[NDArray[np.int64]], float]:
    """Find the ids of the exact best of each query, and the median time in milliseconds."""
    found, spent = [], []
    for query in queries:
        started = time.perf_counter()
        found.append(search(store, query[None], TUNED_FOR, masked)[0].ids)
        spent.append(time.perf_counter() - started)
    return found, round(1000 * float(np.median(spent)), 3)


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
        server.send("DELETE FROM settings WHERE name = %s", [MEASURED[kind]])
        if measured is not None:
            server.send(
                "INSERT INTO settings (name, value) VALUES (%s, %s)", [MEASURED[kind], measured.to_json()]
            )
        server.send("UPDATE settings SET value = (value::bigint + 1)::text WHERE name = 'generation'")
    if measured is None:
        with _outside_transactions(session) as execute:
            execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(INDEXES[kind])))
