"""The connection of the one writer of a collection on a server: its lock, and transactions on all or nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from indexer.store.lock import LEAST_WAIT_S, checked_timeout
from indexer.store.postgres.bulk import make_schema, migrate_schema
from indexer.store.postgres.token_rows import check_cutting, rebuild_tokens
from retrieval.collection.postgres.server_connection import (
    ServerConnection,
    check_tables,
    connect,
    server_fault,
)
from retrieval.collection.postgres.server_schema import SERVER_SCHEMA, WORDS_SINCE
from retrieval.errors import CollectionLocked, CollectionNotFound, UsageError
from retrieval.places import ServerAddress

LOCK_KEY = "hashtextextended('vlsearch ' || %s, 0)"
"""The advisory lock of a name's one writer, in SQL with its name as the parameter."""

_ASK_EVERY_S = 0.1
_NO_VECTORS = 1  # dimension of the tables of vectors of a collection that has no encoder yet

# a client whose machine is gone is noticed, and its lock freed; what was acknowledged is on the server's disk
_SETTINGS = """
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET client_connection_check_interval = '10s';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""


class WriterSession:
    """A connection that holds the lock of a collection's one writer, for as long as it lives.

    A collection that an earlier version wrote is brought up to date first.

    Where it breaks, the server frees the lock, and nothing more is written through it: it is never made again.

    Attributes:
        address: of the collection.
        connection: to the server.

    Args:
        address: of the collection.
        timeout_s: how long to wait for another writer to end, >= 0.
        make: make an empty collection where there is none.

    Raises:
        CollectionLocked: another process writes to it, and did so for that long.
        CollectionNotFound: there is none, and none is to be made.
        CollectionTooNew, CollectionDamaged: as for readers.
        CollectionError: the server cannot be reached, or refuses.
    """

    def __init__(self, address: ServerAddress, timeout_s: float, make: bool) -> None:
        checked_timeout(timeout_s)
        check_cutting(address)
        self.address = address
        self.connection = connect(address, timeout_s=0, writes=True)
        try:
            self.connection.driver.execute(_SETTINGS)
            self._take_lock(timeout_s)
            with self.transaction() as connection:
                if not is_there(connection, address):
                    if not make:
                        raise CollectionNotFound(address)
                    self._make()
                number = check_tables(connection, address)
                if number < SERVER_SCHEMA:
                    migrate_schema(connection, sql.Identifier(address.schema), number)
                if number < WORDS_SINCE:
                    rebuild_tokens(connection)
        except psycopg.Error as error:
            self.close()
            raise server_fault(address, error) from error
        except BaseException:
            self.close()
            raise

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[ServerConnection]:
        """Run a block in a transaction, which is committed at its end, or has not happened.

        Raises:
            CollectionError: an error of the server or of the connection, as ours. Where the connection broke during
                COMMIT itself, the server may have committed.
        """
        driver = self.connection.driver
        try:
            driver.execute(begin.encode())
            yield self.connection
            driver.execute("COMMIT")
        except BaseException as error:
            with suppress(psycopg.Error):
                driver.execute("ROLLBACK")
            if isinstance(error, psycopg.Error):
                raise server_fault(self.address, error) from error
            raise

    def close(self) -> None:
        """Close the connection, which frees the lock."""
        with suppress(psycopg.Error):
            self.connection.close()

    def _take_lock(self, timeout_s: float) -> None:
        end = time.monotonic() + max(LEAST_WAIT_S, timeout_s)
        statement = f"SELECT pg_try_advisory_lock({LOCK_KEY})"
        while not self.connection.send(statement, [self.address.schema]).fetchall()[0][0]:
            if time.monotonic() > end:
                raise CollectionLocked(self.address)
            time.sleep(_ASK_EVERY_S)

    def _make(self) -> None:
        make_schema(self.connection, sql.Identifier(self.address.schema), _NO_VECTORS)
        self.connection.driver.execute("INSERT INTO settings (name, value) VALUES ('generation', '0')")


def is_there(connection: ServerConnection, address: ServerAddress) -> bool:
    """Whether there is a collection of that name.

    Raises:
        UsageError: something else has the name.
    """
    found = connection.send(
        "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = pg_namespace.oid AND relname = 'migrations') "
        "FROM pg_namespace WHERE nspname = %s",
        [address.schema],
    ).fetchall()
    if found and not found[0][0]:
        raise UsageError(
            f"the database of {address} has a schema of that name that is not a collection; choose another name"
        )
    return bool(found)
