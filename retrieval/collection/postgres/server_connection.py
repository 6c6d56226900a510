"""Connections to a PostgreSQL server: made with timeouts, checked for what lies there, and their errors as ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import errors, sql

from retrieval.collection.postgres.dialect import NumberLoader, translated
from retrieval.collection.postgres.server_schema import (
    SERVER_SCHEMA,
    TABLES,
    WORD_TABLES,
    WORDS_SINCE,
)
from retrieval.collection.statement import Found
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    CollectionNotFound,
    CollectionTooNew,
    CollectionUnreachable,
)
from retrieval.places import ServerAddress

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 120
"""For one statement of a reader; a scan of a million vectors of 512 dimensions takes about a second."""

LOCK_TIMEOUT_S = 60
OLDEST_SERVER = 160_000  # PostgreSQL 16, as its own versions count
OLDEST_EXTENSION = (0, 5)  # of pgvector
VALUE_BYTES = 256 * 2**20  # PostgreSQL's own limit is 1 GiB


class ServerConnection:
    """A connection that reads one collection; see :class:`~retrieval.collection.statement.ReadConnection`.

    Attributes:
        driver: psycopg's own; each transaction begins by a statement.
        extension: the schema, quoted, that pgvector is installed in.
    """

    def __init__(self, driver: psycopg.Connection[Any], extension: str) -> None:
        self.driver, self.extension = driver, extension

    def execute(self, sql: str, parameters: Sequence[object] = (), /) -> Found:
        """Send a statement of the read side, in SQLite's SQL."""
        statement = translated(sql)
        return self.send(statement.sql, statement.arguments(parameters))

    def send(self, sql: str, parameters: Sequence[object] = ()) -> psycopg.Cursor[Any]:
        """Send a statement in PostgreSQL's SQL; values come as they are sent, vectors as bytes."""
        # a constant of the program, or made of one by the program
        return self.driver.cursor(binary=True).execute(sql.encode(), parameters)

    def begin(self, schema: str) -> None:
        """Begin a read transaction that sees one state of a collection throughout.

        The lock comes before the first statement that reads, when the state is chosen. Whoever puts another collection
        in the place of this one takes that lock first, so that nobody sees the tables of one and the rows of the other.

        Raises:
            psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedTable: there is no such collection.
        """
        self.driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.driver.execute(
            sql.SQL("LOCK TABLE {}.settings IN ACCESS SHARE MODE").format(sql.Identifier(schema))
        )

    def close(self) -> None:
        """Close the connection."""
        self.driver.close()


def connect(address: ServerAddress, timeout_s: int, *, writes: bool = False) -> ServerConnection:
    """Connect to a server for one collection, which need not be there.

    Args:
        address: of the collection.
        timeout_s: for one statement; 0 for no limit.
        writes: of several hosts take the one that can be written to, whatever the address wants for readers.

    Raises:
        CollectionError: the server cannot be reached or refuses, or is too old, or has no pgvector.
    """
    chosen = {"target_session_attrs": "read-write"} if writes else {}
    try:
        driver = psycopg.connect(
            address.conninfo,
            autocommit=True,
            prepare_threshold=None,  # a plan that is kept fails once when tables are replaced
            application_name="vlsearch",
            connect_timeout=CONNECT_TIMEOUT_S,
            keepalives_idle=30,
            client_encoding="utf8",
            **chosen,  # type: ignore[arg-type]  # none of the options that have another type
        )
    except psycopg.OperationalError as error:
        raise unreachable(address, error) from None  # whose arguments may have a password
    except (psycopg.Error, ValueError, UnicodeError):
        raise CollectionError(
            f"collection {address} cannot be reached: its address has a part that PostgreSQL does not take; check what "
            "follows the host"
        ) from None
    try:
        return ServerConnection(driver, _prepare(driver, address, timeout_s))
    except psycopg.Error as error:
        driver.close()
        raise server_fault(address, error) from error
    except BaseException:
        driver.close()
        raise


def _prepare(driver: psycopg.Connection[Any], address: ServerAddress, timeout_s: int) -> str:
    """Set what a connection needs, and give the schema that pgvector is installed in, quoted."""
    if driver.info.server_version < OLDEST_SERVER:
        raise CollectionError(
            f"the server of collection {address} is PostgreSQL {driver.info.server_version // 10_000}, and vlsearch "
            f"needs {OLDEST_SERVER // 10_000} or newer"
        )
    driver.adapters.register_loader("numeric", NumberLoader)
    path = sql.SQL("SET search_path = pg_catalog, {}").format(sql.Identifier(address.schema))
    driver.execute(path)  # of pg_catalog first: a schema of strangers may have functions of the same names
    for name, value in (
        ("statement_timeout", timeout_s * 1000),
        ("lock_timeout", LOCK_TIMEOUT_S * 1000),
        ("idle_in_transaction_session_timeout", 0 if timeout_s == 0 else 10 * timeout_s * 1000),
        ("gin_fuzzy_search_limit", 0),  # else an index gives some of what it finds
        ("jit", 0),  # compiling a scan of a million vectors would take as long as some of them
    ):
        driver.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), value))
    found = driver.execute(
        "SELECT extversion, nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace "
        "WHERE extname = 'vector'"
    ).fetchone()
    if found is None:
        raise CollectionError(
            f"the database of collection {address} has no pgvector; have its administrator run: CREATE EXTENSION vector"
        )
    version, schema = found
    if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < OLDEST_EXTENSION:
        raise CollectionError(
            f"the database of collection {address} has pgvector {version}, and vlsearch needs 0.5 or newer"
        )
    return sql.Identifier(schema).as_string(driver)


def check_tables(connection: ServerConnection, address: ServerAddress) -> int:
    """Check, in a transaction, that the schema holds plain tables that this program knows; give its number.

    A view, a rule or a policy of rows in the place of a table would be code of a stranger's that our statements run.

    Raises:
        CollectionNotFound: there is no collection of that name.
        CollectionTooNew: a newer vlsearch wrote it.
        CollectionDamaged: something else is in the place of a table.
    """
    rows = connection.send(
        "SELECT relname, relkind::text, relrowsecurity OR relhasrules FROM pg_class "
        "JOIN pg_namespace ON pg_namespace.oid = relnamespace WHERE nspname = %s AND relname = ANY(%s)",
        (address.schema, list(TABLES)),
    ).fetchall()
    kinds = {name: (kind, is_special) for name, kind, is_special in rows}
    if "migrations" not in kinds:
        raise CollectionNotFound(address)
    number = _number(connection, address, kinds)
    for table in TABLES:
        if kinds.get(table) != ("r", False) and not (table in WORD_TABLES and number < WORDS_SINCE):
            raise CollectionDamaged(address, f"its schema has no plain table {table}")
    return number


def _number(
    connection: ServerConnection, address: ServerAddress, kinds: Mapping[str, tuple[str, bool]]
) -> int:
    if kinds["migrations"] != ("r", False):
        raise CollectionDamaged(address, "its schema has no plain table migrations")
    number = connection.send("SELECT max(number) FROM migrations").fetchall()[0][0]
    if type(number) is not int or number < 1:
        raise CollectionDamaged(address, "it does not say which schema it has")
    if number > SERVER_SCHEMA:
        raise CollectionTooNew(address, number, SERVER_SCHEMA)
    return number


def server_fault(address: ServerAddress, error: Exception) -> CollectionError:
    """Translate an error of the driver or the server into the one to raise."""
    if isinstance(error, WrongValue):
        return CollectionDamaged(address, str(error))
    if isinstance(error, (errors.UndefinedTable, errors.UndefinedColumn, errors.DatatypeMismatch)):
        return CollectionDamaged(address, _said(error))
    if isinstance(error, errors.QueryCanceled):
        return CollectionError(
            f"the server of collection {address} did not finish a statement in {READ_TIMEOUT_S} s; ask again when it "
            "has less to do"
        )
    if isinstance(error, errors.LockNotAvailable):
        return CollectionError(
            f"collection {address} is locked by another process ({_said(error)}); try again later"
        )
    if isinstance(error, errors.DiskFull):
        return CollectionError(
            f"the disk of the server of collection {address} is full; nothing was changed, free some space and run "
            "this again"
        )
    if isinstance(error, errors.InsufficientPrivilege):
        return CollectionError(
            f"the server refuses this on collection {address} ({_said(error)}); have its administrator grant it"
        )
    if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
        return unreachable(address, error)
    return CollectionError(f"the server of collection {address} failed: {_said(error)}")


def unreachable(address: ServerAddress, error: Exception) -> CollectionUnreachable:
    """Make the error for a server that does not answer, or that has gone away in the middle."""
    return CollectionUnreachable(address, _said(error))


def is_missing(error: BaseException) -> bool:
    """Whether an error of :meth:`ServerConnection.begin` says that there is no collection."""
    return isinstance(error, (errors.InvalidSchemaName, errors.UndefinedTable))


def _said(error: Exception) -> str:
    """Give the first line of what the server or the driver says, which has no password in it."""
    primary = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    lines = (primary or str(error) or type(error).__name__).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
