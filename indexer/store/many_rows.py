"""Statements over many rows, sent through the driver: a commit spends its time in SQLite.

SQLAlchemy takes longer to render thousands of parameters, and to convert thousands of rows, than SQLite takes to look
them up or to write them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

from sqlalchemy import Connection

from retrieval.collection.catalogue import chunked
from retrieval.collection.engine import driver_connection
from retrieval.collection.statement import Select

R = TypeVar("R", bound=tuple[object, ...])

Values = Iterable[int] | Iterable[str] | Iterable[bytes]


class SelectAmong(Generic[R]):
    """A SELECT of the rows in which a column is among any number of values; safe to share between threads.

    Args:
        row: a NamedTuple class, as :class:`retrieval.collection.statement.Select` takes it.
        sql: without the condition on the column; its parameters, if any, are named.
        column: the column.
    """

    def __init__(self, row: type[R], sql: str, column: str) -> None:
        self._select = Select(row, sql)
        self._column = column

    def rows(self, connection: Connection, values: Values, *parameters: object) -> Iterator[R]:
        """Send the statement, as often as so many values need, and give its rows, in no order.

        Raises:
            sqlite3.Error: SQLite cannot read the catalogue.
            WrongValue: a value is not of its field's type.
        """
        driver = driver_connection(connection)
        for chunk in chunked(values):
            condition = among(self._column, len(chunk))
            found = driver.execute(f"{self._select.sql} {condition}", (*parameters, *chunk)).fetchall()
            yield from self._select.checked(found)


def among(column: str, number: int) -> str:
    """Write the condition, as the end of a statement, that a column is among so many parameters."""
    return f"WHERE {column} IN ({','.join('?' * number)})"


def write_rows(connection: Connection, sql: str, rows: Iterable[tuple[object, ...]]) -> None:
    """Send one statement with the parameters of each row, of which one at a time is in memory.

    Raises:
        sqlite3.Error: SQLite refuses a row, or cannot write it.
    """
    driver_connection(connection).executemany(sql, rows)
