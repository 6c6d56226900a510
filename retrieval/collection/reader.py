"""A collection as readers see it: open anywhere, from many threads, while a writer commits.

One query is one read transaction: it reads the generation, brings the snapshot up to date if that moved, searches,
resolves hits, and ends. Nothing holds a transaction between queries: the write-ahead log would grow without bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from retrieval.closing import Closing
from retrieval.collection.catalogue_items import PAGE_ITEMS
from retrieval.collection.folder_source import FolderSource
from retrieval.collection.known_corpora import KnownCorpus
from retrieval.collection.source import Source
from retrieval.collection.totals import CollectionInfo
from retrieval.collection.view import View
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import place_of, require_folder
from retrieval.types import Failure, HiddenItem, Hit, Item, Kind, Request

if TYPE_CHECKING:
    from retrieval.collection.filters.listing import FieldFacts
    from retrieval.collection.listing import ListSort
    from retrieval.expressions import Expression


class Collection(Closing):
    """A collection opened for reading; safe to share between threads. Make one with :meth:`open`."""

    def __init__(self, source: Source) -> None:
        self.path = source.path
        self._source = source

    @classmethod
    def open(cls, path: str | CollectionPlace) -> Self:
        """Open a collection. Reads no per-row data, so ten million items open at once.

        Args:
            path: its folder, or its address on a server.

        Raises:
            UsageError: the address cannot be read.
            MissingExtra: the collection is on a server, and a package that this needs is not installed.
            CollectionNotFound: there is none at ``path``.
            CollectionTooNew: a newer vlsearch wrote it.
            CollectionDamaged: SQLite cannot read the catalogue, or a segment's file is missing or cut short.
        """
        place = place_of(path) if isinstance(path, str) else path
        collection = cls(_source_of(place))
        try:
            with collection._source.transaction():
                pass
        except BaseException:
            collection.close()
            raise
        return collection

    @contextmanager
    def reading(self) -> Iterator[View]:
        """Begin a read transaction and give the generation that it sees, as long as the block runs.

        Keep the block short: while it runs, the write-ahead log cannot be folded into the catalogue.

        Raises:
            CollectionDamaged: what is read is not what a writer writes.
            CollectionTooNew: a newer vlsearch has written to it since it was opened.
        """
        with self._source.transaction() as (connection, snapshot):
            yield View(self.path, connection, snapshot)

    @property
    def identity(self) -> Identity | None:
        """The identity of the encoder whose vectors are searched; None while nothing has been indexed."""
        with self.reading() as view:
            return view.identity

    @property
    def generation(self) -> int:
        """The number of the committed state that a query would see now."""
        with self.reading() as view:
            return view.generation

    def search(
        self, vectors: NDArray[np.float32], find: Kind, k: int, distinct: bool = False, exact: bool = False
    ) -> list[list[Hit]]:
        """Rank the k best items of a kind for each query; see :meth:`View.search`."""
        with self.reading() as view:
            return view.search(vectors, find, Request(k, distinct=distinct, exact=exact))

    def has(self, kind: Kind) -> bool:
        """Whether there is any item of a kind that is not hidden."""
        with self.reading() as view:
            return view.holds(kind)

    def count(self, kind: Kind) -> int:
        """Count the items of a kind that are not hidden."""
        with self.reading() as view:
            return view.count(kind)

    def items(self, ids: Sequence[int]) -> list[Item]:
        """Read items by id, ascending; ids that are gone or hidden are left out."""
        with self.reading() as view:
            return view.items(ids)

    def newest(
        self,
        kind: Kind,
        k: int = 50,
        before: int | None = None,
        where: Expression | None = None,
    ) -> list[Item]:
        """Read the k items of a kind that came last and meet a condition; see :meth:`View.newest`."""
        with self.reading() as view:
            return view.newest(kind, k, before, where)

    def listed(
        self,
        kind: Kind,
        where: Expression | None = None,
        sort: ListSort = "added",
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Read the items of a kind that meet a condition, lazily, a page at a time.

        Which items they are is found in one generation, and takes 8 bytes an item; what has gone by the time that its
        page is read is left out.

        Args:
            kind: of the items.
            where: what an item must meet.
            sort: ``added``: as they came; ``taken``: the newest first; ``name``: by the names of their files.
            offset: items to pass over, >= 0.
            limit: how many to read at most, >= 0; by default all.

        Raises:
            FilterError: as :meth:`View.where`.
            UsageError: there is no such order, or ``offset`` or ``limit`` is below 0.
        """
        if offset < 0 or (limit is not None and limit < 0):
            raise UsageError("offset and limit are numbers of items; give 0 or more")
        with self.reading() as view:
            ids = view.listed(kind, where, sort)[offset : None if limit is None else offset + limit]
        return self._in_pages(ids)

    def _in_pages(self, ids: NDArray[np.int64]) -> Iterator[Item]:
        for start in range(0, len(ids), PAGE_ITEMS):
            page = ids[start : start + PAGE_ITEMS].tolist()
            by_id = {item.id: item for item in self.items(page)}
            yield from (by_id[number] for number in page if number in by_id)

    def get(self, key: str) -> Item | None:
        """Read the item with a key; None if there is none, or it is hidden."""
        with self.reading() as view:
            return view.item(key)

    def keys(self) -> Iterator[str]:
        """Read the keys of items that have one and are not hidden, in the order in which the items came.

        Read a page at a time, each in one generation, so that a commit may come between two of them.
        """
        after: int | None = 0
        while after is not None:
            with self.reading() as view:
                keys, after = view.keys(after)
            yield from keys

    def hidden(self) -> Iterator[HiddenItem]:
        """Read what is hidden, by uri: items, and uris that no item has now."""
        with self.reading() as view:
            return iter(view.hidden())

    def failures(self, source: str | None = None) -> Iterator[Failure]:
        """Read the items that failed to index, of all corpora or of one (by uri), in the order of first failure."""
        with self.reading() as view:
            return iter(view.failures(source))

    def fields(self) -> list[FieldFacts]:
        """Describe the fields that conditions can name."""
        with self.reading() as view:
            return view.fields()

    def corpora(self) -> list[KnownCorpus]:
        """Read the corpora that the collection was made from, in the order in which they came."""
        with self.reading() as view:
            return view.corpora()

    def info(self) -> CollectionInfo:
        """Count what one generation holds."""
        with self.reading() as view:
            return view.info()

    def close(self) -> None:
        """Close the catalogue; mapped files go when the last thread lets go of them."""
        self._source.close()


def _source_of(place: CollectionPlace) -> Source:
    if isinstance(place, ServerAddress):
        from retrieval.extras import require  # late, as what follows: for collections on servers alone

        require("postgres", "a collection on a PostgreSQL server")
        from retrieval.collection.postgres.server_source import ServerSource

        return ServerSource(place)
    return FolderSource(require_folder(place))
