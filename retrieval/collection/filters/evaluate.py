"""Items that an expression lets through, found by SQLite: each comparison is one SELECT, joined as masks.

Every statement's text is made of constants; what a condition says is bound as parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.filters.conditions import FieldCondition, ValueTest, clauses, value_test
from retrieval.collection.filters.field_sql import field_sql, key_of
from retrieval.collection.filters.fields import Column, Fields
from retrieval.collection.filters.geography import ROUNDING_KM, box_around, distances_km
from retrieval.collection.filters.values import Stored
from retrieval.collection.fulltext import ids_with_all
from retrieval.collection.statement import ReadConnection, SelectIds
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import FilterError
from retrieval.expressions import (
    And,
    Contains,
    Expression,
    ItemIds,
    Missing,
    Near,
    Not,
    Or,
    Under,
)
from retrieval.types import Kind
from retrieval.uris import expand_home, file_uri, is_object_uri, is_url, object_uri

Mask = NDArray[np.bool_]

WORDS = "words"
"""In place of a field: the full text of an item, and of an image that of the texts linked to it."""


class Evaluation:
    """One generation's items of a kind, against which expressions are evaluated.

    Args:
        connection: in the read transaction.
        kind: of the items.
        schema: the catalogue's.
        items: their ids, ascending, all of them.
    """

    def __init__(self, connection: ReadConnection, kind: Kind, schema: int, items: NDArray[np.int64]) -> None:
        self._connection, self._items = connection, items
        self._kind: Kind = kind
        self._schema, self._sql = schema, field_sql(connection)

    @cached_property
    def _fields(self) -> Fields:
        """The fields; conditions on folders and ids need none."""
        return Fields(self._connection, self._kind, self._schema)

    def mask(self, expression: Expression) -> Mask:
        """Tell for each item whether it meets a condition.

        Raises:
            FilterError: the condition names a field that there is not, or compares one with what it never is.
        """
        if isinstance(expression, And):
            return reduce(np.logical_and, map(self.mask, expression.parts))
        if isinstance(expression, Or):
            return reduce(np.logical_or, map(self.mask, expression.parts))
        if isinstance(expression, Not):
            return ~self.mask(expression.part)
        if isinstance(expression, ItemIds):
            return np.isin(self._items, np.frombuffer(expression.packed, np.int64))
        if isinstance(expression, Missing):
            return ~self._all_with(expression.field)
        if isinstance(expression, Near):
            return self._near(expression)
        if isinstance(expression, Under):
            return self._under(expression.path)
        assert isinstance(expression, FieldCondition)
        return self._holds(expression) if expression.field.lower() == WORDS else self._compared(expression)

    def _holds(self, condition: FieldCondition) -> Mask:
        """Find the items that hold words, and the images that a text with them is linked to."""
        if not isinstance(condition, Contains):
            raise FilterError(f'{WORDS} goes with contains, as in: {WORDS} contains "dog"')
        mask = np.zeros(len(self._items), bool)
        self._mark(mask, [ids_with_all(self._connection, condition.text)])
        return mask

    def _compared(self, condition: FieldCondition) -> Mask:
        columns = self._fields.columns(condition.field)
        tests = [(column, value_test(condition, column.type)) for column in columns]
        if columns and all(test is None for _, test in tests):
            raise _of_another_type(condition, columns)
        mask = np.zeros(len(self._items), bool)
        for column, test in tests:
            if test is not None:
                self._mark(mask, self._matching(column, test))
        return mask

    def _matching(self, column: Column, test: ValueTest) -> Iterable[NDArray[np.int64]]:
        for clause, values in clauses(test, column.prefix, self._sql.holds_nul):
            yield self._ids(column.ids_where(clause), [*column.parameters, *map(self._key, values)])

    def _key(self, value: Stored) -> object:
        return key_of(self._connection, value)

    def _all_with(self, name: str) -> Mask:
        mask = np.zeros(len(self._items), bool)
        for column in self._fields.columns(name):
            self._mark(mask, [self._ids(column.ids_where("value IS NOT NULL"), column.parameters)])
        return mask

    def _under(self, path: str) -> Mask:
        mask = np.zeros(len(self._items), bool)
        for low, high in _uri_ranges(path):
            self._mark(mask, [self._ids("SELECT id FROM items WHERE uri >= ? AND uri < ?", (low, high))])
        return mask

    def _near(self, place: Near) -> Mask:
        south, north = box_around(place)
        lat = self._numbers("lat", (south, north))
        lon = self._numbers("lon", (-np.inf, np.inf)) if len(lat[0]) else lat
        ids, of_lat, of_lon = np.intersect1d(lat[0], lon[0], return_indices=True)
        distances = distances_km(place, lat[1][of_lat], lon[1][of_lon])
        mask = np.zeros(len(self._items), bool)
        self._mark(mask, [ids[distances <= place.kilometres + ROUNDING_KM]])
        return mask

    def _numbers(
        self, name: str, limits: tuple[float, float]
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Read items, each once, and numbers of an attribute between two limits."""
        numbers = [one.id for one in self._fields.attribute(name) if one.type == "number"]
        rows: list[tuple[object, object]] = []
        for number in numbers:
            sql = _NUMBERS.format(self._sql.numbers)
            rows += self._connection.execute(sql, (number, *map(self._key, limits))).fetchall()
        if any(type(item) is not int or type(value) not in (int, float) for item, value in rows):
            raise WrongValue("the catalogue holds something else where a number of an item belongs")
        ids, values = (
            np.array([row[0] for row in rows], np.int64),
            np.array([row[1] for row in rows], np.float64),
        )
        return ids, values

    def _ids(self, sql: str, parameters: Sequence[object]) -> NDArray[np.int64]:
        return SelectIds(sql).array(self._connection, *parameters)

    def _mark(self, mask: Mask, found: Iterable[NDArray[np.int64]]) -> None:
        for ids in found:
            at = np.searchsorted(self._items, ids)
            here = at < len(self._items)
            at = at[here]
            mask[at[self._items[at] == ids[here]]] = True


_NUMBERS = "SELECT item_id, value FROM {} WHERE name_id = ? AND value BETWEEN ? AND ?"


def _uri_ranges(path: str) -> list[tuple[str, str]]:
    """Give the ranges of uris inside a folder (``/`` follows it), an archive (``#`` does) or a folder in one."""
    if is_url(path):
        places = [path]
    elif is_object_uri(path):  # an address, or a uri as it is shown
        bucket, _, key = path.removeprefix("s3://").partition("/")
        archive, mark, inner = key.partition("#")
        places = [path, object_uri(bucket, key), *([object_uri(bucket, archive, inner)] if mark else [])]
    else:
        archive, mark, inner = path.partition("#")
        places = [file_uri(expand_home(path)), *([file_uri(expand_home(archive), inner)] if mark else [])]
    stems = [place.rstrip("/") for place in places]
    return [(f"{stem}{mark}", f"{stem}{chr(ord(mark) + 1)}") for stem in stems for mark in "/#"]


def _of_another_type(condition: FieldCondition, columns: Sequence[Column]) -> FilterError:
    types = " or ".join(sorted({_CALLED[column.type] for column in columns}))
    return FilterError(f"{condition.field} is {types}, and is compared with something else in: {condition}")


_CALLED = {
    "boolean": "true or false",
    "date": "a date (such as 2021, 2021-05 or 2021-05-03)",
    "list": "a list of texts",
    "number": "a number",
    "text": "a text",
}
