"""Items as the catalogue holds them: found by id for hits; whole, with links, for export, evaluation and analysis."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.image_texts import described_by, read_image_texts
from retrieval.collection.migrations import IMAGE_TEXTS_SINCE
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stored_values import parse_attributes
from retrieval.moments import video_of
from retrieval.types import ImageText, Item, Kind, LinkedText

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


class PictureRow(NamedTuple):
    """Where an image is, and what it was when it was indexed; see :class:`ItemRow`."""

    id: int
    uri: str
    extent: str | None
    sha256: bytes
    width: int | None
    height: int | None


class LinkRow(NamedTuple):
    """A link from a text to the image that it describes; both by item id."""

    image: int
    text: int


def read_items(
    connection: ReadConnection, ids: Iterable[int], hidden_texts: NDArray[np.int64], schema: int
) -> list[Item]:
    """Read items by id, ascending, each image with its texts, of the captions those that are not hidden."""
    rows = _FOUND.rows(connection, id_list(ids))
    captions = _read_captions(connection, [row.id for row in rows if row.kind == "image"], hidden_texts)
    images = {row.content for row in rows if row.kind == "image"}
    texts = read_image_texts(connection, images) if images and schema >= IMAGE_TEXTS_SINCE else {}
    return [_item(row, captions.get(row.id, ()), texts.get(row.content, ())) for row in rows]


def _item(row: _FoundItem, captions: tuple[LinkedText, ...], texts: tuple[ImageText, ...]) -> Item:
    attributes = parse_attributes(row.attributes)
    described = tuple(described_by(attributes)) if attributes and row.kind == "image" else ()
    return Item(
        id=row.id,
        kind=row.kind,
        uri=row.uri,
        key=row.key,
        text=row.text,
        lang=row.lang,
        captions=captions,
        attributes=attributes,
        texts=described + texts,
    )


def _read_captions(
    connection: ReadConnection, images: list[int], hidden_texts: NDArray[np.int64]
) -> dict[int, tuple[LinkedText, ...]]:
    """Read the captions of each image, in the order of their links."""
    rows = _LINKED_TEXTS.rows(connection, id_list(images)) if images else []
    hidden = set(hidden_texts.tolist())
    return {
        image: tuple(
            LinkedText(row.item, row.uri, row.text, row.lang) for row in of_image if row.item not in hidden
        )
        for image, of_image in groupby(rows, key=attrgetter("image"))
    }


def read_pages(
    connection: ReadConnection, encoder_id: int | None, kind: Kind, size: int
) -> Iterator[list[ItemRow]]:
    """Read all items of a kind in the order of ids, so many a page."""
    last = 0
    while page := _PAGE.rows(connection, encoder_id, kind, last, size):
        last = page[-1].id
        yield page


def read_rows(connection: ReadConnection, encoder_id: int | None, ids: Iterable[int]) -> list[ItemRow]:
    """Read items by id, ascending; ids of no item are left out."""
    return _BY_ID.rows(connection, encoder_id, id_list(ids))


def read_pictures(connection: ReadConnection, ids: Iterable[int]) -> list[PictureRow]:
    """Read images by item id, ascending; texts and ids of no item are left out."""
    return _PICTURES.rows(connection, id_list(ids))


def read_links(connection: ReadConnection, kind: Kind, ids: Iterable[int]) -> list[LinkRow]:
    """Read the links of items of a kind, by image, and those of one image in their order."""
    return _LINKS[kind].rows(connection, id_list(ids))


def read_videos(connection: ReadConnection, ids: Iterable[int]) -> dict[int, str]:
    """Read the video that items are frames of, its uri by item id; other items are left out."""
    rows = _FRAMES_OF.rows(connection, id_list(ids))
    return {row.item: video for row in rows if (video := video_of(row.uri)) is not None}


_COLUMNS = (
    "SELECT items.id, items.uri, items.key, items.lang, items.attributes, items.stamp, items.extent, "
    "contents.sha256, contents.text, contents.width, contents.height, encodings.id FROM items "
    "JOIN contents ON contents.id = items.content_id "
    "LEFT JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0 "
)
_PAGE = Select(ItemRow, f"{_COLUMNS}WHERE items.kind = ? AND items.id > ? ORDER BY items.id LIMIT ?")
_BY_ID = Select(ItemRow, f"{_COLUMNS}WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id")
_PICTURES = Select(
    PictureRow,
    "SELECT items.id, items.uri, items.extent, contents.sha256, contents.width, contents.height FROM items "
    "JOIN contents ON contents.id = items.content_id "
    "WHERE items.id IN (SELECT value FROM json_each(?)) AND contents.text IS NULL ORDER BY items.id",
)
_LINKS_BY = (
    "SELECT image_item, text_item FROM links WHERE {} IN (SELECT value FROM json_each(?)) "
    "ORDER BY image_item, rank, text_item"
)
_LINKS: dict[Kind, Select[LinkRow]] = {
    "image": Select(LinkRow, _LINKS_BY.format("image_item")),
    "text": Select(LinkRow, _LINKS_BY.format("text_item")),
}


class _FoundItem(NamedTuple):
    id: int
    content: int
    kind: Kind
    uri: str
    key: str | None
    lang: str | None
    attributes: str
    text: str | None


class _LinkedTextRow(NamedTuple):
    image: int
    item: int
    uri: str
    lang: str | None
    text: str


_FOUND = Select(
    _FoundItem,
    "SELECT items.id, contents.id, items.kind, items.uri, items.key, items.lang, items.attributes, contents.text "
    "FROM items "
    "JOIN contents ON contents.id = items.content_id "
    "WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id",
)
_LINKED_TEXTS = Select(
    _LinkedTextRow,
    "SELECT links.image_item, items.id, items.uri, items.lang, contents.text FROM links "
    "JOIN items ON items.id = links.text_item JOIN contents ON contents.id = items.content_id "
    "WHERE links.image_item IN (SELECT value FROM json_each(?)) ORDER BY links.image_item, links.rank, items.id",
)


class _Frame(NamedTuple):
    item: int
    uri: str


_FRAMES_OF = Select(
    _Frame,
    "SELECT id, uri FROM items WHERE id IN (SELECT value FROM json_each(?)) "
    "AND (uri LIKE '%#t=%' OR uri LIKE '%#t$%%' ESCAPE '$') ORDER BY id",
)
