"""Small look-ups in a catalogue, in a reader's transaction: ids, keys, contents, what is hidden and what failed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from retrieval.collection.migrations import HIDDEN_SINCE
from retrieval.collection.moved import Move
from retrieval.collection.statement import VERSION, Number, ReadConnection, Select, id_list
from retrieval.texts import is_unicode
from retrieval.types import Failure, HiddenItem, Kind


class KeyedId(NamedTuple):
    """Id and key of an item."""

    number: int
    key: str


def contents_of(connection: ReadConnection, ids: Iterable[int]) -> dict[int, int]:
    """Read the content of each item, by item id."""
    return {row.item: row.content for row in _CONTENTS_OF.rows(connection, id_list(ids))}


def ids_by_key(connection: ReadConnection, key: str) -> list[int]:
    """Find the item with a key, hidden or not: none, or one."""
    return [row.number for row in _BY_KEY.rows(connection, key)] if is_unicode(key) else []


def ids_by_uri(connection: ReadConnection, uri: str) -> list[int]:
    """Find the item with a uri, hidden or not: none, or one."""
    return [row.number for row in _BY_URI.rows(connection, uri)] if is_unicode(uri) else []


def keyed_after(connection: ReadConnection, after: int, most: int) -> list[KeyedId]:
    """Read a page of the items that have a key, hidden ones too, in the order of ids."""
    return _KEYS.rows(connection, after, most)


def count_items(connection: ReadConnection, kind: Kind) -> int:
    """Count the items of a kind, hidden ones too."""
    return _COUNT.rows(connection, kind)[0].number


def read_hidden(connection: ReadConnection, move: Move | None) -> list[HiddenItem]:
    """Read what is hidden, by uri: items, and uris that no item has now."""
    if VERSION.rows(connection)[0].number < HIDDEN_SINCE:
        return []
    return [
        HiddenItem(row.uri if move is None else move.uri(row.uri), row.key, row.kind)
        for row in _HIDDEN.rows(connection)
    ]


def read_failures(connection: ReadConnection, source: str | None) -> list[Failure]:
    """Read the items that failed to index, of all corpora or of one (by uri), in the order of first failure."""
    if source is not None and "\0" in source:
        return []  # no uri has one, and on a server it is as if no corpus were named
    return [Failure(*row) for row in _FAILURES.rows(connection, source)]


class _ItemContent(NamedTuple):
    item: int
    content: int


class _Hidden(NamedTuple):
    uri: str
    key: str | None
    kind: Kind | None


class _Failure(NamedTuple):
    uri: str
    reason: str


_CONTENTS_OF = Select(
    _ItemContent, "SELECT id, content_id FROM items WHERE id IN (SELECT value FROM json_each(?))"
)
_BY_KEY = Select(Number, "SELECT id FROM items WHERE key = ?")
_BY_URI = Select(Number, "SELECT id FROM items WHERE uri = ?")
_KEYS = Select(KeyedId, "SELECT id, key FROM items WHERE key IS NOT NULL AND id > ? ORDER BY id LIMIT ?")
_COUNT = Select(Number, "SELECT count(*) FROM items WHERE kind = ?")
_HIDDEN = Select(  # of the tables themselves, which are joined by index, where views stand in their places
    _Hidden,
    "SELECT hidden.uri, items.key, items.kind FROM main.hidden LEFT JOIN main.items ON items.uri = hidden.uri "
    "ORDER BY hidden.uri",
)
_FAILURES = Select(
    _Failure,
    "SELECT uri, reason FROM failures "
    "WHERE CAST(?1 AS TEXT) IS NULL OR source_id IN (SELECT id FROM sources WHERE uri = ?1) ORDER BY id",
)
