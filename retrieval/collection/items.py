"""Item ids to items: one pass over the catalogue for all queries of a batch."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.catalogue import parse_attributes
from retrieval.collection.statement import Select, id_list
from retrieval.types import Item, Kind, LinkedText


def read_items(
    connection: sqlite3.Connection, ids: Iterable[int], hidden_texts: NDArray[np.int64]
) -> list[Item]:
    """Read items by id, ascending, each image with the texts that are linked to it and not hidden."""
    rows = _ITEMS.rows(connection, id_list(ids))
    texts = _read_texts(connection, [row.id for row in rows if row.kind == "image"], hidden_texts)
    return [
        Item(
            id=row.id,
            kind=row.kind,
            uri=row.uri,
            key=row.key,
            text=row.text,
            lang=row.lang,
            captions=texts.get(row.id, ()),
            attributes=parse_attributes(row.attributes),
        )
        for row in rows
    ]


def _read_texts(
    connection: sqlite3.Connection, images: list[int], hidden_texts: NDArray[np.int64]
) -> dict[int, tuple[LinkedText, ...]]:
    """Read linked texts of each image, in the order of their links."""
    rows = _TEXTS.rows(connection, id_list(images)) if images else []
    hidden = set(hidden_texts.tolist())
    return {
        image: tuple(
            LinkedText(row.item, row.uri, row.text, row.lang) for row in of_image if row.item not in hidden
        )
        for image, of_image in groupby(rows, key=attrgetter("image"))
    }


class _ItemRow(NamedTuple):
    id: int
    kind: Kind
    uri: str
    key: str | None
    lang: str | None
    attributes: str
    text: str | None


class _TextRow(NamedTuple):
    image: int
    item: int
    uri: str
    lang: str | None
    text: str


_ITEMS = Select(
    _ItemRow,
    "SELECT items.id, items.kind, items.uri, items.key, items.lang, items.attributes, contents.text FROM items "
    "JOIN contents ON contents.id = items.content_id "
    "WHERE items.id IN (SELECT value FROM json_each(?)) ORDER BY items.id",
)
_TEXTS = Select(
    _TextRow,
    "SELECT links.image_item, items.id, items.uri, items.lang, contents.text FROM links "
    "JOIN items ON items.id = links.text_item JOIN contents ON contents.id = items.content_id "
    "WHERE links.image_item IN (SELECT value FROM json_each(?)) ORDER BY links.image_item, links.rank, items.id",
)
