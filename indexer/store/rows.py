"""Rows of items, links, listings and failures, as one commit changes them, inside the writer's transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from sqlalchemy import Connection, delete, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.attribute_rows import replace_values
from indexer.store.changes import Change
from indexer.store.content_rows import content_ids_of, contents_at, contents_of, mask_and_unmask
from indexer.store.hidden_rows import find_returned, record_hidden, remember_digests, rename_hidden
from indexer.store.known import item_ids_of
from indexer.store.many_rows import SelectAmong, write_rows
from indexer.store.text_rows import replace_image_texts
from indexer.store.word_rows import replace_words
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.stored_values import WrongValue
from retrieval.types import Attribute, Kind


def apply(
    connection: Connection, change: Change, named: Mapping[tuple[Kind, bytes], int] | None = None
) -> dict[str, int]:
    """Apply a change whose new contents are in the catalogue already; give item ids of ``change.items`` by uri.

    Args:
        connection: in the writer's transaction.
        change: what is applied.
        named: catalogue ids of ``change.contents``, which need not be looked up then.
    """
    touched = contents_touched(connection, change)
    returned = find_returned(connection, change)
    content_ids = dict(named or {})
    used = [*change.contents, *((item.kind, item.sha256) for item in change.items.values())]
    content_ids |= content_ids_of(connection, [key for key in used if key not in content_ids])
    ids = upsert_items(connection, change, content_ids)
    replace_values(connection, {ids[uri]: item.attributes for uri, item in change.items.items()})
    replace_attributes(connection, change)
    record_hidden(connection, change, returned)
    replace_links(connection, change, ids)
    record_failures(connection, change)
    record_listings(connection, change, ids)
    if change.removed:
        remove_items(connection, change.removed)
    other = item_ids_of(connection, change.attributes) if change.attributes else {}
    texts_of = replace_image_texts(connection, change.texts)
    replace_words(connection, {*ids.values(), *other.values(), *change.removed, *texts_of})
    mask_and_unmask(connection, touched.union(content_ids.values()))
    return ids


def remove_items(connection: Connection, ids: Iterable[int]) -> None:
    """Delete items with their links; the same commit masks the encodings of contents left without items.

    A hidden image leaves its digest behind: it stays hidden if it comes back under another name.
    """
    for chunk in chunked(ids):
        remember_digests(connection, chunk)
        connection.execute(delete(schema.items).where(schema.items.c.id.in_(chunk)))


def upsert_items(
    connection: Connection, change: Change, content_ids: Mapping[tuple[Kind, bytes], int]
) -> dict[str, int]:
    """Add or update items, and return their ids by uri. A renamed item keeps its id and moves to the new corpus.

    An item that is there keeps the time at which it came.
    """
    if not change.items:
        return {}
    rename_items(connection, change)
    now = int(time.time())
    write_rows(
        connection,
        _UPSERT_ITEM,
        (
            (
                content_ids[item.kind, item.sha256],
                item.corpus_id,
                item.kind,
                item.uri,
                item.key,
                item.lang,
                _attributes_json(item.attributes),
                item.stamp,
                item.extent,
                now,
            )
            for item in change.items.values()
        ),
    )
    ids = item_ids_of(connection, change.items)
    if ids.keys() != change.items.keys():
        raise WrongValue("the catalogue gives items under other uris than they were written with")
    return ids


_UPSERT_ITEM = (
    "INSERT INTO items (content_id, source_id, kind, uri, key, lang, attributes, stamp, extent, indexed)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uri) DO UPDATE SET content_id = excluded.content_id,"
    " kind = excluded.kind, key = coalesce(excluded.key, items.key), lang = excluded.lang,"
    " attributes = excluded.attributes, stamp = excluded.stamp, extent = excluded.extent"
)


def rename_items(connection: Connection, change: Change) -> None:
    """Give renamed items their new uris and corpora, and delete their listings, which were of the old uris."""
    renamed: list[dict[str, int | str | None]] = [
        {"item": item.renames, "uri": item.uri, "source": item.corpus_id}
        for item in change.items.values()
        if item.renames is not None
    ]
    if renamed:
        rename_hidden(connection, renamed)
        for statement in _RENAME:
            connection.execute(text(statement), renamed)


_RENAME = (
    "UPDATE items SET uri = :uri, source_id = :source WHERE id = :item",
    "DELETE FROM listings WHERE item_id = :item",
)


def replace_attributes(connection: Connection, change: Change) -> None:
    """Give items other attributes; nothing else of them changes."""
    if change.attributes:
        rows = [
            {"uri": uri, "attributes": _attributes_json(attributes)}
            for uri, attributes in change.attributes.items()
        ]
        connection.execute(text("UPDATE items SET attributes = :attributes WHERE uri = :uri"), rows)
        ids = item_ids_of(connection, change.attributes)
        replace_values(connection, {ids[uri]: change.attributes[uri] for uri in ids})


def _attributes_json(attributes: Mapping[str, Attribute]) -> str:
    if not attributes:
        return "{}"
    return json.dumps(dict(attributes), ensure_ascii=False, sort_keys=True)


def replace_links(connection: Connection, change: Change, names: dict[str, int]) -> None:
    """Link texts to images, instead of what their corpus said of the same texts before.

    New links of an image rank after those that it has: where a corpus was cut into commits leaves no trace.
    """
    if not change.links:
        return
    uris = {uri for link in change.links.values() for uri in (link.image_uri, link.text_uri)}
    ids = names | item_ids_of(connection, uris - names.keys())
    links = [(ids[link.image_uri], ids[link.text_uri], link.corpus_id) for link in change.links.values()]
    stated = sorted({(text_item, corpus_id) for _, text_item, corpus_id in links})
    write_rows(connection, "DELETE FROM links WHERE text_item = ? AND source_id = ?", stated)
    last = _last_ranks(connection, {image for image, _, _ in links})
    rows = []
    for image, text_item, corpus_id in links:
        last[image] = last.get(image, -1) + 1
        rows.append((image, text_item, corpus_id, last[image]))
    write_rows(
        connection,
        "INSERT INTO links (image_item, text_item, source_id, rank) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        rows,
    )


def _last_ranks(connection: Connection, image_items: Iterable[int]) -> dict[int, int]:
    last: dict[int, int] = {}
    for image, rank in _RANKS.rows(connection, sorted(image_items)):
        last[image] = max(rank, last.get(image, rank))
    return last


class _Rank(NamedTuple):
    """The rank of a link of an image."""

    image_item: int
    rank: int


_RANKS = SelectAmong(_Rank, "SELECT image_item, rank FROM links", "image_item")


def record_listings(connection: Connection, change: Change, ids: dict[str, int]) -> None:
    """Record which further corpora list items; an item that its own corpus no longer lists moves to another one."""
    listed = list(change.listed)
    for item, uri, source in _SOURCES.rows(connection, ids.values()):
        if source != change.items[uri].corpus_id:
            listed.append((item, change.items[uri].corpus_id))
    write_rows(
        connection, "INSERT INTO listings (item_id, source_id) VALUES (?, ?) ON CONFLICT DO NOTHING", listed
    )
    if change.withdrawn:
        pairs = [{"item": item, "source": source} for item, source in change.withdrawn]
        for statement in _WITHDRAW:
            connection.execute(text(statement), pairs)


class _Source(NamedTuple):
    """The corpus of an item."""

    id: int
    uri: str
    source_id: int


_SOURCES = SelectAmong(_Source, "SELECT id, uri, source_id FROM items", "id")

_WITHDRAW = (
    "DELETE FROM listings WHERE item_id = :item AND source_id = :source",
    "UPDATE items SET source_id = (SELECT min(source_id) FROM listings WHERE item_id = :item)"
    " WHERE id = :item AND source_id = :source AND EXISTS (SELECT 1 FROM listings WHERE item_id = :item)",
    "DELETE FROM listings WHERE item_id = :item AND source_id = (SELECT source_id FROM items WHERE id = :item)",
)


def record_failures(connection: Connection, change: Change) -> None:
    """Record new failures, and delete those of items that were indexed or are settled."""
    write_rows(
        connection, "DELETE FROM failures WHERE uri = ?", ((uri,) for uri in [*change.items, *change.settled])
    )
    if not change.failures:
        return
    statement = sqlite_insert(schema.failures)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["uri"],
            set_={"reason": new.reason, "stamp": new.stamp, "source_id": new.source_id},
        ),
        [
            {"uri": f.uri, "reason": f.reason, "stamp": f.stamp, "source_id": f.corpus_id}
            for f in change.failures.values()
        ],
    )


def contents_touched(connection: Connection, change: Change) -> set[int]:
    """Read the contents, as they are now, of items that this change updates or removes."""
    renamed = [item.renames for item in change.items.values() if item.renames is not None]
    return contents_at(connection, change.items) | contents_of(connection, [*change.removed, *renamed])
