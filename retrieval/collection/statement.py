"""SELECT statements of the read side, sent through the driver, whose rows are checked.

SQLAlchemy's statements cost ten times what SQLite needs for the few rows of a query, and importing it takes longer than
a query in a new process. Rows are checked because a catalogue may come from a stranger or a broken disk. A test
prepares every statement of the read side on the newest schema.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from operator import index
from types import NoneType, UnionType
from typing import (
    Any,
    Generic,
    Literal,
    NamedTuple,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.stored_values import WrongValue

R = TypeVar("R", bound=tuple[object, ...])


class Found(Protocol):
    """Rows that a statement has found."""

    def fetchall(self) -> list[Any]:
        """Give all rows, as tuples."""
        ...

    def fetchone(self) -> Any:
        """Give the next row; None after the last one."""
        ...

    def __iter__(self) -> Iterator[Any]:
        """Give the rows one by one."""
        ...


class ReadConnection(Protocol):
    """What the read side needs of a connection to a catalogue: SQLite's own has it, and a server's."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Found:
        """Send a statement in SQLite's SQL with the values of its ``?``, in the connection's read transaction."""
        ...


class Select(Generic[R]):
    """A SELECT whose rows are of one NamedTuple type; safe to share between threads.

    Args:
        row: a NamedTuple class; its fields are ``int``, ``str``, ``bytes``, a ``Literal`` of texts, or one of these
            or None.
        sql: gives the fields in their order.
    """

    def __init__(self, row: type[R], sql: str) -> None:
        self.sql, self.width = sql, len(row._fields)  # type: ignore[attr-defined]  # of every NamedTuple
        # tuple's own constructor: a third of the time of the class method _make
        self._make: Callable[[tuple[object, ...]], R] = partial(tuple.__new__, row)
        self._row = row

    @cached_property
    def _columns(self) -> list[tuple[frozenset[type], frozenset[object]]]:
        """Types and texts that each column may have; a query in a new process uses few of the statements."""
        return [(_classes(hint), _literals(hint)) for hint in get_type_hints(self._row).values()]

    def rows(self, connection: ReadConnection, *parameters: object) -> list[R]:
        """Send the statement; give all rows in its order.

        Raises:
            sqlite3.Error: SQLite cannot read the catalogue.
            WrongValue: a value is not of its field's type.
        """
        return self.checked(connection.execute(self.sql, parameters).fetchall())

    def checked(self, rows: list[tuple[object, ...]]) -> list[R]:
        """Give rows of the statement as they came from the driver, or from one that adds a condition to it.

        Raises:
            WrongValue: a value is not of its field's type.
        """
        if rows:
            # Column by column, in C: a check in Python of each value took most of a query for a thousand hits.
            for values, (classes, texts) in zip(zip(*rows, strict=True), self._columns, strict=True):
                _check(values, classes, texts)
        return list(map(self._make, rows))


class SelectIds:
    """A SELECT of one column of ids, of which there may be millions; safe to share between threads.

    Args:
        sql: gives the ids.
    """

    width = 1

    def __init__(self, sql: str) -> None:
        self.sql = sql

    def array(self, connection: ReadConnection, *parameters: object) -> NDArray[np.int64]:
        """Send the statement; give the ids, (n,) int64, in its order.

        Raises:
            sqlite3.Error: SQLite cannot read the catalogue.
            WrongValue: a value is not a number.
        """
        ids = [number for (number,) in connection.execute(self.sql, parameters)]
        _check(ids, frozenset({int}), frozenset())
        return np.array(ids, np.int64)


def _check(values: Iterable[object], classes: frozenset[type], texts: frozenset[object]) -> None:
    found = set(map(type, values))
    if not found <= classes:
        wrong = min((cls for cls in found - classes), key=lambda cls: cls.__name__)
        said = "nothing" if wrong is NoneType else f"a value of type {wrong.__name__}"
        raise WrongValue(f"the catalogue holds {said} where {_said(classes, texts)} belongs")
    if texts and not set(values) <= texts | {None}:
        raise WrongValue(f"the catalogue holds another text where {_said(classes, texts)} belongs")


def id_list(ids: Iterable[int]) -> str:
    """Make one parameter of any number of ids, numpy's too, for ``IN (SELECT value FROM json_each(?))``."""
    return json.dumps(sorted(ids), default=index)


def _classes(hint: object) -> frozenset[type]:
    if get_origin(hint) in (Union, UnionType):
        return frozenset(cls for option in get_args(hint) for cls in _classes(option))
    if get_origin(hint) is Literal:
        return frozenset({str})
    assert hint in (int, str, bytes, NoneType), f"{hint} is not a column type"
    return frozenset({hint})


def _literals(hint: object) -> frozenset[object]:
    options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return frozenset(text for option in options if get_origin(option) is Literal for text in get_args(option))


def _said(classes: frozenset[type], texts: frozenset[object]) -> str:
    if texts:
        return " or ".join(sorted(repr(text) for text in texts))
    names = {int: "a number", str: "a text", bytes: "bytes", NoneType: "null"}
    return " or ".join(sorted(names[cls] for cls in classes))


class Setting(NamedTuple):
    """A row of the table ``settings``."""

    name: str
    value: str


class Number(NamedTuple):
    """One number."""

    number: int


VERSION = Select(Number, "PRAGMA user_version")
"""The schema's number."""
GENERATION = Select(Setting, "SELECT name, value FROM settings WHERE name = 'generation'")
