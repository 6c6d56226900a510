"""Hiding: items that stay in their corpus, and are found by no search until they are unhidden.

A uri is hidden, not an item: what vanishes and comes back is hidden still. A file that was renamed takes its hiding
with it (indexer/store/rows.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Connection, select

from indexer.named import checked_names, find_named, is_named, uri_of
from indexer.store.changes import Change
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.suffixes import is_picture_name
from retrieval.uris import split_file_uri


def hide_items(collection: str | Path, names: Sequence[str], *, timeout: float = 0.0) -> int:
    """Hide items by key, uri or plain path (a folder or tar: every item under it); how many there are.

    They keep their vectors, and no index run, rename or compaction shows them again: only :func:`unhide_items` does.
    A picture's file that is on disk and not in the collection is hidden before it comes in. ``timeout`` is how many
    seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: a name is empty.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    names = checked_names(names)
    with Writer.existing(Path(collection), timeout) as writer:
        with writer.look_up() as connection:
            uris = {uri for name in names for uri in _to_hide(connection, name)}
        if uris:
            writer.commit_rows(Change(hidden=sorted(uris)))
        return len(uris)


def unhide_items(collection: str | Path, names: Sequence[str], *, timeout: float = 0.0) -> int:
    """Let items be found again, named as for :func:`hide_items`; how many were hidden.

    ``timeout`` is how many seconds to wait for another process that writes to the collection.

    Raises:
        UsageError: a name is empty.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    names = checked_names(names)
    with Writer.existing(Path(collection), timeout) as writer:
        with writer.look_up() as connection:
            uris = _find_hidden(connection, names)
        if uris:
            writer.commit_rows(Change(unhidden=sorted(uris)))
        return len(uris)


def _find_hidden(connection: Connection, names: Sequence[str]) -> set[str]:
    hidden, items = schema.hidden, schema.items
    statement = select(hidden.c.uri).outerjoin(items, items.c.uri == hidden.c.uri)
    found: set[str] = set()
    for name in names:
        named = (items.c.key == name) | is_named(hidden.c.uri, name)
        found.update(connection.execute(statement.where(named)).scalars())
    return found


def _to_hide(connection: Connection, name: str) -> set[str]:
    """Uris of the items that a name means, or that of a picture's file that may come in later."""
    uris = {item.uri for item in find_named(connection, [name]).values()}
    split = split_file_uri(uri_of(name))
    if not uris and split is not None and split[1] is None:
        path = split[0]
        if is_picture_name(path.name) and path.is_file():
            uris.add(uri_of(name))
    return uris
