"""Search: joins a collection and the encoder that built it. Queries in, hits out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeVar, Unpack

from retrieval.collection import Collection, CollectionInfo, View
from retrieval.collection.filters.ordering import ordered
from retrieval.errors import (
    CollectionEmpty,
    CollectionError,
    ImageError,
    NoSuchAlbum,
    QueryError,
)
from retrieval.places import CollectionPlace
from retrieval.query.answering import Asked, answer_in
from retrieval.query.cursor import Cursor, open_cursor
from retrieval.query.loaded_encoders import LoadedEncoders
from retrieval.query.location import collection_place
from retrieval.query.parts import ItemPart, Query, Queryable
from retrieval.query.requests import OF_SIMILAR, condition_of, query_of, read_as_asked, request_of
from retrieval.query.stored_items import stored_vectors
from retrieval.query.vectors import NotPrepared, QueryVectors, with_place_in_errors
from retrieval.types import Distinct, Hit, Hits, Item, Kind, Limits, OnProgress, Request, ignore_progress
from retrieval.types.request import SearchOptions, SimilarOptions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.analysis.clusters import Clusters
    from retrieval.analysis.collection_map import CollectionMap, CollectionMaps
    from retrieval.analysis.plane import MapMethod
    from retrieval.collection.albums import Album
    from retrieval.collection.listing import ListSort
    from retrieval.decoding.pool import DecodePool
    from retrieval.duplicates.find import Duplicates
    from retrieval.duplicates.groups import DuplicateClass
    from retrieval.encoders.base import Encoder
    from retrieval.expressions import Expression
    from retrieval.generators.base import Answer, Generator
    from retrieval.query.asking_hits import CollectionQuestion, PictureAnswer
    from retrieval.query.explain import ExplainedItem
    from retrieval.query.explanation import Explanation
    from retrieval.query.reranking import Reranked
    from retrieval.rerankers.base import Reranker

T = TypeVar("T")

DEFAULT_LIMITS = Limits()
DEFAULT_REQUEST = Request()
UNLIKE = 0.5
"""Weight of an item that hits shall be unlike, against one that they shall be like."""
ATTEMPTS = 6  # one to find out what to prepare, and re-encodings (vlsearch reindex) that overtake a search


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


class SearchEngine:
    """A collection and its encoder, which is loaded when a query first needs it; many threads may share it.

    Owns the collection: :meth:`close` closes it. Make one with :func:`retrieval.open`.
    """

    def __init__(
        self,
        collection: Collection,
        encoder: Encoder | str | Path | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.collection = collection
        self.limits = limits
        self._encoders = LoadedEncoders(collection.path, encoder)
        self._maps: CollectionMaps | None = None
        self._pool: DecodePool | None = None
        self._pool_lock = threading.Lock()

    @property
    def encoder(self) -> Encoder:
        """The collection's encoder, loaded now if it has not been.

        Raises:
            CollectionError: nothing has been indexed, so no encoder is bound.
            IdentityMismatch: the encoder given or found is not the one that the collection was built with.
        """
        identity = self.collection.identity
        if identity is None:
            raise CollectionEmpty(self.collection.path)
        return self._encoders.load(identity)

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
            unlike: likewise; each counts :data:`UNLIKE` against what is like it.
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
        wanted = [item if isinstance(item, int) else item.id for item in items]
        unwanted = [item if isinstance(item, int) else item.id for item in unlike]
        parts = [
            *(ItemPart(number) for number in wanted),
            *(ItemPart(number, -UNLIKE) for number in unwanted),
        ]
        asked = {*wanted, *unwanted}
        find = request.find
        if find is None and wanted:
            with self.collection.reading() as view:
                named = view.items(wanted[:1])
                find = named[0].kind if named else None
        # the items themselves are among the hits, so that many more may be needed
        end = request.offset + request.k
        whole = replace(request, k=end + len(asked), offset=0, find=find, sort="score")
        left = [hit for hit in self._search([Query(tuple(parts))], whole)[0] if hit.id not in asked]
        ranked = [replace(hit, rank=rank) for rank, hit in enumerate(left, start=1)]
        return ordered(ranked[request.offset : end], request.sort)

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

        Args:
            queries: any number; one beside a cursor.
            request: the parameters.
            cursor: as :meth:`search` takes it.

        Raises:
            CursorExpired: the pages of this search cannot be gone on with.
            QueryError, CollectionError, IdentityMismatch: as :meth:`search`.
        """
        if cursor is None:
            return self._search(queries, request) if queries else []
        if len(queries) != 1:
            raise QueryError("a cursor is of one query; ask that one alone")
        place = open_cursor(cursor, self.collection.path, queries[0], request)
        return self._search(queries, request, place)

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
        give the same order. docs/search.md says which score is used.

        Args:
            hits: of this collection, the best first, as :meth:`search` gives them.
            query: the words that they answer; what they exclude ("without") is for the model to understand.
            model: a reranker, or a name or folder to load one from.
            depth: hits to look at, 1 to 1,000.
            seconds: that the whole call may take, loading of the model included; when they are over, before or while
                a picture is looked at, the hits come back as they were, and ``exceeded`` is set.

        Raises:
            UsageError: the query is not one text that the model can read, a hit is a text, or a number is out of range.
            ModelError: the model is not on this machine, or cannot be used.
            MissingExtra: the extra ``models`` is not installed.
        """
        from retrieval.query.pictures import find_pictures  # late: few searches look twice
        from retrieval.query.reranking import Budget, prepare_hit, rerank_hits, words_of
        from retrieval.rerankers.base import check_depth
        from retrieval.rerankers.registry import load_reranker

        budget, words = Budget.of(seconds), words_of(Query.of(query))
        check_depth(depth)
        reranker = load_reranker(model) if isinstance(model, str | Path) else model
        reranker.check(words)
        with self.collection.reading() as view:
            pictures = find_pictures(view, [hit.id for hit in hits[:depth]])
        return rerank_hits(
            hits, words, reranker, depth, budget, prepare_hit(self._decode_pool(), pictures, reranker)
        )

    def albums(self) -> list[Album]:
        """Read the albums of the collection, which are searches under a name, by name."""
        with self.collection.reading() as view:
            return view.albums()

    def album(self, name: str) -> Album:
        """Read the album of a name.

        Raises:
            NoSuchAlbum: there is none.
        """
        with self.collection.reading() as view:
            found = view.albums(name)
        if not found:
            raise NoSuchAlbum(self.collection.path, name)
        return found[0]

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
        the album is shown.

        Args:
            name: of the album.
            query: as :meth:`search` takes it; a picture in memory, or on the web, cannot be kept.
            request: all else that is asked.
            literal: as :meth:`search` takes it.

        Raises:
            QueryError: the collection has no such item, or a file is not there.
            UsageError: the name is none, a picture cannot be kept, or there are more than 32 parts.
        """
        from retrieval.query.albums import album_of  # late: few searches are kept

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

        Args:
            hit: an item or hit of this collection, or its id.
            query: that it was found with.
            literal: as :meth:`search` takes it.

        Raises:
            QueryError: the collection has no such item, or as :meth:`search`.
            CollectionError: the collection is empty.
            IdentityMismatch: the encoder is not the one that the collection was built with.
        """
        from retrieval.query.explain import explanation_of, read_item  # late: few searches are explained
        from retrieval.query.leave_one_out import leave_one_out

        number = hit if isinstance(hit, int) else hit.id
        left_out = leave_one_out(read_as_asked(Query.of(query), literal, None)[0], self.encoder)
        vectors = QueryVectors(left_out.queries, self.collection, self._encoders, self._decode_pool)

        def read(view: View) -> tuple[NDArray[np.float32], ExplainedItem]:
            named = [*left_out.queries, Query((ItemPart(number),))]
            stored = stored_vectors(view, named)
            return vectors.compose(view, stored), read_item(view, number, stored[number])

        rows, item = self._reading(vectors, read)
        row, score, parts = left_out.shares(rows, item.vector, item.mean)
        return explanation_of(number, row, score, parts, item.picture, self.encoder, self._decode_pool())

    def overlay(self, explanation: Explanation, file_format: Literal["PNG", "JPEG"] = "PNG") -> bytes:
        """Draw where in its picture the score of an explanation comes from, as the bytes of a file.

        Raises:
            ImageError: the explanation says nothing of a picture, or the picture cannot be read any more.
        """
        from retrieval.decoding.preparations import Fit  # late: few searches are drawn
        from retrieval.query.explain import find_picture
        from retrieval.query.overlay import SIDE, draw_overlay
        from retrieval.query.pictures import prepare_indexed

        with self.collection.reading() as view:
            picture = find_picture(view, explanation.id)
        if picture is None or explanation.picture is None:
            raise ImageError(
                explanation.reason or f"item {explanation.id} is not a picture of the collection"
            )
        array = prepare_indexed(self._decode_pool(), picture, Fit(SIDE)).array
        assert array is not None, "every picture is wanted"
        return draw_overlay(array, explanation.picture, file_format)

    def ask(
        self,
        image: str | Path,
        question: str,
        choices: Sequence[str] | None = None,
        model: Generator | str | Path | None = None,
    ) -> Answer:
        """Answer a question about the picture in a file; see :func:`retrieval.query.asking.ask`."""
        from retrieval.query.asking import ask  # late: few searches ask

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

        Args:
            items: of this collection.
            question: see :func:`retrieval.ask`.
            choices: likewise.
            model: likewise.

        Raises:
            UsageError, ModelError, MissingExtra: as :func:`retrieval.ask`.
        """
        from retrieval.query.asking import find_answerer  # late: few searches ask
        from retrieval.query.asking_hits import ask_pictures, items_of

        generator = find_answerer(model)
        return ask_pictures(
            self.collection, self._decode_pool(), items_of(items), question, choices, generator
        )

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

        Args:
            question: "which of my pictures show a dog?", which says what to look for; or, beside a query, any question.
            query: words to look for.
            k: hits to ask about.
            choices: 2 to 100 answers to choose from, beside a query.
            model: see :func:`retrieval.ask`.

        Returns:
            How the question was read, and the answers in the order of the hits.

        Raises:
            UsageError, ModelError, MissingExtra: as :func:`retrieval.ask`; or nothing is named to look for.
            QueryError, CollectionError: as :meth:`search`.
        """
        from retrieval.query.asking import find_answerer
        from retrieval.query.asking_hits import ask_pictures, check_question, items_of, take_apart

        generator = find_answerer(model)
        asked = take_apart(question, query, choices, generator is None)
        check_question(asked.question, asked.choices, generator)
        hits = self.search(asked.query, k, "image")
        answers = ask_pictures(
            self.collection, self._decode_pool(), items_of(hits), asked.question, asked.choices, generator
        )
        return asked, answers

    def facets(
        self,
        fields: Sequence[str] = ("year", "folder", "camera"),
        where: str | Expression | None = None,
        kind: Kind = "image",
        most: int = 20,
    ) -> dict[str, dict[str, int]]:
        """Count the items of a kind, or those that meet a condition, by the values of fields.

        Args:
            fields: fields of items or attributes; ``year`` and ``month`` (``2021-05``) are those of the attribute
                ``taken``.
            where: as :meth:`search` takes it.
            kind: of the items.
            most: values of each field to give, the most frequent first.

        Raises:
            FilterError: no item has one of the fields, or ``where`` is at fault.
        """
        with self.collection.reading() as view:
            return view.facets(kind, fields, condition_of(where), most)

    def duplicates(
        self,
        *,
        classes: Sequence[DuplicateClass] = ("bytes", "picture", "moment"),
        within_s: float = 10.0,
        with_kept: bool = False,
        on_progress: OnProgress = ignore_progress,
    ) -> Duplicates:
        """Find copies among the pictures that are not hidden, in groups, the best copy of each first.

        No encoder is needed. The files are looked at where they were not before, and nothing is changed.

        Args:
            classes: which to look for: files of the same ``bytes``; the same ``picture`` (resized, recompressed,
                cropped by up to 10 %, with a border, mirrored or turned); other pictures of the same ``moment``.
            within_s: seconds between two pictures of one moment, at most; needs the attribute ``taken``.
            with_kept: also give groups that ``indexer.keep`` has settled.
            on_progress: called as pictures are looked at.

        Raises:
            UsageError: ``within_s`` is negative.
        """
        from retrieval.duplicates.find import find_duplicates  # late: no search needs it

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

        The same items and vectors give the same map, on one machine with the same packages. Made once for a
        generation; a map of 1,000 and more contents is kept in the user's cache folder, and found there as long as
        the vectors are the same. The first call takes seconds for thousands of pictures and minutes for 100,000
        (docs/python.md); a second thread that asks meanwhile waits for it.

        Args:
            kind: of the items.
            where: which of them, as :meth:`search` takes it.
            method: ``tsne`` (extra ``map``) or ``pca``; by default t-SNE where the extra is installed, else PCA. Fewer
                than 12 different contents are always laid out by PCA.

        Returns:
            Item ids, (n,) int64 ascending, with coordinates, (n, 2) float32 in [0, 1]; n is 0 where no item meets
            ``where``.

        Raises:
            CollectionEmpty: nothing has been indexed.
            FilterError: ``where`` cannot be read, or names a field that no item has.
            MissingExtra: ``method`` is ``tsne``, and the extra is not installed.
        """
        from retrieval.analysis.collection_map import CollectionMaps  # late: no search needs it

        with self._pool_lock:
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

        Stored vectors are compared, by spherical k-means with a fixed seed: the same pictures give the same groups, on
        one machine with the same packages. The encoder is loaded for the names.

        Args:
            count: of groups, 1 to 1,000; by default chosen by the simplified silhouette, up to 50.
            where: which pictures, as :meth:`search` takes it; by default all that are not hidden.
            vocabulary: names for the groups, as ``indexer.tag`` takes them; by default bundled ones.

        Raises:
            CollectionEmpty: nothing has been indexed.
            FilterError: ``where`` cannot be read, or names a field that no item has.
            UsageError: ``count`` is out of range, or the vocabulary is not one.
        """
        from retrieval.analysis.clusters import check_count, find_clusters  # late: no search needs it
        from retrieval.analysis.vocabulary import find_vocabulary

        check_count(count)
        names, condition = find_vocabulary(vocabulary), condition_of(where)
        encoder = self.encoder
        with self.collection.reading() as view:
            found, generation = view.vectors_of_kind("image", condition), view.generation
        return find_clusters(found, count, names, encoder, generation)

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
        self._encoders.forget()
        if self._pool is not None:
            self._pool.close()
        self.collection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _search(self, queries: Sequence[Query], request: Request, cursor: Cursor | None = None) -> list[Hits]:
        vectors = QueryVectors(queries, self.collection, self._encoders, self._decode_pool)
        asked = Asked(queries, vectors, request, cursor)

        def answer(asked: Asked) -> list[Hits]:
            return self._reading(vectors, lambda view: answer_in(view, asked, self._encoders.check_given))

        if request.distinct == "picture":
            from retrieval.query.distinct_pictures import (
                look_as_needed,  # late: few searches look at pictures
            )

            answers = look_as_needed(lambda looked: answer(replace(asked, looked=looked)), self._decode_pool)
        else:
            answers = answer(asked)
        vectors.keep()
        return answers

    def _reading(self, vectors: QueryVectors, use: Callable[[View], T]) -> T:
        """Use one generation, and again after vectors that it turned out to take have been made."""
        for _ in range(ATTEMPTS):
            try:
                with self.collection.reading() as view:
                    return use(view)
            except NotPrepared as missing:  # or a reindex has changed the encoder since
                vectors.prepare(missing.identity)
        raise CollectionError(f"collection {self.collection.path} keeps being re-encoded; try again later")

    def _decode_pool(self) -> DecodePool:
        """Give the worker process that decodes queries' images; made when the first comes."""
        from retrieval.decoding.pool import DecodePool  # late: queries of words do without

        with self._pool_lock:
            if self._pool is None:
                self._pool = DecodePool(self.limits, workers=1)
            return self._pool
