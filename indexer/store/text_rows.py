"""Rows of the texts of images that are not captions, as one commit changes them, inside the writer's transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection

from indexer.store.changes import NewImageText
from indexer.store.content_rows import content_ids_of
from indexer.store.many_rows import SelectAmong, write_rows
from indexer.store.settings import drop_settings, set_settings
from retrieval.collection.image_texts import READS_TEXT
from retrieval.types import Kind, Origin

_UPSERT = (
    "INSERT INTO image_texts (content_id, origin, maker, text, boxes) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (content_id, origin) DO UPDATE SET maker = excluded.maker, text = excluded.text,"
    " boxes = excluded.boxes"
)


def replace_image_texts(
    connection: Connection, texts: Mapping[tuple[bytes, Origin], NewImageText]
) -> set[int]:
    """Give image contents new texts, and return the ids of the items that have these contents."""
    if not texts:
        return set()
    keys: set[tuple[Kind, bytes]] = {("image", digest) for digest, _ in texts}
    contents = {digest: number for (_, digest), number in content_ids_of(connection, keys).items()}
    rows = [
        (contents[digest], origin, new.maker, new.text, json.dumps(new.boxes))
        for (digest, origin), new in texts.items()
        if digest in contents
    ]
    write_rows(connection, _UPSERT, rows)
    return {item for (item,) in _ITEMS_OF.rows(connection, sorted(set(contents.values())))}


def note_reads_text(connection: Connection, on: bool) -> None:
    """Keep whether the text in new images is to be read after each run over a corpus."""
    if on:
        set_settings(connection, {READS_TEXT: "1"})
    else:
        drop_settings(connection, [READS_TEXT])


class _ItemOf(NamedTuple):
    """An item with one of the contents."""

    id: int


_ITEMS_OF = SelectAmong(_ItemOf, "SELECT id FROM items", "content_id")
