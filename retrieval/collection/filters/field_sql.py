"""The SELECTs of fields' values, for a folder's catalogue and for a server's tables.

SQLite calls this program's functions (:func:`~retrieval.collection.filters.fields.add_functions`) and keeps values of
any type in one column. A server has neither: there the writer keeps what the functions give, and texts apart from
numbers. Both are sent as SQLite's SQL.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from retrieval.collection.filters.values import Stored, Type
from retrieval.collection.statement import ReadConnection

INDEXED_CHARACTERS = 100
"""Characters of an attribute's text that a server's index orders by: a tree of PostgreSQL's takes 2,704 bytes."""


@dataclass(frozen=True, slots=True)
class FieldSql:
    """How values of fields are read.

    Attributes:
        items: SELECTs of the ids of items of a kind (the parameter) with their values, by the name of the field.
        listed: the same for the further corpora of items.
        texts: the table of attributes' texts: texts, dates, elements of lists.
        numbers: the table of attributes' numbers and booleans.
        is_used: the condition that any item has the attribute of a row of ``attribute_names``.
        by_name: the SELECT of the ids of items of a kind (the parameter) in the order of their files' names.
        prefix: how many characters of an attribute's text its index orders by; None for all.
        holds_nul: whether a text may have a NUL character.
    """

    items: Mapping[str, str]
    listed: str
    texts: str
    numbers: str
    is_used: str
    by_name: str
    prefix: int | None
    holds_nul: bool

    def table(self, of_type: Type) -> str:
        """Name the table of attributes' values of a type."""
        return self.numbers if of_type in ("number", "boolean") else self.texts


def field_sql(connection: ReadConnection) -> FieldSql:
    """Give the SELECTs for a connection."""
    return OF_FOLDER if isinstance(connection, sqlite3.Connection) else OF_SERVER


def key_of(connection: ReadConnection, value: Stored) -> object:
    """Give a value as the parameter that the values of a connection are compared with."""
    return (
        value if isinstance(value, str) or isinstance(connection, sqlite3.Connection) else number_key(value)
    )


def number_key(value: float) -> Decimal:
    """Give a number as the server's exact decimals hold it: ordered and equal as SQLite orders and equals numbers.

    The shortest decimals of a double lie between its neighbours, so they keep the order of doubles, and are whole where
    it is; beyond 2^53, where a double is a whole number and its neighbours are not next to it, all digits are given. A
    double has a point (``5.0``), by which it is told from an integer when it is read.
    """
    if isinstance(value, int):
        return Decimal(value)
    if not math.isfinite(value):
        return Decimal(value)
    return Decimal(f"{int(value)}.0" if value.is_integer() else repr(value))


_ITEMS = "FROM items WHERE kind = ?"
_CONTENTS = "FROM items JOIN contents ON contents.id = items.content_id WHERE items.kind = ?"
_SIZES = {
    "kind": f"SELECT id, kind {_ITEMS}",
    "width": f"SELECT items.id, contents.width {_CONTENTS}",
    "height": f"SELECT items.id, contents.height {_CONTENTS}",
}
_OF_SOURCE = (
    "SELECT items.id, {} FROM items JOIN sources ON sources.id = items.source_id {}WHERE items.kind = ?"
)
_OF_LISTING = (
    "SELECT items.id, {} FROM listings JOIN items ON items.id = listings.item_id "
    "JOIN sources ON sources.id = listings.source_id {}WHERE items.kind = ?"
)
_NAMES = "JOIN source_fields ON source_fields.source_id = sources.id "

OF_FOLDER = FieldSql(
    items=_SIZES
    | {
        "folder": f"SELECT id, vlsearch_folder(uri) {_ITEMS}",
        "name": f"SELECT id, vlsearch_name(uri) {_ITEMS}",
        "corpus": _OF_SOURCE.format("vlsearch_shown(sources.uri)", ""),
        "lang": f"SELECT id, vlsearch_fold(lang) {_ITEMS}",
        "bytes": f"SELECT id, vlsearch_bytes(stamp, extent) {_ITEMS} AND kind = 'image'",
        "key": f"SELECT id, vlsearch_fold(key) {_ITEMS}",
        "indexed": f"SELECT id, strftime('%Y-%m-%dT%H:%M:%S', indexed, 'unixepoch') {_ITEMS}",
    },
    listed=_OF_LISTING.format("vlsearch_shown(sources.uri)", ""),
    texts="attribute_values",
    numbers="attribute_values",
    is_used="EXISTS (SELECT 1 FROM attribute_values WHERE name_id = attribute_names.id)",
    by_name=(
        "SELECT id FROM (SELECT id, vlsearch_name(uri) AS name FROM items WHERE kind = ?) "
        "ORDER BY name NULLS LAST, id"
    ),
    prefix=None,
    holds_nul=True,
)

_FIELD = "SELECT item_id, {0} FROM item_fields WHERE kind = ?"
_YEARS = "indexed BETWEEN -62135596800 AND 253402300799"  # 1 to 9999

OF_SERVER = FieldSql(
    items=_SIZES
    | {name: _FIELD.format(name) for name in ("folder", "name", "lang", "key", "bytes")}
    | {
        "corpus": _OF_SOURCE.format("source_fields.corpus", _NAMES),
        "indexed": "SELECT id, to_char(to_timestamp(indexed) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS') "
        f'COLLATE "C" {_ITEMS} AND {_YEARS}',
    },
    listed=_OF_LISTING.format("source_fields.corpus", _NAMES),
    texts="attribute_texts",
    numbers="attribute_numbers",
    is_used=(
        "(EXISTS (SELECT 1 FROM attribute_texts WHERE name_id = attribute_names.id) "
        "OR EXISTS (SELECT 1 FROM attribute_numbers WHERE name_id = attribute_names.id))"
    ),
    by_name=(
        "SELECT items.id FROM items LEFT JOIN item_fields ON item_fields.item_id = items.id WHERE items.kind = ? "
        "ORDER BY item_fields.name NULLS LAST, items.id"
    ),
    prefix=INDEXED_CHARACTERS,
    holds_nul=False,
)
