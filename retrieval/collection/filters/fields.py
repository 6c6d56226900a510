"""The fields that a condition can name: those of every item, from its own columns, and attributes by their name."""

from __future__ import annotations

import difflib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from retrieval.collection.filters.field_sql import field_sql
from retrieval.collection.filters.values import TYPES, Stored, Type
from retrieval.collection.migrations import ATTRIBUTES_SINCE, LISTINGS_SINCE
from retrieval.collection.statement import ReadConnection, Select
from retrieval.errors import FilterError
from retrieval.texts import fold
from retrieval.types import Kind
from retrieval.uris import display, is_url, split_file_uri, split_object_uri

NAMES_SHOWN = 40

AS_ATTRIBUTE = "attribute:"
"""In front of a name: the attribute of that name, though a field of every item is called so."""


@dataclass(frozen=True, slots=True)
class Column:
    """Where the values of one type of a field are.

    Attributes:
        type: of the values.
        sql: a SELECT from columns ``item_id`` and ``value``, up to a condition; ``{}`` stands for what is selected.
        parameters: that it needs, before those of the condition.
        prefix: how many characters of a text an index orders by, where that is not all of it.
    """

    type: Type
    sql: str
    parameters: tuple[Stored, ...]
    prefix: int | None = None

    def ids_where(self, condition: str) -> str:
        """Give the SELECT of the items whose value meets a condition."""
        return f"{self.sql.format('item_id')} ({condition})"

    @property
    def pairs(self) -> str:
        """Give the SELECT of all items with their values."""
        return f"{self.sql.format('item_id, value')} value IS NOT NULL"


class ItemField(NamedTuple):
    """A field of every item: the type of its values, and its meaning."""

    type: Type
    meaning: str


ITEM_FIELDS: Mapping[str, ItemField] = {
    "folder": ItemField("text", "path of the folder, or archive, that the item is in"),
    "name": ItemField("text", "name of its file, without the folder"),
    "corpus": ItemField("text", "path or URL of a corpus that lists it"),
    "kind": ItemField("text", "image or text"),
    "lang": ItemField("text", "language of a text, such as en"),
    "width": ItemField("number", "of a picture, upright, in pixels"),
    "height": ItemField("number", "of a picture, upright, in pixels"),
    "bytes": ItemField("number", "size of a picture's file"),
    "key": ItemField("text", "the caller's own name for it"),
    "indexed": ItemField("date", "when it was first indexed, in UTC"),
}
"""By name. A value of null is none; where the values are, :mod:`retrieval.collection.filters.field_sql` says."""


class AttributeName(NamedTuple):
    """A row of ``attribute_names``: an attribute with one type of values."""

    id: int
    name: str
    type: Type


_NAMES = "SELECT id, name, type FROM attribute_names"
_BY_NAME = Select(AttributeName, f"{_NAMES} WHERE name = ? ORDER BY type")
_ALL_NAMES = Select(AttributeName, f"{_NAMES} ORDER BY name, type LIMIT 10000")


def names_of_attributes(connection: ReadConnection, schema: int) -> list[str]:
    """List the names of attributes, each once; none of a catalogue that keeps no attributes to search by."""
    rows = _ALL_NAMES.rows(connection) if schema >= ATTRIBUTES_SINCE else []
    return list(dict.fromkeys(row.name for row in rows))


class Fields:
    """The fields of one generation of a collection, for items of a kind."""

    def __init__(self, connection: ReadConnection, kind: Kind, schema: int) -> None:
        add_functions(connection)
        self._connection, self._schema = connection, schema
        self._kind: Kind = kind
        self._sql = field_sql(connection)

    def columns(self, name: str) -> list[Column]:
        """Give where the values of a field are, one column for each of its types.

        Raises:
            FilterError: there is no such field; the sentence says which there are.
        """
        found = self.resolve(name)
        if isinstance(found, str):
            return self._of_item(found)
        return [
            Column(
                row.type,
                f"SELECT {{}} FROM {self._sql.table(row.type)} WHERE name_id = ? AND",
                (row.id,),
                None if row.type in ("number", "boolean") else self._sql.prefix,
            )
            for row in found
        ]

    def attribute(self, name: str) -> list[AttributeName]:
        """Give the rows of an attribute of just this name.

        Raises:
            FilterError: there is none.
        """
        found = self._named(name)
        if not found:
            raise self._unknown(name)
        return found

    def resolve(self, name: str) -> str | list[AttributeName]:
        """Find the field of every item, or the attribute, that a name means; letters count in any case if they must.

        Raises:
            FilterError: there is none.
        """
        forced = name.lower().startswith(AS_ATTRIBUTE)
        plain = name[len(AS_ATTRIBUTE) :] if forced else name
        if not forced and plain in ITEM_FIELDS:
            return plain
        if found := self._named(plain):
            return found
        if not forced and plain.lower() in ITEM_FIELDS:
            return plain.lower()
        alike = [row for row in self._all_names() if fold(row.name) == fold(plain)]
        if not alike:
            raise self._unknown(plain)
        return alike

    def _named(self, name: str) -> list[AttributeName]:
        return _BY_NAME.rows(self._connection, name) if self._schema >= ATTRIBUTES_SINCE else []

    def _all_names(self) -> list[AttributeName]:
        return _ALL_NAMES.rows(self._connection) if self._schema >= ATTRIBUTES_SINCE else []

    def _of_item(self, name: str) -> list[Column]:
        if name == "indexed" and self._schema < ATTRIBUTES_SINCE:
            return []
        selects = [self._sql.items[name]]
        if name == "corpus" and self._schema >= LISTINGS_SINCE:
            selects.append(self._sql.listed)
        return [Column(ITEM_FIELDS[name].type, _computed(sql), (self._kind,)) for sql in selects]

    def _unknown(self, name: str) -> FilterError:
        attributes = sorted({row.name for row in self._all_names()})
        shown = ", ".join([*ITEM_FIELDS, *attributes[:NAMES_SHOWN]])
        more = len(attributes) - NAMES_SHOWN
        said = f"no item has a field {name!r}"
        near = difflib.get_close_matches(name.lower(), [*ITEM_FIELDS, *attributes[:1000]], 1)
        if near:
            said += f" (did you mean {near[0]}?)"
        if self._schema < ATTRIBUTES_SINCE:
            return FilterError(
                f"{said}; the collection was written by an earlier vlsearch, which kept no attributes to search by: "
                "bring it up to date with vlsearch optimize"
            )
        return FilterError(
            f"{said}; there are {shown}"
            + (f" and {more} more" if more > 0 else "")
            + " (vlsearch info --attributes)"
        )


def _computed(sql: str) -> str:
    """Make a SELECT whose values are computed once a row, however often a condition names them."""
    return f"WITH field (item_id, value) AS MATERIALIZED ({sql}) SELECT {{}} FROM field WHERE"


def add_functions(connection: ReadConnection) -> None:
    """Give a connection to a folder's catalogue the functions that the SELECTs of fields call."""
    if not isinstance(connection, sqlite3.Connection):
        return
    for name, arguments, function in _FUNCTIONS:
        connection.create_function(name, arguments, function, deterministic=True)


@lru_cache(1000)  # languages and corpora, which are few
def _fold(value: object) -> str | None:
    return fold(value) if isinstance(value, str) else None


@lru_cache(1000)
def _shown(uri: object) -> str | None:
    return fold(display(uri)) if isinstance(uri, str) else None


class FieldsOfItem(NamedTuple):
    """The values of fields that a server cannot compute, as conditions compare them."""

    folder: str | None
    name: str | None
    key: str | None
    lang: str | None
    bytes: int | None


def fields_of_item(
    kind: Kind, uri: str, key: str | None, lang: str | None, stamp: str | None, extent: str | None
) -> FieldsOfItem:
    """Compute the values of fields of an item."""
    size = bytes_of(stamp, extent) if kind == "image" else None
    return FieldsOfItem(_folder(uri), _name(uri), _fold(key), _fold(lang), size)


def corpus_field(uri: str) -> str | None:
    """Compute the value of the field ``corpus`` for items of a source."""
    return _shown(uri)


def _folder(uri: object) -> str | None:
    place = place_of(uri) if isinstance(uri, str) else None
    return None if place is None else fold(place[0])


def _name(uri: object) -> str | None:
    place = place_of(uri) if isinstance(uri, str) else None
    return None if place is None else fold(place[1])


def place_of(uri: str) -> tuple[str, str] | None:
    """Split a uri into the folder or archive that an item is in, and its name there; None where it is in neither."""
    split = split_file_uri(uri)
    if split is not None:
        path, fragment = split
        if fragment is None:
            return _characters(str(path.parent)), _characters(path.name)
        inner, _, name = fragment.rpartition("/")
        return _characters(f"{path}#{inner}" if inner else str(path)), _characters(name)
    if (stored := split_object_uri(uri)) is not None:
        bucket, key, fragment = stored
        inner, _, name = (key if fragment is None else fragment).rpartition("/")
        parts = (inner,) if fragment is None else (f"{key}#{inner}" if inner else key,)
        return "/".join((f"s3://{bucket}", *filter(None, parts))), name
    if is_url(uri):
        folder, _, name = uri.partition("#")[0].partition("?")[0].rpartition("/")
        return display(folder), _characters(unquote(name))
    return None


def _characters(text: str) -> str:
    """Replace bytes of a name that are no UTF-8, which neither SQLite nor a condition can hold."""
    return text.encode(errors="replace").decode()


def bytes_of(stamp: object, extent: object) -> int | None:
    """Read a file's size from what tells whether it changed: ``size:mtime``, or a tar member's ``offset+size``."""
    written = None
    if isinstance(extent, str):
        written = extent.partition("+")[2] if extent[:1].isdigit() else None
    elif isinstance(stamp, str):
        written = stamp.partition(":")[0]
    return int(written) if written and written.isascii() and written.isdigit() and len(written) < 19 else None


_FUNCTIONS = (
    ("vlsearch_fold", 1, _fold),
    ("vlsearch_shown", 1, _shown),
    ("vlsearch_folder", 1, _folder),
    ("vlsearch_name", 1, _name),
    ("vlsearch_bytes", 2, bytes_of),
)

assert all(item_field.type in TYPES for item_field in ITEM_FIELDS.values())
