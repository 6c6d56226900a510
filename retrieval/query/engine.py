"""Search: joins a collection and the encoder that built it. Queries in, hits out."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from retrieval.closing import Closing
from retrieval.collection import Collection, CollectionInfo
from retrieval.places import CollectionPlace
from retrieval.query.location import collection_place
from retrieval.query.parts import Query, Queryable, id_of
from retrieval.query.requests import OF_SIMILAR, condition_of, query_of, read_as_asked, request_of
from retrieval.query.resources import QueryResources
from retrieval.query.searching import search, search_like
from retrieval.query.vectors import with_place_in_errors
from retrieval.types import Distinct, Hit, Hits, Item, Kind, Limits, OnProgress, Request, ignore_progress
from retrieval.types.request import SearchOptions, SimilarOptions

if TYPE_CHECKING:
    from retrieval.analysis.clusters import Clusters
    from retrieval.analysis.collection_map import CollectionMap, CollectionMaps
    from retrieval.analysis.plane import MapMethod
    from retrieval.collection.albums import Album
    from retrieval.collection.listing import ListSort
    from retrieval.duplicates.find import Duplicates
    from retrieval.duplicates.groups import DuplicateClass
    from retrieval.encoders.base import Encoder
    from retrieval.expressions import Expression
    from retrieval.generators.base import Answer, Generator
    from retrieval.query.asking_hits import CollectionQuestion, PictureAnswer
    from retrieval.query.explanation import Explanation
    from retrieval.query.reranking import Reranked
    from retrieval.rerankers.base import Reranker

# What few callers need is imported where it is called: a query of words in a new process must stay light.

DEFAULT_LIMITS = Limits()
DEFAULT_REQUEST = Request()


def open_engine(
    path: str | CollectionPlace | None = None,
    *,
    encoder: Encoder | str | Path | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SearchEngine:
    """Open a collection to be searched; close it, or use it in a ``with`` statement.

    Args:
        path: the collection's folder, or its address on a PostgreSQL server; by default ``$VLSEARCH_COLLECTION``,
            else the folder that ``vlsearch index`` fills by default.
        encoder: an encoder, or a name or folder to load one from; by default the one that the collection
            names. It must be the one that the collection was built with.
        limits: what is accepted of a query's images.

    Raises:
        CollectionNotFound: there is none.
        CollectionTooNew: a newer vlsearch wrote it.
        CollectionDamaged: its catalogue or a segment cannot be read.
    """
    return SearchEngine(Collection.open(collection_place(path)), encoder, limits)


class SearchEngine(Closing):
    """A collection and its encoder, which is loaded when a query first needs it; many threads may share it.

    Owns the collection: :meth:`close` closes it. Make one with :func:`retrieval.open`.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder | str | Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self._resources = QueryResources(collection, encoder, limits)
        self._maps: CollectionMaps | None = None
        self._lock = threading.Lock()

    @property
    def collection(self) -> Collection:
        """The collection that is searched."""
        return self._resources.collection

    @property
    def limits(self) -> Limits:
        """What is accepted of a query's images."""
        return self._resources.limits

    @property
    def encoder(self) -> Encoder:
        """The collection's encoder, loaded now if it has not been.

        Raises:
            CollectionError: nothing has been indexed, so no encoder is bound.
            IdentityMismatch: the encoder given or found is not the one that the collection was built with.
        """
        return self._resources.encoder

    def search(
        self,
        query: Query | Queryable | Sequence[Queryable] | None = None,
        k: int = 10,
        find: Kind | None = None,
        distinct: Distinct = False,
        *,
        key: str | None = None,
        literal: bool = False,
        cursor: str | None = None,
        **options: Unpack[SearchOptions],
    ) -> Hits:
        """Find the k items that answer a query best: by score descending, equal scores by item id.

        For a text or image that the collection holds, the stored vector is used; a query of only such parts and
        keys loads no encoder. That vector may differ from a freshly encoded one in its last bits.

        Args:
            query: a ``str`` is always a text; a ``Path``, bytes or PIL image is an image; several parts,
                plain or weighted, are summed.
            key: in place of a query: what is like the item with this key, that item included.
            k: >= 1; fewer hits come back only where the collection holds fewer.
            find: the kind of item wanted. By default words find images, images find texts, and a query
                of both finds images; a kind that the collection has none of gives way to the other.
            distinct: give equal contents once, as the item with the lowest id, and each video once, at its best moment;
                ``"picture"``: also each picture once, where others show the same in other files, resized or edited
                (:mod:`retrieval.query.distinct_pictures` says when files are looked at for it).
            literal: take each text as it is, and do not read "a dog without a ball" as a dog, less a ball (see
                :func:`retrieval.read_query`).
            cursor: give the hits behind the page whose ``cursor`` this was, without gap or repeat while the
                collection is written to (:mod:`retrieval.query.cursor` says what that means); in place of an offset.
            options: ``offset``, ``exact``, ``where``, ``sort``, ``min_score``, ``mode``, ``only`` and ``regions``, as
                :class:`retrieval.Request` explains them; ``where`` may also be a text, as ``vlsearch query --where``
                takes it.

        Returns:
            The hits; ``probability`` and ``verdict`` of the list say how likely the best of them is right, where that
            is known, and ``cursor`` where the next page begins (see :class:`retrieval.Hits`).

        Raises:
            FilterError: ``where`` cannot be read, or names a field that no item has.
            QueryError: the query is empty, one of its images cannot be read, its parts cancel each other
                out, or the collection holds nothing of the kind that ``find`` names.
            UsageError: k is below 1, offset below 0, both or neither of ``query`` and ``key`` are given, or ``only``
                is, and the probability of such hits is not known.
            CollectionError: the collection is empty.
            IdentityMismatch: the encoder is not the one that the collection was built with.
        """
        asked, request = query_of(query, key), request_of(k, find, distinct, options)
        asked, _ = read_as_asked(asked, literal, request.mode)
        return self.answer([asked], request, cursor)[0]

    def similar(
        self,
        *items: Item | Hit | int,
        unlike: Sequence[Item | Hit | int] = (),
        k: int = 10,
        find: Kind | None = None,
        distinct: Distinct = False,
        **options: Unpack[SimilarOptions],
    ) -> list[Hit]:
        """Find what is most like some items, and less like others; those items themselves are left out.

        Stored vectors are used and no encoder is loaded. Ranks count what is left.

        Args:
            items: items or hits of this collection, or their ids; at least one.
            unlike: likewise; each counts half as much against what is like it.
            k: >= 1.
            find: the kind of item wanted; by default that of the first item.
            distinct: give equal contents, and each video, once; ``"picture"``: as :meth:`search` takes it. The items
                themselves count, so that copies of them are left out with them.
            options: ``offset``, ``exact``, ``where``, ``sort`` and ``min_score``, as for :meth:`search`.

        Raises:
            FilterError: ``where`` cannot be read, or names a field that no item has.
            QueryError: the collection has no such item, or what is liked and what is not cancel each other out.
            UsageError: k is below 1, or offset below 0.
            CollectionError: the collection is empty.
        """
        return self.answer_similar(items, unlike, request_of(k, find, distinct, options, OF_SIMILAR))

    def answer_similar(
        self,
        items: Sequence[Item | Hit | int],
        unlike: Sequence[Item | Hit | int],
        request: Request,
    ) -> list[Hit]:
        """Find what is most like items and less like others, with the parameters of a search in one value.

        Raises:
            QueryError, UsageError, CollectionError: as :meth:`similar`.
        """
        liked, avoided = (list(map(id_of, given)) for given in (items, unlike))
        return search_like(self._resources, liked, avoided, request)

    def search_batch(
        self,
        queries: Sequence[Query | Queryable | Sequence[Queryable]],
        k: int = 10,
        find: Kind | None = None,
        distinct: Distinct = False,
        *,
        literal: bool = False,
        **options: Unpack[SearchOptions],
    ) -> list[Hits]:
        """Find the hits of each query, with the same bits as :meth:`search`, in one pass over the collection.

        Each direction (queries that find images, queries that find texts) is answered in one generation.

        Raises:
            QueryError: as :meth:`search`; the sentence begins with the query's place, else ``query N``,
                counted from 1.
        """
        request, parsed = request_of(k, find, distinct, options), []
        for number, query in enumerate(queries, start=1):
            with with_place_in_errors(f"query {number}"):
                parsed.append(read_as_asked(Query.of(query), literal, request.mode)[0])
        return self.answer(parsed, request)

    def answer(self, queries: Sequence[Query], request: Request, cursor: str | None = None) -> list[Hits]:
        """Find the hits of each query, taken literally, with the parameters of a search in one value.

        Raises:
            CursorExpired: the pages of this search cannot be gone on with.
            QueryError, CollectionError, IdentityMismatch: as :meth:`search`; or a cursor stands beside several queries.
        """
        return search(self._resources, queries, request, cursor)

    def rerank(
        self,
        hits: Sequence[Hit],
        query: str | Query,
        *,
        model: Reranker | str | Path,
        depth: int = 32,
        seconds: float | None = None,
    ) -> Reranked:
        """Take a second, slower look at the first hits of a search for pictures, and sort them anew.

        Pictures are read as they were indexed; one that cannot be read keeps its place. The same hits, words and model
        give the same order. What the query excludes ("without") is for the model to understand; when ``seconds`` are
        over, the hits come back as they were, and ``exceeded`` is set. docs/search.md says which score is used, and
        :func:`retrieval.query.reranking.rerank` what each argument is.
        """
        from retrieval.query.reranking import rerank

        return rerank(self._resources, hits, Query.of(query), model, depth, seconds)

    def albums(self) -> list[Album]:
        """Read the albums of the collection, which are searches under a name, by name."""
        with self.collection.reading() as view:
            return view.albums()

    def album(self, name: str) -> Album:
        """Read the album of a name.

        Raises:
            NoSuchAlbum: there is none.
        """
        from retrieval.query.albums import find_album

        with self.collection.reading() as view:
            return find_album(view, name)

    def make_album(
        self,
        name: str,
        query: Query | Queryable | Sequence[Queryable],
        request: Request = DEFAULT_REQUEST,
        *,
        literal: bool = False,
    ) -> Album:
        """Make an album of a search, for ``indexer.save_album`` to keep.

        Pictures that the collection has are kept as its items, others as their files, which are read again whenever
        the album is shown; see :func:`retrieval.query.albums.album_of`.
        """
        from retrieval.query.albums import album_of

        with self.collection.reading() as view:
            return album_of(view, name, Query.of(query), request, literal)

    def search_album(self, album: Album | str) -> Hits:
        """Ask what an album, or the one of a name, asks, of the collection as it is now.

        Raises:
            NoSuchAlbum: there is none of that name.
            QueryError: the collection no longer has an item that it asks with; or as :meth:`search`.
        """
        from retrieval.query.albums import query_of

        asked = self.album(album) if isinstance(album, str) else album
        with self.collection.reading() as view:
            query = query_of(view, asked)
        read, _ = read_as_asked(query, asked.literal, asked.request.mode)
        return self.answer([read], asked.request)[0]

    def explain(
        self,
        hit: Item | Hit | int,
        query: Query | Queryable | Sequence[Queryable],
        *,
        literal: bool = False,
    ) -> Explanation:
        """Tell why an item has its score with a query: what each part and word adds, and where in the picture.

        The encoder is loaded and the picture is read, if its file is still the one that was indexed. No score changes.

        Raises:
            QueryError, CollectionError, IdentityMismatch: as :meth:`search`; or the collection has no such item.
        """
        from retrieval.query.explain import explain

        asked, _ = read_as_asked(Query.of(query), literal, None)
        return explain(self._resources, id_of(hit), asked)

    def overlay(self, explanation: Explanation, file_format: Literal["PNG", "JPEG"] = "PNG") -> bytes:
        """Draw where in its picture the score of an explanation comes from, as the bytes of a file.

        Raises:
            ImageError: the explanation says nothing of a picture, or the picture cannot be read any more.
        """
        from retrieval.query.explain import draw

        return draw(self._resources, explanation, file_format)

    def ask(
        self,
        image: str | Path,
        question: str,
        choices: Sequence[str] | None = None,
        model: Generator | str | Path | None = None,
    ) -> Answer:
        """Answer a question about the picture in a file; see :func:`retrieval.query.asking.ask`."""
        from retrieval.query.asking import ask

        return ask(image, question, choices, model=model, limits=self.limits)

    def ask_about(
        self,
        items: Sequence[Item | Hit],
        question: str,
        choices: Sequence[str] | None = None,
        model: Generator | str | Path | None = None,
    ) -> list[PictureAnswer]:
        """Answer a question about the picture of each item or hit; of one that cannot be read, the reason.

        ``mini`` answers by the stored vectors, where the collection was built with it; other models read the pictures.
        See :func:`retrieval.query.asking_hits.ask_about`.
        """
        from retrieval.query.asking_hits import ask_about

        return ask_about(self._resources, items, question, choices, model)

    def ask_collection(
        self,
        question: str,
        query: str | None = None,
        *,
        k: int = 20,
        choices: Sequence[str] | None = None,
        model: Generator | str | Path | None = None,
    ) -> tuple[CollectionQuestion, list[PictureAnswer]]:
        """Search for what a question is about, and ask the question of each of the hits.

        Gives how the question was read, and the answers in the order of the hits; see
        :func:`retrieval.query.asking_hits.ask_collection`.
        """
        from retrieval.query.asking_hits import ask_collection

        return ask_collection(self._resources, question, query, k, choices, model)

    def facets(
        self,
        fields: Sequence[str] | None = None,
        where: str | Expression | None = None,
        kind: Kind = "image",
        most: int = 20,
    ) -> dict[str, dict[str, int]]:
        """Count the items of a kind, or those that meet a condition, by the values of fields.

        ``year`` and ``month`` (``2021-05``) are those of the attribute ``taken``; by default, fields are those of year,
        folder, camera, keywords and rating that the collection has. See :meth:`retrieval.View.facets`.
        """
        with self.collection.reading() as view:
            counted = view.usual_facets() if fields is None else fields
            return view.facets(kind, counted, condition_of(where), most)

    def duplicates(
        self,
        *,
        classes: Sequence[DuplicateClass] = ("bytes", "picture", "moment"),
        within_s: float = 10.0,
        with_kept: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> Duplicates:
        """Find copies among the pictures that are not hidden, in groups, the best copy of each first.

        No encoder is needed. The files are looked at where they were not before, and nothing is changed; see
        :func:`retrieval.duplicates.find.find_duplicates`.
        """
        from retrieval.duplicates.find import find_duplicates

        return find_duplicates(
            self.collection,
            classes=classes,
            within_s=within_s,
            with_kept=with_kept,
            limits=self.limits,
            on_progress=on_progress,
        )

    def map(
        self,
        kind: Kind = "image",
        *,
        where: str | Expression | None = None,
        method: MapMethod | None = None,
    ) -> CollectionMap:
        """Lay the items of a kind out in a plane, so that what is alike lies together; nothing is encoded.

        See :meth:`retrieval.analysis.collection_map.CollectionMaps.get`; ``where`` is as :meth:`search` takes it.
        """
        from retrieval.analysis.collection_map import CollectionMaps

        with self._lock:
            self._maps = self._maps or CollectionMaps(self.collection)
        return self._maps.get(kind, condition_of(where), method)

    def cluster(
        self,
        count: int | None = None,
        *,
        where: str | Expression | None = None,
        vocabulary: str | Path | Sequence[str] | None = None,
    ) -> Clusters:
        """Put the pictures into groups by what they show, and name these; nothing is changed.

        See :func:`retrieval.analysis.clusters.cluster_pictures`; ``where`` is as :meth:`search` takes it.
        """
        from retrieval.analysis.clusters import cluster_pictures

        return cluster_pictures(self.collection, lambda: self.encoder, count, condition_of(where), vocabulary)

    def get(self, key: str) -> Item | None:
        """Read the item with a key; None if there is none, or it is hidden."""
        return self.collection.get(key)

    def named(self, name: str) -> Item | None:
        """Read the item that a name means: its key, else its uri or the path of its file; None if there is none."""
        with self.collection.reading() as view:
            return view.named(name)

    def items(
        self,
        kind: Kind = "image",
        *,
        where: str | Expression | None = None,
        sort: ListSort = "added",
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Read the items of a kind that meet a condition, lazily; see :meth:`retrieval.Collection.listed`.

        Raises:
            FilterError: ``where`` cannot be read, or names a field that no item has.
            UsageError: as there.
        """
        return self.collection.listed(kind, condition_of(where), sort, offset, limit)

    def keys(self) -> Iterator[str]:
        """Read the keys of items that have one and are not hidden, in the order in which the items came, lazily."""
        return self.collection.keys()

    def info(self) -> CollectionInfo:
        """Count what one generation of the collection holds."""
        return self.collection.info()

    def close(self) -> None:
        """Close the collection and let go of the encoder."""
        self._resources.close()
