"""Rows of what is hidden, as one commit changes them, inside the writer's transaction.

A uri is hidden, not an item. The row follows an item that is renamed, and an image that comes back elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.changes import Change
from indexer.store.known import item_ids_of
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked


def find_returned(connection: Connection, change: Change) -> list[dict[str, str]]:
    """Find hidden images without an item that this change brings back elsewhere: their old and new uris.

    Of several new items with such an image's bytes the first one is the image that came back.
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


def remember_digests(connection: Connection, item_ids: Sequence[int]) -> None:
    """Keep the sha256 of hidden images whose items are about to be removed."""
    hidden, items, contents = schema.hidden, schema.items, schema.contents
    removed = items.c.id.in_(item_ids) & (items.c.kind == "image")
    digest = (
        select(contents.c.sha256)
        .join(items, items.c.content_id == contents.c.id)
        .where(items.c.uri == hidden.c.uri)
        .scalar_subquery()
    )
    uris = select(items.c.uri).where(removed)
    connection.execute(update(hidden).where(hidden.c.uri.in_(uris)).values(sha256=digest))


def rename_hidden(connection: Connection, renamed: Sequence[dict[str, int | str | None]]) -> None:
    """Give the hidings of items their new uris, before the items get them; the old ones are free for other files.

    Args:
        connection: inside the writer's transaction.
        renamed: ``item``, its id, and ``uri``, its new one; at least one.
    """
    connection.execute(
        text("UPDATE OR REPLACE hidden SET uri = :uri WHERE uri = (SELECT uri FROM items WHERE id = :item)"),
        renamed,
    )
