"""Items with all that the catalogue says of them, and their links: for export, evaluation and analysis."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from retrieval.collection.statement import Select, id_list
from retrieval.types import Kind

PAGE_ITEMS = 1000


class ItemRow(NamedTuple):
    """An item with its content; ``encoding`` names its vector, and is None where it has none yet.

    ``attributes`` are JSON; ``sha256``, ``text``, ``width`` and ``height`` are the content's.
    """

    id: int
    uri: str
    key: str | None
    lang: str | None
    attributes: str
    stamp: str | None
    extent: str | None
    sha256: bytes
    text: str | None
    width: int | None
    height: int | None
    encoding: int | None


class LinkRow(NamedTuple):
    """A text describes an image; both by item id."""

    image: int
    text: int


def read_pages(
    connection: sqlite3.Connection, encoder_id: int | None, kind: Kind, size: int
) -> Iterator[list[ItemRow]]:
    """Read all items of a kind in the order of ids, so many a page."""
    last = 0
    while page := _PAGE.rows(connection, encoder_id, kind, last, size):
        last = page[-1].id
        yield page


def read_rows(connection: sqlite3.Connection, encoder_id: int | None, ids: Iterable[int]) -> list[ItemRow]:
    """Read items by id, ascending; ids of no item are left out."""
    return _BY_ID.rows(connection, encoder_id, id_list(ids))


def read_links(connection: sqlite3.Connection, kind: Kind, ids: Iterable[int]) -> list[LinkRow]:
    """Read the links of items of a kind, by image, and those of one image in their order."""
    return _LINKS[kind].rows(connection, id_list(ids))


_COLUMNS = (
    "SELECT items.id, items.uri, items.key, items.lang, items.attributes, items.stamp, items.extent, "
    "contents.sha256, contents.text, contents.width, contents.height, encodings.id FROM items "
    "JOIN contents ON contents.id = items.content_id "
    "LEFT JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0 "
)
_PAGE = Select(ItemRow, f"{_COLUMNS}WHERE items.kind = ? AND items.id > ? ORDER BY items.id LIMIT ?")
_BY_ID = Select(ItemRow, f"{_COLUMNS}WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id")
_LINKS_BY = (
    "SELECT image_item, text_item FROM links WHERE {} IN (SELECT value FROM json_each(?)) "
    "ORDER BY image_item, rank, text_item"
)
_LINKS: dict[Kind, Select[LinkRow]] = {
    "image": Select(LinkRow, _LINKS_BY.format("image_item")),
    "text": Select(LinkRow, _LINKS_BY.format("text_item")),
}
