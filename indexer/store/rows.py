"""Rows of the catalogue, as one commit changes them: every function here runs inside the writer's transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Update, delete, func, insert, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.changes import Change, NewContent
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.column_types import count_of
from retrieval.collection.segments import WrittenSegment
from retrieval.identity import Identity
from retrieval.types import Attribute, Kind

LAST_ID = 2**62  # a catalogue that says it has used more was altered


def apply(connection: Connection, change: Change) -> dict[str, int]:
    """Carry out a change whose new contents are in already; item ids of ``change.items`` by uri."""
    touched = contents_touched(connection, change)
    returned = find_returned(connection, change)
    ids = upsert_items(connection, change)
    replace_attributes(connection, change)
    record_hidden(connection, change, returned)
    replace_links(connection, change, ids)
    record_failures(connection, change)
    record_listings(connection, change, ids)
    if change.removed:
        remove_items(connection, change.removed)
    touched |= contents_of(connection, ids.values())
    touched |= set(content_ids_of(connection, change.contents).values())
    bury_and_revive(connection, touched)
    return ids


def ensure_encoder(connection: Connection, identity: Identity, activate: bool) -> int:
    """Catalogue id of an encoder, added where it is new, made the active one if asked."""
    table = schema.encoders
    connection.execute(
        sqlite_insert(table)
        .values(digest=identity.digest, identity=identity.to_json())
        .on_conflict_do_nothing(index_elements=["digest"])
    )
    encoder_id = int(
        connection.execute(select(table.c.id).where(table.c.digest == identity.digest)).scalar_one()
    )
    if activate:
        connection.execute(
            sqlite_insert(schema.settings)
            .values(name="active_encoder", value=str(encoder_id))
            .on_conflict_do_update(index_elements=["name"], set_={"value": str(encoder_id)})
        )
    return encoder_id


def find_encoder(connection: Connection, identity: Identity) -> int | None:
    """Catalogue id of an encoder, or None where it is new."""
    table = schema.encoders
    return connection.execute(
        select(table.c.id).where(table.c.digest == identity.digest)
    ).scalar_one_or_none()


def insert_segment(connection: Connection, kind: Kind, encoder_id: int, segment: WrittenSegment) -> int:
    """The row that makes a segment's files part of the collection."""
    return int(
        connection.execute(
            insert(schema.segments)
            .values(
                kind=kind,
                encoder_id=encoder_id,
                rows=segment.rows,
                vectors_name=segment.vectors.name,
                vectors_size=segment.vectors.size,
                vectors_sha256=segment.vectors.sha256,
                ids_name=segment.ids.name,
                ids_size=segment.ids.size,
                ids_sha256=segment.ids.sha256,
            )
            .returning(schema.segments.c.id)
        ).scalar_one()
    )


def remove_items(connection: Connection, ids: Iterable[int]) -> None:
    """Delete items with their links; contents left without items are buried by the same commit.

    A hidden picture leaves its digest behind: it stays hidden if it comes back under another name.
    """
    for chunk in chunked(ids):
        connection.execute(_remember_digests(chunk))
        connection.execute(delete(schema.items).where(schema.items.c.id.in_(chunk)))


def next_id(connection: Connection, table: str) -> int:
    """The id that AUTOINCREMENT gives next; ids that were ever used never come again."""
    used = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).scalar()
    return count_of(0 if used is None else used, f"the last id of {table}", LAST_ID) + 1


def insert_encodings(
    connection: Connection,
    contents: Sequence[NewContent],
    ids: NDArray[np.int64],
    encoder_id: int,
    segment_id: int,
) -> None:
    """Rows of contents, where they are new, and of their encodings, in the order of the segment's rows."""
    table = schema.contents
    statement = (
        sqlite_insert(table)
        .values(kind=None, sha256=None, text=None, width=None, height=None)
        .on_conflict_do_nothing(index_elements=["sha256", "kind"])
    )
    connection.execute(
        statement,
        [
            {"kind": c.kind, "sha256": c.sha256, "text": c.text, "width": c.width, "height": c.height}
            for c in contents
        ],
    )
    content_ids = content_ids_of(connection, {(c.kind, c.sha256) for c in contents})
    connection.execute(
        insert(schema.encodings),
        [
            {
                "id": int(encoding_id),
                "content_id": content_ids[content.kind, content.sha256],
                "encoder_id": encoder_id,
                "part": 0,
                "segment_id": segment_id,
                "row": row,
            }
            for row, (content, encoding_id) in enumerate(zip(contents, ids, strict=True))
        ],
    )


def content_ids_of(
    connection: Connection, keys: Iterable[tuple[Kind, bytes]]
) -> dict[tuple[Kind, bytes], int]:
    """Catalogue ids of contents by kind and sha256; unknown ones are left out."""
    table = schema.contents
    found: dict[tuple[Kind, bytes], int] = {}
    wanted = set(keys)
    for chunk in chunked(sorted({digest for _, digest in wanted})):
        rows = connection.execute(
            select(table.c.id, table.c.kind, table.c.sha256).where(table.c.sha256.in_(chunk))
        )
        found.update(((row.kind, row.sha256), row.id) for row in rows if (row.kind, row.sha256) in wanted)
    return found


def item_ids_of(connection: Connection, uris: Iterable[str]) -> dict[str, int]:
    """Catalogue ids of items by uri; unknown ones are left out."""
    table = schema.items
    found: dict[str, int] = {}
    for chunk in chunked(sorted(set(uris))):
        rows = connection.execute(select(table.c.uri, table.c.id).where(table.c.uri.in_(chunk)))
        found.update((row.uri, row.id) for row in rows)
    return found


def upsert_items(connection: Connection, change: Change) -> dict[str, int]:
    """Add or update items; their ids by uri. A renamed item keeps its id and goes over to the new source."""
    if not change.items:
        return {}
    table = schema.items
    content_ids = content_ids_of(connection, ((item.kind, item.sha256) for item in change.items.values()))
    for item in change.items.values():
        if item.renames is not None:
            connection.execute(text(_RENAME_HIDDEN), {"item": item.renames, "uri": item.uri})
            connection.execute(
                update(table).where(table.c.id == item.renames).values(uri=item.uri, source_id=item.source_id)
            )
            listings = schema.listings  # they were of the old uri
            connection.execute(delete(listings).where(listings.c.item_id == item.renames))
    rows = [
        {
            "content_id": content_ids[item.kind, item.sha256],
            "source_id": item.source_id,
            "kind": item.kind,
            "uri": item.uri,
            "key": item.key,
            "lang": item.lang,
            "attributes": _attributes_json(item.attributes),
            "stamp": item.stamp,
            "extent": item.extent,
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
    return item_ids_of(connection, change.items)


def replace_attributes(connection: Connection, change: Change) -> None:
    """Give items other attributes; nothing else of them changes."""
    if change.attributes:
        rows = [
            {"uri": uri, "attributes": _attributes_json(attributes)}
            for uri, attributes in change.attributes.items()
        ]
        connection.execute(text("UPDATE items SET attributes = :attributes WHERE uri = :uri"), rows)


def _attributes_json(attributes: Mapping[str, Attribute]) -> str:
    return json.dumps(dict(attributes), ensure_ascii=False, sort_keys=True)


# The hiding of a renamed item goes with it; its old name is free for another file.
_RENAME_HIDDEN = (
    "UPDATE OR REPLACE hidden SET uri = :uri WHERE uri = (SELECT uri FROM items WHERE id = :item)"
)


def find_returned(connection: Connection, change: Change) -> list[dict[str, str]]:
    """Hidden pictures without an item that this change brings back under another name: their old and new uris.

    Of several new items with such a picture's bytes the first one is the picture that came back.
    """
    hidden, items = schema.hidden, schema.items
    waiting = select(hidden.c.uri).where(hidden.c.sha256.is_not(None)).limit(1)
    if not change.items or connection.execute(waiting).first() is None:
        return []
    known = item_ids_of(connection, change.items)
    new: dict[bytes, str] = {}
    for item in change.items.values():
        if item.kind == "image" and item.uri not in known and item.renames is None:
            new.setdefault(item.sha256, item.uri)
    has_item = select(items.c.id).where(items.c.uri == hidden.c.uri).exists()
    returned = []
    for chunk in chunked(new):
        for row in connection.execute(select(hidden).where(hidden.c.sha256.in_(chunk), ~has_item)):
            if row.uri not in change.items:
                returned.append({"old": row.uri, "uri": new[row.sha256]})
    return returned


def record_hidden(connection: Connection, change: Change, returned: list[dict[str, str]]) -> None:
    """Hide and unhide uris, and hide what came back under another name."""
    table = schema.hidden
    if returned:
        connection.execute(
            text("UPDATE OR REPLACE hidden SET uri = :uri, sha256 = NULL WHERE uri = :old"), returned
        )
    if change.hidden:
        connection.execute(
            sqlite_insert(table).on_conflict_do_nothing(), [{"uri": uri} for uri in change.hidden]
        )
    for chunk in chunked(change.unhidden):
        connection.execute(delete(table).where(table.c.uri.in_(chunk)))


def _remember_digests(item_ids: Sequence[int]) -> Update:
    hidden, items, contents = schema.hidden, schema.items, schema.contents
    removed = items.c.id.in_(item_ids) & (items.c.kind == "image")
    digest = (
        select(contents.c.sha256)
        .join(items, items.c.content_id == contents.c.id)
        .where(items.c.uri == hidden.c.uri)
        .scalar_subquery()
    )
    return update(hidden).where(hidden.c.uri.in_(select(items.c.uri).where(removed))).values(sha256=digest)


def replace_links(connection: Connection, change: Change, names: dict[str, int]) -> None:
    """Link texts to pictures, instead of what their source said of the same texts before.

    New links of a picture rank after those that it has: where a corpus was cut into commits leaves no trace.
    """
    if not change.links:
        return
    uris = {uri for link in change.links.values() for uri in (link.image_uri, link.text_uri)}
    ids = names | item_ids_of(connection, uris - names.keys())
    rows = [
        {
            "image_item": ids[link.image_uri],
            "text_item": ids[link.text_uri],
            "source_id": link.source_id,
        }
        for link in change.links.values()
    ]
    table = schema.links
    for source_id in {row["source_id"] for row in rows}:
        texts = sorted({row["text_item"] for row in rows if row["source_id"] == source_id})
        for chunk in chunked(texts):
            connection.execute(
                delete(table).where(table.c.source_id == source_id, table.c.text_item.in_(chunk))
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
    """Note which further sources list items; what an item's own source withdraws goes over to one of the others."""
    items, table = schema.items, schema.listings
    listed = [{"item_id": item, "source_id": source} for item, source in change.listed]
    for chunk in chunked(ids.values()):
        for row in connection.execute(select(items).where(items.c.id.in_(chunk))):
            source_id = change.items[row.uri].source_id
            if row.source_id != source_id:
                listed.append({"item_id": row.id, "source_id": source_id})
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
    """Note new failures, and forget those of items that were taken or are settled."""
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
            {"uri": f.uri, "reason": f.reason, "stamp": f.stamp, "source_id": f.source_id}
            for f in change.failures.values()
        ],
    )


def contents_touched(connection: Connection, change: Change) -> set[int]:
    """Contents that may lose an item to this change: those of items that it updates or removes, as they are now."""
    items = schema.items
    touched: set[int] = set()
    renamed = [item.renames for item in change.items.values() if item.renames is not None]
    for chunk in chunked(change.items):
        touched.update(connection.execute(select(items.c.content_id).where(items.c.uri.in_(chunk))).scalars())
    return touched | contents_of(connection, [*change.removed, *renamed])


def contents_of(connection: Connection, item_ids: Iterable[int]) -> set[int]:
    """Catalogue ids of the contents of items."""
    items = schema.items
    return {
        content
        for chunk in chunked(item_ids)
        for content in connection.execute(select(items.c.content_id).where(items.c.id.in_(chunk))).scalars()
    }


def bury_and_revive(connection: Connection, touched: Iterable[int]) -> None:
    """Of these contents, mask the encodings of those without items and unmask those of the others.

    A content that has neither item nor encoding goes at once.
    """
    contents, encodings, items, dead = schema.contents, schema.encodings, schema.items, schema.dead
    has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
    has_encoding = select(encodings.c.id).where(encodings.c.content_id == contents.c.id).exists()
    used = select(items.c.id).where(items.c.content_id == encodings.c.content_id).exists()
    for chunk in chunked(touched):
        of_chunk = encodings.c.content_id.in_(chunk)
        unused = select(encodings.c.id).where(of_chunk, ~used)
        connection.execute(sqlite_insert(dead).from_select(["encoding_id"], unused).on_conflict_do_nothing())
        connection.execute(
            delete(dead).where(dead.c.encoding_id.in_(select(encodings.c.id).where(of_chunk, used)))
        )
        connection.execute(delete(contents).where(contents.c.id.in_(chunk), ~has_item, ~has_encoding))


def drop_encodings(connection: Connection, ids: Iterable[int]) -> None:
    """Delete encodings, and contents that neither an item nor another encoding needs."""
    contents, encodings, items, dead = schema.contents, schema.encodings, schema.items, schema.dead
    has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
    has_encoding = select(encodings.c.id).where(encodings.c.content_id == contents.c.id).exists()
    for chunk in chunked(ids):
        of_chunk = select(encodings.c.content_id).where(encodings.c.id.in_(chunk))
        content_ids = connection.execute(of_chunk).scalars().all()
        connection.execute(delete(dead).where(dead.c.encoding_id.in_(chunk)))
        connection.execute(delete(encodings).where(encodings.c.id.in_(chunk)))
        connection.execute(delete(contents).where(contents.c.id.in_(content_ids), ~has_item, ~has_encoding))
