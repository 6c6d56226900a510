"""Generations of a collection on a server: transactions that see one state, and connections that wait for the next.

Nothing is kept between two transactions but what a generation's rows say; vectors and items stay on the server. A
server that was killed costs the call that was under way; the next one connects anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from retrieval.collection.caption_words import has_caption_words
from retrieval.collection.catalogue import read_generation
from retrieval.collection.filters.allowed import Allowed
from retrieval.collection.filters.allowed_cache import AllowedCache
from retrieval.collection.postgres.server_connection import (
    READ_TIMEOUT_S,
    ServerConnection,
    check_tables,
    connect,
    is_missing,
    server_fault,
)
from retrieval.collection.postgres.server_index import read_indexes
from retrieval.collection.postgres.server_schema import CATALOGUE_SCHEMA, LARGEST_DIMENSION, TABLES, VECTORS
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.collection.snapshot import Snapshot, read_rows_of_state
from retrieval.collection.statement import ReadConnection
from retrieval.collection.storage import Storage
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import CollectionNotFound
from retrieval.expressions import Expression
from retrieval.places import ServerAddress
from retrieval.types import KINDS, Kind

KEPT = 4  # connections that wait for the next query; more are made where more threads ask at once


class ServerSource:
    """A collection on a server; see :class:`retrieval.collection.source.Source`."""

    def __init__(self, address: ServerAddress) -> None:
        self.path = address
        self._lock = threading.Lock()
        self._idle: list[ServerConnection] = []
        self._is_open = True
        self._known: _Known | None = None

    @contextmanager
    def transaction(self) -> Iterator[tuple[ReadConnection, Snapshot]]:
        """Begin a read transaction and give the snapshot of the generation that it sees."""
        connection = self._begin()
        try:
            yield connection, self._current(connection)
            connection.driver.execute("COMMIT")
        except (psycopg.Error, WrongValue) as error:
            connection.close()
            raise server_fault(self.path, error) from error
        except BaseException:
            with suppress(psycopg.Error):  # the first error is the one to tell
                connection.driver.execute("ROLLBACK")
            self._keep(connection)
            raise
        self._keep(connection)

    def close(self) -> None:
        """Close the connections; one in the middle of a transaction closes when that ends."""
        with self._lock:
            self._is_open = False
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _begin(self) -> ServerConnection:
        """Begin a transaction; on a new connection where those that waited have been cut since."""
        while True:
            with self._lock:
                connection = self._idle.pop() if self._idle else None
            if connection is None:
                break
            try:
                connection.begin(self.path.schema)
            except psycopg.Error:
                connection.close()
                continue
            return connection
        connection = connect(self.path, READ_TIMEOUT_S)
        try:
            connection.begin(self.path.schema)
            check_tables(connection, self.path)
        except psycopg.Error as error:
            connection.close()
            if is_missing(error):
                raise CollectionNotFound(self.path) from error
            raise server_fault(self.path, error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, connection: ServerConnection) -> None:
        with self._lock:
            if self._is_open and len(self._idle) < KEPT and not connection.driver.closed:
                self._idle.append(connection)
                return
        connection.close()

    def _current(self, connection: ServerConnection) -> Snapshot:
        """Give the snapshot of the transaction's generation, with stores and conditions of this transaction."""
        # a collection in the place of this one has other tables, and may have the same generation; a writer of a
        # newer version may have added words
        tables = connection.send(_STATE).fetchall()[0]
        generation = read_generation(connection)
        known = self._known
        if known is None or known.of != (tables, generation):
            read = _read_snapshot(connection, self.path, generation)
            known = self._known = _Known((tables, generation), read, {}, AllowedCache())
        stores = _stores(connection, known)
        return replace(known.snapshot, stores=stores, allowed=_AllowedHere(known.allowed, stores))


_STATE = "SELECT 'settings'::regclass::oid::bigint, max(number) FROM migrations"


class _Known(NamedTuple):
    """What is known of a generation, for all transactions.

    Attributes:
        of: the collection's tables, which are those of a schema, and the generation.
        snapshot: without stores.
        counts: of vectors of each kind, as far as they were counted.
        allowed: what conditions have let through.
    """

    of: tuple[object, int]
    snapshot: Snapshot
    counts: dict[Kind, int]
    allowed: AllowedCache


class _AllowedHere(AllowedCache):
    """What conditions let through in a generation, with the vectors as a transaction reads them."""

    def __init__(self, shared: AllowedCache, stores: Mapping[Kind, ServerStore]) -> None:
        self._shared, self._stores = shared, stores

    def get(self, kind: Kind, where: Expression, find: Callable[[], Allowed]) -> Allowed:
        """Give what a condition lets through, found now if it is not known."""

        def find_and_count() -> Allowed:
            allowed = find()
            assert allowed.store.rows >= 0  # counted here: other threads must not use this connection
            return allowed

        allowed = self._shared.get(kind, where, find_and_count)
        assert isinstance(allowed.store, ServerStore)
        return replace(allowed, store=allowed.store.on(self._stores[kind]))

    def items(self, kind: Kind, read: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """Give the ids of all items of a kind, ascending, read now if they are not known."""
        return self._shared.items(kind, read)


def _read_snapshot(connection: ServerConnection, address: ServerAddress, generation: int) -> Snapshot:
    state = read_rows_of_state(connection, address)
    if state.identity is not None and not 1 <= state.identity.dimension <= LARGEST_DIMENSION:
        raise WrongValue("its encoder has a dimension that no vector on a server can have")
    return Snapshot(
        generation=generation,
        stores={},
        accelerators={},
        indexes={} if state.identity is None else read_indexes(connection, state.identity.dimension),
        regions=None,
        schema=CATALOGUE_SCHEMA,
        has_caption_words=has_caption_words(connection),
        move=None,
        storage=_storage,
        **state._asdict(),
    )


def _stores(connection: ServerConnection, known: _Known) -> dict[Kind, ServerStore]:
    identity = known.snapshot.identity
    dimension = 0 if identity is None else identity.dimension
    return {kind: ServerStore(connection, kind, dimension, counts=known.counts) for kind in KINDS}


def _storage(connection: ReadConnection, _: int | None) -> Storage:
    """Measure tables and their indexes; there are no segments."""
    assert isinstance(connection, ServerConnection)
    sizes = dict(
        connection.send(
            "SELECT relname, pg_total_relation_size(pg_class.oid) FROM pg_class "
            "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = (current_schemas(false))[2] "
            "AND relname = ANY(%s)",
            (list(TABLES),),
        ).fetchall()
    )
    vectors = sum(sizes.get(table, 0) for table in VECTORS.values())
    return Storage(0, vectors, sum(sizes.values()) - vectors)
