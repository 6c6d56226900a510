"""Rows of attributes' values, by which conditions find items: kept equal to ``items.attributes`` in every commit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from retrieval.collection.filters.values import typed_values
from retrieval.collection.statement import id_list
from retrieval.collection.stored_values import WrongValue, parse_attributes
from retrieval.types import Attribute

PAGE_ITEMS = 1000


def replace_values(connection: Connection, attributes: Mapping[int, Mapping[str, Attribute]]) -> None:
    """Make the values of some items those of their attributes, by item id."""
    if not attributes:
        return
    driver = connection.exec_driver_sql
    driver(
        "DELETE FROM attribute_values WHERE item_id IN (SELECT value FROM json_each(?))",
        (id_list(attributes),),
    )
    new = [(item, one) for item, found in attributes.items() for one in typed_values(found)]
    names = _ensure_names(connection, {(one.name, one.type) for _, one in new})
    if new:
        driver(
            "INSERT INTO attribute_values (item_id, name_id, value) VALUES (?, ?, ?)",
            [(item, names[one.name, one.type], one.value) for item, one in new],
        )


def rebuild_values(connection: Connection) -> None:
    """Make the values of all items those of their attributes; attributes that are damaged have none."""
    connection.exec_driver_sql("DELETE FROM attribute_values")
    for page in _pages(connection, "attributes <> '{}'"):
        replace_values(connection, {item: _parsed(stored) for item, stored in page})


def items_with_other_values(connection: Connection) -> int:
    """Count the items whose values are not those of their attributes."""
    wrong, last = 0, 0
    for page in _pages(connection, "1"):
        rows = connection.exec_driver_sql(
            "SELECT item_id, name, type, value FROM attribute_values LEFT JOIN attribute_names ON id = name_id "
            "WHERE item_id > ? AND item_id <= ?",
            (last, page[-1][0]),
        )
        have: dict[int, set[tuple[Any, ...]]] = {}
        for item, *value in rows:
            have.setdefault(item, set()).add(tuple(value))
        for item, stored in page:
            wrong += have.get(item, set()) != set(typed_values(_parsed(stored)))
        last = page[-1][0]
    return wrong


def _pages(connection: Connection, condition: str) -> Iterator[Sequence[tuple[int, str]]]:
    """Read the ids and attributes of all items that meet a condition, a page at a time, in the order of ids."""
    last = 0
    while True:
        page = connection.exec_driver_sql(
            f"SELECT id, attributes FROM items WHERE id > ? AND {condition} ORDER BY id LIMIT ?",
            (last, PAGE_ITEMS),
        ).all()
        if not page:
            return
        yield [(row[0], row[1]) for row in page]
        last = page[-1][0]


def _parsed(stored: str) -> dict[str, Attribute]:
    """Parse attributes; those that are damaged are none here, and named by the doctor."""
    with contextlib.suppress(WrongValue, TypeError):
        found = parse_attributes(stored)
        with contextlib.suppress(ValueError, TypeError):
            list(typed_values(found))
            return found
    return {}


def _ensure_names(connection: Connection, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Give the ids of attributes by name and type; add those that are new."""
    driver = connection.exec_driver_sql
    names: dict[tuple[str, str], int] = {}
    for name, kind in sorted(wanted):
        find = "SELECT id FROM attribute_names WHERE name = ? AND type = ?"
        found = driver(find, (name, kind)).scalar()
        if found is None:
            driver("INSERT INTO attribute_names (name, type) VALUES (?, ?)", (name, kind))
            found = driver(find, (name, kind)).scalar_one()
        names[name, kind] = found
    return names
