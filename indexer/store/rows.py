"""Rows of items, links, listings and failures, as one commit changes them, inside the writer's transaction."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, delete, func, select, text
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.attribute_rows import replace_values
from indexer.store.changes import Change
from indexer.store.content_rows import content_ids_of, contents_of, mask_and_unmask
from indexer.store.hidden_rows import find_returned, record_hidden, remember_digests, rename_hidden
from indexer.store.known import item_ids_of
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.stored_values import WrongValue
from retrieval.types import Attribute


def apply(connection: Connection, change: Change) -> dict[str, int]:
    """Apply a change whose new contents are in the catalogue already; give item ids of ``change.items`` by uri."""
    touched = contents_touched(connection, change)
    returned = find_returned(connection, change)
    ids = upsert_items(connection, change)
    replace_values(connection, {ids[uri]: item.attributes for uri, item in change.items.items()})
    replace_attributes(connection, change)
    record_hidden(connection, change, returned)
    replace_links(connection, change, ids)
    record_failures(connection, change)
    record_listings(connection, change, ids)
    if change.removed:
        remove_items(connection, change.removed)
    touched |= contents_of(connection, ids.values())
    touched |= set(content_ids_of(connection, change.contents).values())
    mask_and_unmask(connection, touched)
    return ids


def remove_items(connection: Connection, ids: Iterable[int]) -> None:
    """Delete items with their links; the same commit masks the encodings of contents left without items.

    A hidden image leaves its digest behind: it stays hidden if it comes back under another name.
    """
    for chunk in chunked(ids):
        remember_digests(connection, chunk)
        connection.execute(delete(schema.items).where(schema.items.c.id.in_(chunk)))


def upsert_items(connection: Connection, change: Change) -> dict[str, int]:
    """Add or update items, and return their ids by uri. A renamed item keeps its id and moves to the new corpus.

    An item that is there keeps the time at which it came.
    """
    if not change.items:
        return {}
    table = schema.items
    content_ids = content_ids_of(connection, ((item.kind, item.sha256) for item in change.items.values()))
    rename_items(connection, change)
    now = int(time.time())
    rows = [
        {
            "content_id": content_ids[item.kind, item.sha256],
            "source_id": item.corpus_id,
            "kind": item.kind,
            "uri": item.uri,
            "key": item.key,
            "lang": item.lang,
            "attributes": _attributes_json(item.attributes),
            "stamp": item.stamp,
            "extent": item.extent,
            "indexed": now,
        }
        for item in change.items.values()
    ]
    statement = sqlite_insert(table)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["uri"],
            set_={
                "content_id": new.content_id,
                "kind": new.kind,
                "key": func.coalesce(new.key, table.c.key),
                "lang": new.lang,
                "attributes": new.attributes,
                "stamp": new.stamp,
                "extent": new.extent,
            },
        ),
        rows,
    )
    ids = item_ids_of(connection, change.items)
    if ids.keys() != change.items.keys():
        raise WrongValue("the catalogue gives items under other uris than they were written with")
    return ids


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
    return json.dumps(dict(attributes), ensure_ascii=False, sort_keys=True)


def replace_links(connection: Connection, change: Change, names: dict[str, int]) -> None:
    """Link texts to images, instead of what their corpus said of the same texts before.

    New links of an image rank after those that it has: where a corpus was cut into commits leaves no trace.
    """
    if not change.links:
        return
    uris = {uri for link in change.links.values() for uri in (link.image_uri, link.text_uri)}
    ids = names | item_ids_of(connection, uris - names.keys())
    rows = [
        {
            "image_item": ids[link.image_uri],
            "text_item": ids[link.text_uri],
            "source_id": link.corpus_id,
        }
        for link in change.links.values()
    ]
    table = schema.links
    for corpus_id in {row["source_id"] for row in rows}:
        texts = sorted({row["text_item"] for row in rows if row["source_id"] == corpus_id})
        for chunk in chunked(texts):
            connection.execute(
                delete(table).where(table.c.source_id == corpus_id, table.c.text_item.in_(chunk))
            )
    last = _last_ranks(connection, {row["image_item"] for row in rows})
    for row in rows:
        row["rank"] = last[row["image_item"]] = last.get(row["image_item"], -1) + 1
    connection.execute(sqlite_insert(table).on_conflict_do_nothing(), rows)


def _last_ranks(connection: Connection, image_items: Iterable[int]) -> dict[int, int]:
    table = schema.links
    found: dict[int, int] = {}
    for chunk in chunked(sorted(image_items)):
        statement = select(table.c.image_item, func.max(table.c.rank)).where(table.c.image_item.in_(chunk))
        found.update(
            (item, rank) for item, rank in connection.execute(statement.group_by(table.c.image_item))
        )
    return found


def record_listings(connection: Connection, change: Change, ids: dict[str, int]) -> None:
    """Record which further corpora list items; an item that its own corpus no longer lists moves to another one."""
    items, table = schema.items, schema.listings
    listed = [{"item_id": item, "source_id": source} for item, source in change.listed]
    for chunk in chunked(ids.values()):
        for row in connection.execute(select(items).where(items.c.id.in_(chunk))):
            corpus_id = change.items[row.uri].corpus_id
            if row.source_id != corpus_id:
                listed.append({"item_id": row.id, "source_id": corpus_id})
    if listed:
        connection.execute(sqlite_insert(table).on_conflict_do_nothing(), listed)
    if change.withdrawn:
        pairs = [{"item": item, "source": source} for item, source in change.withdrawn]
        for statement in _WITHDRAW:
            connection.execute(text(statement), pairs)


_WITHDRAW = (
    "DELETE FROM listings WHERE item_id = :item AND source_id = :source",
    "UPDATE items SET source_id = (SELECT min(source_id) FROM listings WHERE item_id = :item)"
    " WHERE id = :item AND source_id = :source AND EXISTS (SELECT 1 FROM listings WHERE item_id = :item)",
    "DELETE FROM listings WHERE item_id = :item AND source_id = (SELECT source_id FROM items WHERE id = :item)",
)


def record_failures(connection: Connection, change: Change) -> None:
    """Record new failures, and delete those of items that were indexed or are settled."""
    for chunk in chunked([*change.items, *change.settled]):
        connection.execute(delete(schema.failures).where(schema.failures.c.uri.in_(chunk)))
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
    items = schema.items
    touched: set[int] = set()
    renamed = [item.renames for item in change.items.values() if item.renames is not None]
    for chunk in chunked(change.items):
        touched.update(connection.execute(select(items.c.content_id).where(items.c.uri.in_(chunk))).scalars())
    return touched | contents_of(connection, [*change.removed, *renamed])
