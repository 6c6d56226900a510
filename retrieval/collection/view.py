"""One generation of a collection in one read transaction: what search, export, evaluation and pages read through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.caption_words import images_by_words, with_captions
from retrieval.collection.catalogue_items import (
    PAGE_ITEMS,
    ItemRow,
    LinkRow,
    PictureRow,
    read_items,
    read_links,
    read_pages,
    read_pictures,
    read_rows,
    read_videos,
)
from retrieval.collection.catalogue_lookups import (
    contents_of,
    count_items,
    ids_by_key,
    ids_by_uri,
    keyed_after,
    read_failures,
    read_hidden,
)
from retrieval.collection.filters.ordering import ordered
from retrieval.collection.fulltext import find_all, find_any, holds_all, of_kind
from retrieval.collection.image_texts import read_image_texts
from retrieval.collection.kept_duplicates import read_kept
from retrieval.collection.kind_vectors import KindVectors, read_kind_vectors
from retrieval.collection.known_corpora import KnownCorpus, read_corpora, read_noted_objects
from retrieval.collection.migrations import IMAGE_TEXTS_SINCE
from retrieval.collection.ranking import Ranked
from retrieval.collection.snapshot import Snapshot
from retrieval.collection.statement import ReadConnection
from retrieval.collection.stored import StoredVector, read_by_id, read_keyed, read_vectors
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores import KindStore
from retrieval.collection.totals import CollectionInfo, read_totals
from retrieval.collection.vector_search import VectorSearch
from retrieval.errors import CollectionDamaged, UsageError
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, After, Failure, HiddenItem, Hit, ImageText, Item, Kind, Request
from retrieval.uris import uri_of

if TYPE_CHECKING:
    from retrieval.collection.albums import Album
    from retrieval.collection.filters.allowed import Allowed, Searched
    from retrieval.collection.filters.listing import FieldFacts
    from retrieval.collection.listing import ListSort
    from retrieval.corpora import CorpusSpec, NotedObjects
    from retrieval.expressions import Expression

KEYS_A_PAGE = 1000


class View:
    """One generation of a collection; valid inside the ``with`` block of :meth:`Collection.reading`, for one thread.

    Attributes:
        path: the collection's folder, or its address on a server.
        generation: number of the committed state.
        identity: of the encoder whose vectors are searched; None while nothing has been indexed.
    """

    def __init__(self, path: CollectionPlace, connection: ReadConnection, snapshot: Snapshot) -> None:
        self.path, self._connection, self._snapshot = path, connection, snapshot
        self.generation: int = snapshot.generation
        self.identity: Identity | None = snapshot.identity

    @property
    def connection(self) -> ReadConnection:
        """The connection to the catalogue, in this view's transaction: for what reads tables whole."""
        return self._connection

    @property
    def encoder_id(self) -> int | None:
        """The id of the active encoder in the catalogue; None while nothing has been indexed."""
        return self._snapshot.encoder_id

    @property
    def schema(self) -> int:
        """The number of the catalogue's schema."""
        return self._snapshot.schema

    def holds(self, kind: Kind) -> bool:
        """Whether there is any item of a kind that is not hidden."""
        return self._snapshot.has_visible[kind]

    def search(self, vectors: NDArray[np.float32], find: Kind, request: Request) -> list[list[Hit]]:
        """Rank the items of a kind for each query: by score descending, then item id ascending.

        Exact: equal to scoring every live item with :func:`~retrieval.collection.score.exact_scores`, whatever the
        segments, threads, deletions and compactions on the way. Where ``vlsearch optimize`` has built an accelerator
        and ``request.exact`` is not set, some hits may be missed (``info`` says how many); scores and order of the
        others are the same. Fewer hits than asked for come back only where there are fewer that ``request.where``
        lets through.

        Args:
            vectors: (q, d) float32 unit rows by the collection's encoder.
            find: the kind of item wanted.
            request: which ranks, which items, and whether equal contents, and moments of one video, count once; its
                own ``find`` is not looked at.

        Raises:
            FilterError: ``request.where`` names a field that no item has, or compares one with what it never is.
        """
        found = self.ranked(vectors, find, request)
        items = self.items(one.item for ranked in found for one in ranked)
        by_id = {item.id: item for item in items}
        if len(by_id) < len({one.item for ranked in found for one in ranked}):
            raise WrongValue("the catalogue holds items without a content")
        seen = 0 if request.after is None else request.after.seen
        hits = (
            [
                Hit(rank, one.score, by_id[one.item], region=one.region, cosine=one.score)
                for rank, one in enumerate(ranked, request.offset + seen + 1)
            ]
            for ranked in found
        )
        return [ordered(of_query, request.sort) for of_query in hits]

    def ranked(self, vectors: NDArray[np.float32], find: Kind, request: Request) -> list[list[Ranked]]:
        """Rank as :meth:`search`, whatever ``request.sort`` says, and give item ids and scores alone."""
        with self._segment_errors_translated():
            allowed = None if request.where is None else self._allowed(find, request.where)
            return VectorSearch(self._connection, self._snapshot, find, request, allowed).rank(vectors)

    def sample(self, kind: Kind, where: Expression | None = None) -> tuple[NDArray[np.float32], int]:
        """Give some of the vectors of a kind that may be found, (m, d) float32, at even distances, and how many do.

        The same ones at every call in a generation.

        Args:
            kind: of the items.
            where: what they must meet.

        Raises:
            FilterError: as :meth:`where`.
        """
        store = self._store(kind) if where is None else self._allowed(kind, where).store
        with self._segment_errors_translated():
            return store.sample(self._snapshot.masked)

    def has_regions(self, kind: Kind) -> bool:
        """Whether searches for a kind compare regions too, unless :attr:`Request.regions` is not set."""
        return kind == "image" and self._snapshot.regions is not None

    def search_words(
        self, text: str, find: Kind, where: Expression | None = None, *, any_word: bool = False
    ) -> list[tuple[int, float]]:
        """Rank the items of a kind that hold words, and are not hidden, by BM25: item ids and scores, best first.

        An image holds the words of the texts that are linked to it, and counts as the best of them. Of equal scores,
        and beyond the 10,000 matches that are ranked, the lower id comes first.

        Args:
            text: words, of which an item must hold all; in double quotes, a phrase.
            find: the kind of item wanted.
            where: what an item must meet.
            any_word: one of the words suffices.

        Raises:
            FilterError: there is no word in ``text``, or ``where`` is at fault.
            CollectionError: the collection has no full text.
        """
        found = (find_any if any_word else find_all)(self._connection, text)
        return self._best_of(of_kind(self._connection, found, find), find, where)

    def search_captions(self, text: str, where: Expression | None = None) -> list[int]:
        """Rank the images with a caption that holds a word of a text by BM25, best first; hidden captions count not.

        Words that half of the texts, or thousands of items, hold are passed over. None is found where the collection
        has no full text.

        Args:
            text: words, any of which suffices.
            where: what an image must meet.

        Raises:
            FilterError: ``where`` is at fault.
        """
        if not self._snapshot.has_caption_words:
            return []
        scores = images_by_words(self._connection, text, self._snapshot.hidden["text"])
        return [image for image, _ in self._best_of(scores, "image", where)]

    def holds_all_words(self, ids: Iterable[int], words: str) -> bool:
        """Whether one of some items holds all words in its own text.

        Raises:
            FilterError: there is no word among them.
            CollectionError: the collection has no full text.
        """
        return holds_all(self._connection, ids, words)

    def with_captions(self, images: Iterable[int]) -> frozenset[int]:
        """Give those of some images that have a caption which is not hidden, by id."""
        return with_captions(self._connection, images, self._snapshot.hidden["text"])

    def _best_of(
        self, scores: Mapping[int, float], find: Kind, where: Expression | None
    ) -> list[tuple[int, float]]:
        """Order items that may be found by their scores, best first."""
        allowed = None if where is None else self._allowed(find, where)
        admitted = (
            [not self._snapshot.hides(item) for item in scores]
            if allowed is None
            else allowed.admits([*scores])
        )
        kept = [pair for pair, is_admitted in zip(scores.items(), admitted, strict=True) if is_admitted]
        return sorted(kept, key=lambda pair: (-pair[1], pair[0]))

    def contents_of(self, ids: Sequence[int]) -> dict[int, int]:
        """Read the content of each item, by item id."""
        return contents_of(self._connection, ids)

    def videos_of(self, ids: Iterable[int]) -> dict[int, str]:
        """Read the video that items are frames of, its uri by item id; other items are left out."""
        return read_videos(self._connection, ids)

    def items(self, ids: Iterable[int]) -> list[Item]:
        """Read items by id, ascending, with their texts; ids that are gone or hidden are left out."""
        live = {number for number in ids if not self._snapshot.hides(number)}
        return read_items(self._connection, live, self._snapshot.hidden["text"], self._snapshot.schema)

    def item(self, key: str) -> Item | None:
        """Read the item with a key; None if there is none, or it is hidden."""
        found = self.items(ids_by_key(self._connection, key))
        return found[0] if found else None

    def named(self, name: str) -> Item | None:
        """Read the item that a name means: a key, else a uri or the path of a file; None if there is none."""
        found = self.item(name)
        if found is None:
            try:
                uri = uri_of(name)
            except ValueError:  # no path has a NUL, nor half of a pair that stands for no byte
                return None
            found = next(iter(self.items(ids_by_uri(self._connection, uri))), None)
        return found

    def newest(
        self, kind: Kind, k: int, before: int | None = None, where: Expression | None = None
    ) -> list[Item]:
        """Read the k items of a kind that came last, the newest first.

        Args:
            kind: of item.
            k: >= 1; fewer come only at the end.
            before: the id of the last item of the page before.
            where: what an item must meet.

        Raises:
            FilterError: as :meth:`where`.
        """
        ids = self.where(kind, where)
        end = len(ids) if before is None else int(np.searchsorted(ids, before))
        return self.items(ids[max(0, end - k) : end].tolist())[::-1]

    def keys(self, after: int = 0) -> tuple[list[str], int | None]:
        """Read a page of keys of items that are not hidden, in the order of ids, and where the next one begins.

        Args:
            after: where the page before said that this one begins.

        Returns:
            The keys, and what to pass as ``after`` for more; None at the end.
        """
        rows = keyed_after(self._connection, after, KEYS_A_PAGE)
        keys = [row.key for row in rows if not self._snapshot.hides(row.number)]
        return keys, rows[-1].number if len(rows) == KEYS_A_PAGE else None

    def content_vectors(
        self, contents: Iterable[tuple[Kind, bytes]]
    ) -> dict[tuple[Kind, bytes], NDArray[np.float32]]:
        """Read stored vectors, (d,) float32, of contents by kind and sha256; what no item has is left out."""
        with self._segment_errors_translated():
            return read_vectors(self._connection, self._snapshot.encoder_id, self._store, contents)

    def keyed_vectors(self, keys: Sequence[str]) -> dict[str, StoredVector]:
        """Read kinds and stored vectors of items by key; unknown and hidden ones are left out."""
        with self._segment_errors_translated():
            found = read_keyed(self._connection, self._snapshot.encoder_id, self._store, keys)
            return {
                key: vector for key, (number, vector) in found.items() if not self._snapshot.hides(number)
            }

    def item_vectors(self, ids: Sequence[int]) -> dict[int, StoredVector]:
        """Read kinds and stored vectors of items by id; unknown and hidden ones are left out."""
        with self._segment_errors_translated():
            found = read_by_id(self._connection, self._snapshot.encoder_id, self._store, ids)
        return {number: vector for number, vector in found.items() if not self._snapshot.hides(number)}

    def pages(self, kind: Kind, size: int = PAGE_ITEMS) -> Iterator[list[ItemRow]]:
        """Read all items of a kind, hidden ones too, in the order of ids, so many at a time."""
        return read_pages(self._connection, self._snapshot.encoder_id, kind, size)

    def rows(self, ids: Iterable[int]) -> list[ItemRow]:
        """Read items by id as :meth:`pages` gives them, hidden ones too, ascending; ids of no item are left out."""
        return read_rows(self._connection, self._snapshot.encoder_id, ids)

    def pictures(self, ids: Iterable[int]) -> list[PictureRow]:
        """Read images by item id, ascending; texts, hidden items and ids of no item are left out."""
        rows = read_pictures(self._connection, ids)
        return [row for row in rows if not self._snapshot.hides(row.id)]

    def links(self, kind: Kind, ids: Iterable[int]) -> list[LinkRow]:
        """Read the links of items of a kind, hidden ones too, by image, and those of one image in their order."""
        return read_links(self._connection, kind, ids)

    def image_texts(self, ids: Iterable[int]) -> dict[int, tuple[ImageText, ...]]:
        """Read the stored texts of images that are not captions, by item id, hidden ones too; those that have some."""
        if self._snapshot.schema < IMAGE_TEXTS_SINCE:
            return {}
        contents = self.contents_of(list(ids))
        texts = read_image_texts(self._connection, set(contents.values()))
        return {item: texts[content] for item, content in contents.items() if content in texts}

    def vectors(self, kind: Kind, encodings: Sequence[int]) -> NDArray[np.float32]:
        """Read vectors, (n, d) float32, by the encoding ids of :class:`ItemRow`, in their order."""
        with self._segment_errors_translated():
            return self._store(kind).vectors(np.asarray(encodings, np.int64))

    def vectors_of_kind(self, kind: Kind, where: Expression | None = None) -> KindVectors:
        """Read the vectors of all items of a kind that meet a condition and are not hidden.

        Raises:
            FilterError: as :meth:`where`.
        """
        wanted = self.where(kind, where)
        with self._segment_errors_translated():
            encoder = self._snapshot.encoder_id
            return read_kind_vectors(self._connection, encoder, self._store(kind), kind, wanted)

    def count(self, kind: Kind) -> int:
        """Count the items of a kind that are not hidden."""
        return count_items(self._connection, kind) - len(self._snapshot.hidden[kind])

    def hidden(self) -> list[HiddenItem]:
        """Read what is hidden, by uri: items, and uris that no item has now."""
        return read_hidden(self._connection, self._snapshot.move)

    def hidden_ids(self, kind: Kind) -> list[int]:
        """Give the ids of the hidden items of a kind, ascending; :meth:`rows` reads them."""
        return [int(number) for number in self._snapshot.hidden[kind]]

    def failures(self, source: str | None = None) -> list[Failure]:
        """Read the items that failed to index, of all corpora or of one (by uri), in the order of first failure."""
        return read_failures(self._connection, source)

    def corpora(self) -> list[KnownCorpus]:
        """Read the corpora that the collection was made from, in the order in which they came."""
        return read_corpora(self._connection, self._snapshot.move)

    def noted_objects(self, spec: CorpusSpec) -> NotedObjects | None:
        """Read what the last whole run over a corpus noted of the objects that it was read from."""
        return read_noted_objects(self._connection, spec)

    def info(self) -> CollectionInfo:
        """Count what there is."""
        return read_totals(self._connection, self.path, self._snapshot)

    def kept_duplicates(self) -> list[frozenset[bytes]]:
        """Read which contents, by sha256, somebody decided to keep together although they are duplicates."""
        return read_kept(self._connection)

    def albums(self, name: str | None = None) -> list[Album]:
        """Read the albums, by name; or the one of a name, if there is one."""
        from retrieval.collection.albums import read_albums  # late: few readers look at albums

        return read_albums(self._connection, self._snapshot.move, name)

    def newest_ids(self, kind: Kind) -> After:
        """Give the place before the first hit of a search, with the newest item and vector of a kind that there are."""
        return After(np.inf, 0, 0, self._snapshot.last_item, self._store(kind).last)

    def hides(self, item: int) -> bool:
        """Whether the item with this id is hidden."""
        return self._snapshot.hides(item)

    def where(self, kind: Kind, where: Expression | None) -> NDArray[np.int64]:
        """Find the items of a kind that meet a condition and are not hidden; ids, ascending int64.

        Raises:
            FilterError: it names a field that no item has, or compares one with what it never is.
        """
        if where is None:
            return np.setdiff1d(self._items(kind), self._snapshot.hidden[kind], assume_unique=True)
        from retrieval.expressions import check_size

        check_size(where)
        return self._allowed(kind, where).items

    def listed(
        self, kind: Kind, where: Expression | None = None, sort: ListSort = "added"
    ) -> NDArray[np.int64]:
        """Find the items of a kind that meet a condition and are not hidden, in an order; ids, int64.

        Raises:
            FilterError: as :meth:`where`.
            UsageError: there is no such order.
        """
        from retrieval.collection.listing import in_order  # late: searches do without

        return in_order(self._connection, self._snapshot.schema, kind, self.where(kind, where), sort)

    def facets(
        self, kind: Kind, fields: Sequence[str], where: Expression | None = None, most: int = 20
    ) -> dict[str, dict[str, int]]:
        """Count the items of a kind that meet a condition by the values of fields, the most frequent first.

        Args:
            kind: of the items.
            fields: names; ``year`` is that of ``taken``. An item with a list counts for each of its elements.
            where: which items; None counts all.
            most: values of each field to give.

        Raises:
            FilterError: a field is one that no item has, or ``where`` is at fault.
        """
        from retrieval.collection.filters.facets import (
            count_values,  # late, as all of filters: few queries need them
        )

        return count_values(self._searched(kind), self.where(kind, where), fields, most)

    def usual_facets(self) -> list[str]:
        """Choose the fields that people narrow down by: year, folder, camera, keywords, rating, as far as known."""
        from retrieval.collection.filters.facets import usual_fields

        return usual_fields(one.name for one in self.fields())

    def attribute_names(self) -> list[str]:
        """List the names of the attributes that items have."""
        from retrieval.collection.filters.fields import names_of_attributes

        return names_of_attributes(self._connection, self._snapshot.schema)

    def fields(self) -> list[FieldFacts]:
        """Describe the fields that conditions can name: those of every item, and the attributes that there are."""
        from retrieval.collection.filters.listing import describe_fields

        return describe_fields(self._connection, self._snapshot.schema)

    def _searched(self, kind: Kind) -> Searched:
        from retrieval.collection.filters.allowed import Searched

        snapshot = self._snapshot
        return Searched(
            self._connection,
            snapshot.schema,
            kind,
            self._items(kind),
            snapshot.hidden[kind],
            snapshot.encoder_id,
            snapshot.stores[kind],
        )

    def _items(self, kind: Kind) -> NDArray[np.int64]:
        from retrieval.collection.filters.allowed import items_of_kind

        if kind not in KINDS:
            raise UsageError(f"the kind is {kind!r}; choose one of {', '.join(KINDS)}")
        return self._snapshot.allowed.items(kind, lambda: items_of_kind(self._connection, kind))

    def _allowed(self, kind: Kind, where: Expression) -> Allowed:
        from retrieval.collection.filters.allowed import find_allowed

        return self._snapshot.allowed.get(kind, where, lambda: find_allowed(self._searched(kind), where))

    def _store(self, kind: Kind) -> KindStore:
        return self._snapshot.stores[kind]

    @contextmanager
    def _segment_errors_translated(self) -> Iterator[None]:
        """Translate errors of damaged segments, raised while the block reads vectors."""
        try:
            yield
        except KeyError as error:
            raise WrongValue("the ids of a segment are not in order") from error
        except IndexError as error:
            raise CollectionDamaged(self.path, str(error)) from error
