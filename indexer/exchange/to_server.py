"""A collection loaded into a PostgreSQL server: all of it in one transaction, which checks before it commits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from indexer.exchange.tables import TABLES, Tallied, check_equal
from indexer.store.postgres.bulk import check_dimension, copy_rows, copy_vectors, make_schema
from indexer.store.postgres.derived import derive_all
from indexer.store.postgres.session import LOCK_KEY, is_there
from indexer.store.postgres.token_rows import check_cutting, rebuild_tokens
from retrieval.collection.postgres.server_connection import ServerConnection, connect, server_fault
from retrieval.collection.postgres.server_schema import TABLES as SERVER_TABLES
from retrieval.collection.postgres.server_schema import VECTORS
from retrieval.collection.postgres.server_store import ServerStore
from retrieval.errors import CollectionLocked, UsageError
from retrieval.identity import Identity
from retrieval.places import ServerAddress
from retrieval.shell import shell_command
from retrieval.types import KINDS, Kind


def load_server(
    source: Tallied, address: ServerAddress, generation: int, identity: Identity, replace: bool
) -> None:
    """Load a collection; see :func:`indexer.exchange.copying.copy_collection`.

    The tables are made in a schema of their own, which nobody else sees before the commit, and take the name at its
    end: readers of a collection that is replaced wait for that moment alone.

    Raises:
        UsageError: the collection is the one to be copied, or is there already and not to be replaced.
        CollectionLocked: another process copies to it.
    """
    check_dimension(identity.dimension)
    check_cutting(address)
    with _transaction(address) as connection:
        _refuse_itself(source, connection, address)
        is_replaced = _take(connection, address, replace)
        building = _make_tables(connection, address, identity.dimension)
        _fill(connection, source, generation, identity.dimension)
        stores = {kind: ServerStore(connection, kind, identity.dimension) for kind in KINDS}

        def vectors(kind: Kind, ids: Sequence[int]) -> NDArray[np.float32]:
            return stores[kind].vectors(np.asarray(ids, np.int64))

        check_equal(source.tallies, Tallied(connection, source.encoder_id, vectors, address).read_all())
        _put_in_place(connection, address, building, is_replaced)


@contextmanager
def _transaction(address: ServerAddress) -> Iterator[ServerConnection]:
    """Begin a transaction, which is committed at the block's end, or has not happened."""
    connection = connect(address, timeout_s=0, writes=True)
    try:
        connection.driver.execute("BEGIN")
        yield connection
        connection.driver.execute("COMMIT")
    except psycopg.Error as error:
        raise server_fault(address, error) from error
    finally:
        with suppress(psycopg.Error):
            connection.close()


def _refuse_itself(source: Tallied, connection: ServerConnection, address: ServerAddress) -> None:
    """Refuse to copy a collection onto itself, which would wait for the end of its own reading.

    However the two addresses are written: what servers and databases say of themselves is compared.

    Raises:
        UsageError: ``address`` names what ``source`` reads.
    """
    if not isinstance(source.connection, ServerConnection) or not isinstance(source.place, ServerAddress):
        return
    if source.place.schema == address.schema and _database(source.connection) == _database(connection):
        raise UsageError(f"{address} is the collection that is to be copied; name another one as the target")


def _database(connection: ServerConnection) -> tuple[object, ...]:
    """Give what tells the database of a connection from all others, of other servers too."""
    asked = "SELECT system_identifier, current_database() FROM pg_control_system()"
    return tuple(connection.driver.execute(asked).fetchall()[0])


def _take(connection: ServerConnection, address: ServerAddress, replace: bool) -> bool:
    """Take the lock of the one writer of a name, until the transaction's end; tell whether a collection is there.

    Raises:
        CollectionLocked: another process has it.
        UsageError: something is there, and is not to be replaced, or is not a collection.
    """
    if not connection.send(f"SELECT pg_try_advisory_xact_lock({LOCK_KEY})", [address.schema]).fetchall()[0][
        0
    ]:
        raise CollectionLocked(address)
    if not is_there(connection, address):
        return False
    if not replace:
        again = shell_command("copy", "--replace", "FROM", address)
        raise UsageError(f"there is a collection {address} already; to put this one in its place: {again}")
    return True


def _make_tables(connection: ServerConnection, address: ServerAddress, dimension: int) -> sql.Identifier:
    """Make empty tables in a schema that is no collection's name, and have statements mean them."""
    building = sql.Identifier(f"vlsearch ~ {address.schema}")
    make_schema(connection, building, dimension)
    return building


def _fill(connection: ServerConnection, source: Tallied, generation: int, dimension: int) -> None:
    connection.driver.execute(
        "INSERT INTO settings (name, value) VALUES ('generation', %s)", [str(generation)]
    )
    for table in TABLES:
        copy_rows(connection, sql.Identifier(table.name), table.columns, source.rows(table), table.name)
    for kind in KINDS:
        copy_vectors(connection, VECTORS[kind], source.vectors(kind), dimension)
    copy_rows(connection, sql.Identifier("last_ids"), ("name", "number"), [source.last_ids()], "last_ids")
    derive_all(connection)
    rebuild_tokens(connection)
    for name in SERVER_TABLES:
        connection.driver.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(name)))


def _put_in_place(
    connection: ServerConnection, address: ServerAddress, building: sql.Identifier, is_replaced: bool
) -> None:
    """Give the tables the collection's name, in the place of those that have it; readers take the same lock first."""
    name, driver = sql.Identifier(address.schema), connection.driver
    if is_replaced:
        driver.execute(sql.SQL("LOCK TABLE {}.settings IN ACCESS EXCLUSIVE MODE").format(name))
        driver.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(name))
    driver.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(building, name))
