"""What conditions compare on a server, made of the rows of items by the functions that a folder's catalogue calls.

The writer keeps it equal to the rows in every commit; so that no reader computes it, and a server needs no functions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from psycopg import sql

from indexer.store.postgres.bulk import copy_rows
from retrieval.collection.filters.field_sql import number_key
from retrieval.collection.filters.fields import FieldsOfItem, corpus_field, fields_of_item
from retrieval.collection.filters.values import TypedValue, typed_values
from retrieval.collection.postgres.server_connection import ServerConnection
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stored_values import WrongValue, parse_attributes
from retrieval.types import Kind

PAGE_ITEMS = 2000
_OF_ITEMS = ("attribute_texts", "attribute_numbers", "item_fields")


class _Item(NamedTuple):
    id: int
    kind: Kind
    uri: str
    key: str | None
    lang: str | None
    stamp: str | None
    extent: str | None
    attributes: str


class _Source(NamedTuple):
    id: int
    uri: str


_COLUMNS = "SELECT id, kind, uri, key, lang, stamp, extent, attributes FROM items"
_BY_ID = Select(_Item, f"{_COLUMNS} WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id")
_AFTER = Select(_Item, f"{_COLUMNS} WHERE id > ? ORDER BY id LIMIT ?")
_SOURCES = Select(_Source, "SELECT id, uri FROM sources ORDER BY id")


def derive_all(server: ServerConnection) -> None:
    """Make what is derived of all rows of a collection anew, in a transaction.

    Raises:
        CollectionError: a text has a character that PostgreSQL cannot hold.
    """
    for table in _OF_ITEMS:
        server.driver.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
    last = 0
    while page := _AFTER.rows(server, last, PAGE_ITEMS):
        _write(server, page)
        last = page[-1].id
    derive_sources(server)


def derive_items(server: ServerConnection, rows: ReadConnection, changed: Iterable[int]) -> None:
    """Make what is derived of some items anew, in a transaction.

    Args:
        server: where it is written.
        rows: has the rows of the items.
        changed: ids of items, also of those that are gone.
    """
    ids = sorted(changed)
    for start in range(0, len(ids), PAGE_ITEMS):
        page = ids[start : start + PAGE_ITEMS]
        for table in _OF_ITEMS:
            server.send(f"DELETE FROM {table} WHERE item_id = ANY(%s)", [page])
        _write(server, _BY_ID.rows(rows, id_list(page)))


def derive_sources(server: ServerConnection) -> None:
    """Make the names of corpora anew, which are few."""
    rows = [(row.id, _held(corpus_field(row.uri))) for row in _SOURCES.rows(server)]
    server.driver.execute("DELETE FROM source_fields")  # TRUNCATE would wait for readers
    copy_rows(server, sql.Identifier("source_fields"), ("source_id", "corpus"), [rows], "sources")


def _write(server: ServerConnection, items: Sequence[_Item]) -> None:
    fields = [(item.id, item.kind, *map(_held, _fields(item))) for item in items]
    columns = ("item_id", "kind", *FieldsOfItem._fields)
    copy_rows(server, sql.Identifier("item_fields"), columns, [fields], "items")
    values = [(item.id, value) for item in items for value in values_of(item.attributes)]
    names = _name_ids(server, {(value.name, value.type) for _, value in values})
    texts, numbers = [], []
    for item, value in values:
        row = item, names[value.name, value.type]
        if isinstance(value.value, str):
            texts.append((*row, value.value))
        else:
            numbers.append((*row, number_key(value.value)))
    for table, rows in (("attribute_texts", texts), ("attribute_numbers", numbers)):
        copy_rows(server, sql.Identifier(table), ("item_id", "name_id", "value"), [rows], "items")


def _fields(item: _Item) -> FieldsOfItem:
    return fields_of_item(item.kind, item.uri, item.key, item.lang, item.stamp, item.extent)


def values_of(attributes: str) -> list[TypedValue]:
    """Give the values of attributes that a server can hold; those that are damaged are none, and the doctor's."""
    with contextlib.suppress(WrongValue, TypeError, ValueError):
        return [one for one in typed_values(parse_attributes(attributes)) if _holds(one)]
    return []


def _holds(value: TypedValue) -> bool:
    """Whether PostgreSQL can hold a value: it has no NUL, which JSON can spell."""
    return "\0" not in value.name and not (isinstance(value.value, str) and "\0" in value.value)


def _held(value: Any) -> Any:
    return None if isinstance(value, str) and "\0" in value else value


def _name_ids(server: ServerConnection, wanted: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Give the ids of attributes by name and type; add those that are new. There is one writer, so none comes twice."""
    if not wanted:
        return {}
    names = dict(_known_names(server, sorted({name for name, _ in wanted})))
    new = sorted(wanted - names.keys())
    if new:
        last = server.send("SELECT coalesce(max(id), 0) FROM attribute_names").fetchall()[0][0]
        rows = [(number, *name) for number, name in enumerate(new, last + 1)]
        copy_rows(
            server, sql.Identifier("attribute_names"), ("id", "name", "type"), [rows], "attribute names"
        )
        names |= {(name, of_type): number for number, name, of_type in rows}
    return names


def _known_names(server: ServerConnection, names: list[str]) -> Iterator[tuple[tuple[str, str], int]]:
    rows = server.send("SELECT name, type, id FROM attribute_names WHERE name = ANY(%s)", [names]).fetchall()
    for name, of_type, number in rows:
        yield (name, of_type), number


def wrongly_derived(server: ServerConnection) -> list[int]:
    """Find the items of which something else is derived than their rows say; ids, also of items that are not there."""
    wrong: list[int] = []
    last = -(2**63)
    while True:
        page = _AFTER.rows(server, last, PAGE_ITEMS)
        end = page[-1].id if len(page) == PAGE_ITEMS else 2**63 - 1
        expected = {item.id: _derived_of(item) for item in page}
        found = _derived_there(server, last, end)
        wrong += sorted(one for one in expected.keys() | found.keys() if expected.get(one) != found.get(one))
        if len(page) < PAGE_ITEMS:
            return wrong
        last = end


def wrong_sources(server: ServerConnection) -> list[int]:
    """Find the sources whose corpus has another name for conditions than their rows say; ids."""
    expected = {row.id: _held(corpus_field(row.uri)) for row in _SOURCES.rows(server)}
    found = dict(server.send("SELECT source_id, corpus FROM source_fields").fetchall())
    return sorted(
        one for one in expected.keys() | found.keys() if expected.get(one, "") != found.get(one, "")
    )


_Derived = tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]


def _derived_of(item: _Item) -> _Derived:
    fields = [(item.kind, *map(_held, _fields(item)))]
    return fields, sorted((one.name, one.type, repr(one.value)) for one in values_of(item.attributes))


def _derived_there(server: ServerConnection, after: int, end: int) -> dict[int, _Derived]:
    found: dict[int, _Derived] = {}
    columns = ", ".join(FieldsOfItem._fields)
    between = "WHERE item_id > %s AND item_id <= %s"
    for item, *fields in server.send(
        f"SELECT item_id, kind, {columns} FROM item_fields {between}", (after, end)
    ):
        found.setdefault(item, ([], []))[0].append(tuple(fields))
    for table in ("attribute_texts", "attribute_numbers"):
        statement = (
            f"SELECT item_id, name, type, value FROM {table} JOIN attribute_names ON id = name_id {between}"
        )
        for item, name, of_type, value in server.send(statement, (after, end)):
            found.setdefault(item, ([], []))[1].append((name, of_type, repr(value)))
    for _, values in found.values():
        values.sort()
    return found
