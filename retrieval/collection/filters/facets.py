"""How many items have which value of a field."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.filters.allowed import Searched
from retrieval.collection.filters.fields import Fields
from retrieval.collection.filters.values import Stored
from retrieval.collection.filters.written import as_written
from retrieval.collection.stored_values import WrongValue

PERIODS = {"year": 4, "month": 7}
"""Fields of facets that are beginnings of the attribute ``taken``, with their characters: ``2021``, ``2021-05``."""


_USUAL = ("year", "folder", "camera", "keywords", "rating")


def usual_fields(known: Iterable[str]) -> list[str]:
    """Choose the fields that people narrow down by, of those that conditions can name."""
    there = set(known)
    return [name for name in _USUAL if ("taken" if name in PERIODS else name) in there]


def count_values(
    searched: Searched, items: NDArray[np.int64], names: Sequence[str], most: int
) -> dict[str, dict[str, int]]:
    """Count items by the values of fields, the most frequent first, equal counts in the order of values.

    Texts that differ in case alone are one value, written as in the item with the lowest id.

    Raises:
        FilterError: no item has one of the fields.
    """
    fields = Fields(searched.connection, searched.kind, searched.schema)
    return {name: _count(searched, fields, items, name, most) for name in names}


def _count(
    searched: Searched, fields: Fields, items: NDArray[np.int64], name: str, most: int
) -> dict[str, int]:
    asked = "taken" if name in PERIODS else name
    counts: Counter[Stored] = Counter()
    first: dict[Stored, int] = {}
    for column in fields.columns(asked):
        rows = [
            row for row in searched.connection.execute(column.pairs, column.parameters) if row[1] is not None
        ]
        _check(rows)
        chosen = np.isin(np.array([row[0] for row in rows], np.int64), items)
        for (item, value), counted in zip(rows, chosen.tolist(), strict=True):
            if counted:
                said = str(value)[: PERIODS[name]] if name in PERIODS else value
                counts[said] += 1
                first[said] = min(item, first.get(said, item))
    best = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))[:most]
    written = {} if name in PERIODS else as_written(searched.connection, asked, first)
    return {written.get(value, str(value)): count for value, count in best}


def _check(rows: Sequence[tuple[object, object]]) -> None:
    if any(type(item) is not int or type(value) not in (int, float, str) for item, value in rows):
        raise WrongValue("the catalogue holds something else where an attribute of an item belongs")
