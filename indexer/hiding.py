"""Hide items, which stay in their corpus and are found by no search until they are unhidden.

A uri is hidden, not an item: what vanishes and comes back is hidden still. A file that was renamed takes its hiding
with it (indexer/store/hidden_rows.py).
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, select

from indexer.named import (
    GivenNames,
    Name,
    OnUnknown,
    existing_writer,
    find_named,
    has_id,
    ignore_unknown,
    is_named,
    tell_unknown,
)
from indexer.store.changes import Change
from retrieval.collection import schema
from retrieval.errors import UsageError
from retrieval.file_kinds import holds_several, is_taken
from retrieval.places import CollectionPlace
from retrieval.uris import split_file_uri, uri_of


def hide_items(
    collection: str | CollectionPlace,
    names: GivenNames,
    *,
    timeout: float = 0.0,
    on_unknown: OnUnknown = ignore_unknown,
) -> int:
    """Hide items by key, uri, path (a folder or tar: every item in it) or id, and return how many.

    They keep their vectors, and no index run, rename or compaction shows them again: only :func:`unhide_items` does.
    But where another file takes the name of a hidden one that was renamed before the next index run, the name stays
    hidden, and the picture under its new name is found.
    An image's file that is on disk and not in the collection is hidden before it comes in. ``timeout`` is how many
    seconds to wait for another process that writes to the collection. ``on_unknown`` is called with each name that
    means nothing; what the others mean is hidden.

    Raises:
        UsageError: a name is empty or none, or that of a file that is not in the collection and may hold several
            pictures (a PDF, a TIFF, a video).
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    return _commit_uris(collection, names, timeout, _to_hide, lambda uris: Change(hidden=uris), on_unknown)


def unhide_items(
    collection: str | CollectionPlace,
    names: GivenNames,
    *,
    timeout: float = 0.0,
    on_unknown: OnUnknown = ignore_unknown,
) -> int:
    """Unhide items, named as for :func:`hide_items`, and return how many.

    ``timeout`` is how many seconds to wait for another process that writes to the collection. ``on_unknown`` is called
    with each name that means nothing hidden.

    Raises:
        UsageError: a name is empty or none.
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    return _commit_uris(
        collection, names, timeout, _find_hidden, lambda uris: Change(unhidden=uris), on_unknown
    )


def _commit_uris(
    collection: str | CollectionPlace,
    names: GivenNames,
    timeout: float,
    find: Callable[[Connection, Name], set[str]],
    change: Callable[[list[str]], Change],
    on_unknown: OnUnknown,
) -> int:
    """Commit a change of the uris that ``find`` finds by each name, and return how many."""
    with existing_writer(collection, names, timeout) as (writer, checked):
        with writer.look_up() as connection:
            found = {name: find(connection, name) for name in checked}
        uris = set[str]().union(*found.values())
        if uris:
            writer.commit_rows(change(sorted(uris)))
        tell_unknown(found, on_unknown)
        return len(uris)


def _find_hidden(connection: Connection, name: Name) -> set[str]:
    hidden, items = schema.hidden, schema.items
    named = has_id(name) if isinstance(name, int) else (items.c.key == name) | is_named(hidden.c.uri, name)
    found = select(hidden.c.uri).outerjoin(items, items.c.uri == hidden.c.uri).where(named)
    return set(connection.execute(found).scalars())


def _to_hide(connection: Connection, name: Name) -> set[str]:
    """Find the uris of the items that a name means, or that of an image file that may be indexed later."""
    uris = {item.uri for item in find_named(connection, [name]).values()}
    if isinstance(name, int):
        return uris
    split = split_file_uri(uri_of(name))
    if not uris and split is not None and split[1] is None and split[0].is_file():
        path = split[0]
        if holds_several(path.name):
            raise UsageError(
                f"{name} is not in the collection yet, and may hold several pictures; index it, then hide it"
            )
        if is_taken(path.name):
            uris.add(uri_of(name))
    return uris
