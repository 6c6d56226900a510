"""What a corpus no longer holds: items that a whole run has not met, and failures that have not come again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from sqlalchemy import ColumnElement, Connection, select, true

from indexer.pipeline.counts import MetItems
from indexer.pipeline.renames import is_gone
from indexer.pipeline.report import Failures
from indexer.store.changes import Change
from indexer.store.known import Listing, find_listings
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.schema import is_inside
from retrieval.errors import UsageError
from retrieval.identity import Identity

ITEMS_INSIDE = ("folder", "webdataset", "lines")
"""Formats whose items are all named after the file or folder that the reader found them in."""


class VanishedItems:
    """Items that came from a corpus and that a whole run over it has not met.

    Not counted as vanished: an image that failed in this run; an image of which another corpus has captions; and items
    in parts of the corpus that the reader could not read (a folder without read permission, a broken link), unless
    their file is known to be gone. A folder corpus never keeps an item whose file is gone.

    Args:
        writer: of the collection.
        corpus_id: catalogue id of the corpus.
        uri: of the corpus.
        format_: of the corpus.
        met: what the run has met.
    """

    def __init__(self, writer: Writer, corpus_id: int, uri: str, format_: str, met: MetItems) -> None:
        self._writer, self._corpus_id, self._uri, self._met = writer, corpus_id, uri, met
        self._holds_its_items = format_ in ITEMS_INSIDE
        with writer.look_up() as connection:
            self._folders = _folders(connection)
            unmet = set(self._unmet(connection, {corpus_id}, true()))
            if format_ == "folder":  # files that are gone, and that a run over a folder above or below took
                inside = is_inside(schema.items.c.uri, uri, "/")
                unmet |= set(self._unmet(connection, self._folders, inside))
        self._items = sorted(unmet)

    def count(self) -> int:
        """Count the items that :meth:`prune` would delete."""
        return sum(len(change.removed) for change in self._changes())

    def prune(self, identity: Identity) -> int:
        """Remove this corpus from the items' listings, delete items that no corpus lists, and return their number.

        Raises:
            UsageError: the corpus holds nothing now, as if its drive were missing.
        """
        if self._items and not self._met.count:
            raise UsageError(
                f"{self._uri} holds nothing now, and --prune would drop all {len(self._items)} items that came from "
                "it; if the drive is not missing and that is meant, use vlsearch delete"
            )
        removed = 0
        for change in self._changes():
            if change:
                self._writer.commit(change, identity)
                removed += len(change.removed)
        return removed

    def _unmet(
        self, connection: Connection, corpora: Collection[int], condition: ColumnElement[bool]
    ) -> Iterator[int]:
        """Give the ids of the items that one of these corpora lists and the run has not met."""
        items, listings = schema.items, schema.listings
        also = select(listings.c.item_id).where(listings.c.source_id.in_(corpora))
        listed = items.c.source_id.in_(corpora) | items.c.id.in_(also)
        ids = connection.execute(select(items.c.id).where(listed, condition)).scalars()
        return (item for item in ids if item not in self._met)

    def _changes(self) -> Iterator[Change]:
        """Give what becomes of the items, a part at a time."""
        for chunk in chunked(self._items):
            with self._writer.look_up() as connection:
                listings = find_listings(connection, chunk)
            yield self._change(listings)

    def _change(self, listings: Iterable[Listing]) -> Change:
        change = Change()
        for item in listings:
            gone = is_gone(item.uri)
            if not gone and self._may_be_unread(item.uri):
                continue
            others = (item.corpora | item.captioned_by) - {self._corpus_id}
            if not others.difference(self._folders if gone else ()):
                change.removed.append(item.id)
            elif self._corpus_id in item.corpora and len(item.corpora) > 1:
                change.withdrawn.append((item.id, self._corpus_id))
        return change

    def _may_be_unread(self, uri: str) -> bool:
        """Whether an item may stand in a part of the corpus that could not be read this time.

        A folder and a tar name their items after the places in them. A row of a table that cannot be read may be
        of any image.
        """
        if not self._holds_its_items:
            return bool(self._met.unread)
        return any(place in self._met.unread for place in _places_around(uri))


def forget_settled(writer: Writer, identity: Identity, corpus_id: int, failures: Failures) -> None:
    """Forget the failures of a corpus that a whole run has not met again."""
    table = schema.failures
    with writer.look_up() as connection:
        before = connection.execute(select(table.c.uri).where(table.c.source_id == corpus_id))
        settled = [uri for uri in before.scalars() if uri not in failures]
    if settled:
        writer.commit(Change(settled=settled), identity)


def _folders(connection: Connection) -> set[int]:
    """Give the catalogue ids of the corpora that are folders."""
    sources = schema.sources
    return set(connection.execute(select(sources.c.id).where(sources.c.format == "folder")).scalars())


def _places_around(uri: str) -> Iterator[str]:
    """Give a uri, and those of the places that hold it: members, files and folders, from the inside out."""
    while uri:
        yield uri
        uri = uri[: max(uri.rfind("/"), uri.rfind("#"), 0)]
