"""A collection that a server answers for: the methods of an engine, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from functools import partial
from operator import index, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack
from urllib.parse import quote

from retrieval.client.connection import Connection
from retrieval.client.faults import told
from retrieval.client.pictures import png_of
from retrieval.client.values import Facts, answers_of, explanation_of, facets_of, hits_of, info_of, item_of
from retrieval.closing import Closing
from retrieval.collection.albums import check_new_name
from retrieval.errors import NoSuchAlbum, PlacedQueryError, QueryError, UsageError
from retrieval.query.parts import ItemPart, KeyPart, Part, Query, Queryable, Source, TextPart, id_of
from retrieval.query.requests import OF_SEARCH, OF_SIMILAR, query_of, request_of
from retrieval.query.vectors import place_of, with_place_in_errors
from retrieval.texts import is_unicode
from retrieval.types import Distinct, Hit, Hits, Item, Kind, Limits, Request
from retrieval.types.request import SearchOptions, SimilarOptions
from retrieval.uris import is_path, uri_of

if TYPE_CHECKING:
    from retrieval.collection import CollectionInfo
    from retrieval.collection.listing import ListSort
    from retrieval.expressions import Expression
    from retrieval.query.explanation import Explanation

TIMEOUT_S = 90.0  # a server answers within a minute, or says that it does not
MOST_HITS = 1000  # of one answer; more are asked for page by page
BATCH = 64
DEFAULT_LIMITS = Limits()
_OF_PAGES = ("k", "offset", "where", "after")


def connect(
    address: str,
    *,
    collection: str | None = None,
    token: str | None = None,
    timeout: float = TIMEOUT_S,
    limits: Limits = DEFAULT_LIMITS,
) -> RemoteEngine:
    """Use a collection that ``vlsearch serve`` answers for as one that was opened with :func:`retrieval.open`.

    >>> import retrieval
    >>> with retrieval.connect("http://127.0.0.1:8642") as engine:          # doctest: +SKIP
    ...     hits = engine.search("a dog in the snow", k=3)

    Args:
        address: of the server.
        collection: its name at the server; by default the first one.
        token: that the server asks for.
        timeout: seconds to wait for an answer.
        limits: what is accepted of a query's images, which are read here and sent.

    Raises:
        UsageError: the address is not one of a server. Whether one answers there, the first question tells.
    """
    return RemoteEngine(Connection(address, token, timeout), collection, limits)


class RemoteEngine(Closing):
    """A collection at a server; many threads may share it. Made by :func:`retrieval.connect`.

    Its methods are those of :class:`retrieval.SearchEngine`, give the same values, and raise the same exceptions with
    the sentence of the server, or :class:`retrieval.ServerError`. Pictures of a query are read here and sent. To a
    client on another machine the server tells no paths: items have uris that begin with ``vlsearch:`` there. Albums are
    asked by name and not read, and :meth:`draw` stands in for ``overlay``; what takes minutes (duplicates, the map) has
    routes of its own and no method.
    """

    def __init__(self, connection: Connection, collection: str | None, limits: Limits) -> None:
        self._connection, self._collection, self.limits = connection, collection, limits

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
        """Find the k items that answer a query best, as :meth:`retrieval.SearchEngine.search`."""
        asked, (request, where) = query_of(query, key), _request_of(k, find, distinct, options)
        body = {"parts": self._parts(asked), "literal": literal}
        return self._pages("/v1/search", body, request, where, cursor=cursor)

    def similar(
        self,
        *items: Item | Hit | int,
        unlike: Sequence[Item | Hit | int] = (),
        k: int = 10,
        find: Kind | None = None,
        distinct: Distinct = False,
        **options: Unpack[SimilarOptions],
    ) -> list[Hit]:
        """Find what is most like some items, as :meth:`retrieval.SearchEngine.similar`."""
        return self._similar(items, unlike, *_request_of(k, find, distinct, options, OF_SIMILAR))

    def answer_similar(
        self,
        items: Sequence[Item | Hit | int],
        unlike: Sequence[Item | Hit | int],
        request: Request,
    ) -> list[Hit]:
        """Find what is most like items and less like others, with the parameters of a search in one value."""
        return self._similar(items, unlike, request, request.where)

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
        """Find the hits of each query, as :meth:`retrieval.SearchEngine.search_batch`; at most 1,000 of each."""
        request, where = _request_of(k, find, distinct, options)
        if k > MOST_HITS:
            raise UsageError(f"k is {k}; of a batch a server gives at most {MOST_HITS} hits of each query")
        parsed: list[Query] = []
        for number, query in enumerate(queries, start=1):
            with with_place_in_errors(f"query {number}"):
                parsed.append(Query.of(query))
        found: list[Hits] = []
        for start in range(0, len(parsed), BATCH):
            found += self._batch(
                parsed, range(start, min(start + BATCH, len(parsed))), request, where, literal
            )
        return found

    def answer(self, queries: Sequence[Query], request: Request, cursor: str | None = None) -> list[Hits]:
        """Find the hits of each query, taken literally, with the parameters of a search in one value."""
        if cursor is not None:
            if len(queries) != 1:
                raise QueryError("a cursor is of one query; ask that one alone")
            body = {"parts": self._parts(queries[0]), "literal": True}
            return [self._pages("/v1/search", body, request, request.where, cursor=cursor)]
        found: list[Hits] = []
        for start in range(0, len(queries), BATCH):
            found += self._batch(
                queries, range(start, min(start + BATCH, len(queries))), request, request.where, True
            )
        return found

    def search_album(self, album: str) -> Hits:
        """Ask what the album of a name asks, of the collection as it is now.

        Raises:
            NoSuchAlbum: there is none of that name.
            QueryError: a part of it cannot be asked with at the server.
        """
        try:
            check_new_name(album)  # what is none may be that of another address, as . is
        except UsageError as error:
            raise told(NoSuchAlbum.__name__, f"there is no album of that name: {error}") from error
        path, params = f"/v1/albums/{quote(album, safe='')}", {"collection": self._collection}
        search, missing = self._connection.json("GET", path, _album, params=params)
        if missing:
            names = ", ".join(map(str, missing))
            raise QueryError(f"the album {album!r} asks with what the server cannot ask with: {names}")
        body = {**search, "collection": self._collection}
        return self._joined("/v1/search", body, search["k"], search["offset"])

    def explain(
        self,
        hit: Item | Hit | int,
        query: Query | Queryable | Sequence[Queryable],
        *,
        literal: bool = False,
    ) -> Explanation:
        """Tell why an item has its score with a query, as :meth:`retrieval.SearchEngine.explain`."""
        body = {"parts": self._parts(Query.of(query)), "literal": literal, "collection": self._collection}
        return self._connection.json("POST", f"/v1/items/{id_of(hit)}/explain", explanation_of, json=body)

    def draw(
        self,
        hit: Item | Hit | int,
        query: Query | Queryable | Sequence[Queryable],
        file_format: Literal["PNG", "JPEG"] = "PNG",
        *,
        literal: bool = False,
    ) -> bytes:
        """Draw where in an item's picture its score with a query comes from, as the bytes of a file.

        In place of :meth:`retrieval.SearchEngine.overlay`: the server draws what it explains itself.

        Raises:
            ImageError: the item is not a picture, it cannot be explained, or it cannot be read any more.
        """
        body = {"parts": self._parts(Query.of(query)), "literal": literal, "collection": self._collection}
        path = f"/v1/items/{id_of(hit)}/explain/drawing"
        return self._connection.picture("POST", path, json=body, params={"form": file_format})

    def facets(
        self,
        fields: Sequence[str] | None = None,
        where: str | Expression | None = None,
        kind: Kind = "image",
        most: int = 20,
    ) -> dict[str, dict[str, int]]:
        """Count the items of a kind by the values of fields, as :meth:`retrieval.SearchEngine.facets`."""
        params: dict[str, Any] = {
            "field": None if fields is None else list(fields),
            "where": _condition(where),
            "kind": kind,
            "most": most,
        }
        params["collection"] = self._collection
        return self._connection.json("GET", "/v1/facets", facets_of, params=params)

    def get(self, key: str) -> Item | None:
        """Read the item with a key; None if there is none, or it is hidden."""
        return self._item(key=key) if is_unicode(key) else None  # as no key is

    def named(self, name: str) -> Item | None:
        """Read the item that a name means: its key, else, on the server's machine, its uri or path."""
        if is_unicode(name):
            return self._item(name=name)
        # of a path with bytes that are no text, which no address can hold
        return self._item(name=uri_of(name)) if is_path(name) else None

    def items(
        self,
        kind: Kind = "image",
        *,
        where: str | Expression | None = None,
        sort: ListSort = "added",
        offset: int = 0,
        limit: int | None = None,
    ) -> Iterator[Item]:
        """Read the items of a kind that meet a condition, lazily, as :meth:`retrieval.SearchEngine.items`."""
        params = {"kind": kind, "where": _condition(where), "sort": sort, "offset": offset, "limit": limit}
        return self._connection.lines("/v1/items/stream", item_of, **params, collection=self._collection)

    def keys(self) -> Iterator[str]:
        """Read the keys of items that have one and are not hidden, lazily."""
        return self._connection.lines("/v1/keys", itemgetter("key"), collection=self._collection)

    def info(self) -> CollectionInfo:
        """Count what one generation of the collection holds."""
        return self._connection.json("GET", "/v1/info", info_of, params={"collection": self._collection})

    def picture(self, item: Item | Hit | int) -> bytes:
        """Give the bytes of a picture as they were indexed, if browsers show its format.

        Raises:
            ImageError: it cannot be read any more, or has changed.
            VlsearchError: it has another format; there is a thumbnail of it.
        """
        params = {"collection": self._collection}
        return self._connection.picture("GET", f"/v1/items/{id_of(item)}/picture", params=params)

    def thumbnail(self, item: Item | Hit | int, size: int = 240) -> bytes:
        """Give a picture as WebP of size 240, 480 or 1600.

        Raises:
            UsageError: there is no such size.
            ImageError: it cannot be read any more, or has changed.
        """
        params = {"size": size, "collection": self._collection}
        return self._connection.picture("GET", f"/v1/items/{id_of(item)}/thumbnail", params=params)

    def close(self) -> None:
        """Close the connections to the server."""
        self._connection.close()

    def _similar(
        self,
        items: Sequence[Item | Hit | int],
        unlike: Sequence[Item | Hit | int],
        request: Request,
        where: str | Expression | None,
    ) -> list[Hit]:
        asked = {"items": list(map(id_of, items)), "unlike": list(map(id_of, unlike))}
        unknown = ("mode", "only", "regions", "generation")
        return list(self._pages("/v1/similar", asked, request, where, leave_out=unknown))

    def _pages(
        self,
        path: str,
        asked: dict[str, Any],
        request: Request,
        where: str | Expression | None,
        leave_out: Sequence[str] = (),
        cursor: str | None = None,
    ) -> Hits:
        body = {**asked, **_fields(request), "where": _condition(where), "collection": self._collection}
        wanted = {name: value for name, value in body.items() if name not in leave_out}
        return self._joined(path, wanted, request.k, request.offset, "generation" not in leave_out, cursor)

    def _joined(
        self,
        path: str,
        body: Mapping[str, Any],
        k: int,
        offset: int,
        of_generation: bool = True,
        cursor: str | None = None,
    ) -> Hits:
        """Ask for the pages of one answer and join them: behind a cursor, or else all of one generation."""
        hits: list[Hit] = []
        first: Facts = {}
        place = cursor
        while True:
            page = {**body, "k": min(MOST_HITS, k - len(hits)), "offset": offset}
            if cursor is not None:
                page["cursor"] = place
            else:
                page["offset"] = offset + len(hits)
                page |= {"generation": first.get("generation")} if of_generation else {}
            found, answer = self._connection.json("POST", path, _page, json=page)
            first, place = first or answer, answer.get("cursor")
            hits += found
            ends = answer["next"] is None if cursor is None else place is None
            if ends or not found or len(hits) >= k:
                known = first.get("probability"), first.get("verdict"), first.get("mode", "vector")
                joined = Hits(hits, *known)
                joined.next_page = None if place is None else partial(str, place)
                return joined

    def _batch(
        self,
        queries: Sequence[Query],
        numbers: range,
        request: Request,
        where: str | Expression | None,
        literal: bool,
    ) -> list[Hits]:
        common = {
            **_fields(request), "k": request.k, "offset": request.offset, "where": _condition(where),
            "literal": literal, "collection": self._collection,
        }  # fmt: skip
        searches = []
        for number in numbers:
            with with_place_in_errors(place_of(queries, number)):
                searches.append({**common, "parts": self._parts(queries[number])})
        read = partial(answers_of, count=len(searches))
        found: list[Hits] = []
        for number, hits in zip(
            numbers,
            self._connection.json("POST", "/v1/batch", read, json={"searches": searches}),
            strict=True,
        ):
            if not isinstance(hits, Hits):
                place = place_of(queries, number)
                raise PlacedQueryError(place, hits) if place and isinstance(hits, QueryError) else hits
            found.append(hits)
        return found

    def _item(self, **named: str) -> Item | None:
        params = {**named, "collection": self._collection}
        return self._connection.json("GET", "/v1/item", _item_or_none, params=params)

    def _parts(self, query: Query) -> list[dict[str, Any]]:
        return [self._part(part) for part in query.parts]

    def _part(self, part: Part) -> dict[str, Any]:
        if isinstance(part, TextPart):
            return {"text": part.text, "weight": part.weight}
        if isinstance(part, ItemPart):
            return {"item": part.id, "weight": part.weight}
        if isinstance(part, KeyPart):
            return {"key": part.key, "weight": part.weight}
        data = self._bytes_of(part.source)
        digest = self._connection.json("POST", "/v1/uploads", itemgetter("upload"), content=data)
        return {
            "upload": digest,
            "weight": part.weight,
            "crop": None if part.crop is None else list(part.crop),
        }

    def _bytes_of(self, source: Source) -> bytes:
        """Read an image of a query here: a path means one of this machine.

        Raises:
            QueryError: it does not exist, cannot be read, or is a frame of a video.
        """
        if not isinstance(source, (str, Path, bytes)):
            return png_of(source)
        from retrieval.query.image_sources import read_source  # late: queries of words do not need it
        from retrieval.types import InlineBytes

        found = read_source(source, self.limits)
        if not isinstance(found, InlineBytes) or found.part:
            raise QueryError(
                f"{source!s} is one of several pictures in a file, which cannot be sent; search with a whole file"
            )
        return found.data


def _request_of(
    k: int, find: Kind | None, distinct: Distinct, options: SimilarOptions, known: frozenset[str] = OF_SEARCH
) -> tuple[Request, str | Expression | None]:
    """Check the keywords of a search, and leave its condition, which the server reads, as it is."""
    where, others = options.get("where"), SimilarOptions({**options, "where": None})
    return request_of(k, find, distinct, others, known), where


def _page(facts: Facts) -> tuple[Hits, Facts]:
    """Give the hits of a page, and what else is said of it: whether there is a next one."""
    return hits_of(facts), {"next": facts["next"], **{name: facts[name] for name in facts if name != "hits"}}


def _album(facts: Facts) -> tuple[Facts, Sequence[object]]:
    """Give what an album asks, with numbers of hits, and what the server cannot ask with."""
    search = facts["search"]
    return {**search, "k": index(search["k"]), "offset": index(search["offset"])}, list(facts["missing"])


def _item_or_none(facts: Facts) -> Item | None:
    return None if facts["item"] is None else item_of(facts["item"])


def _fields(request: Request) -> dict[str, Any]:
    """Give the fields of a request as the server takes them, without the condition and what makes pages."""
    return {one.name: getattr(request, one.name) for one in fields(request) if one.name not in _OF_PAGES}


def _condition(where: str | Expression | None) -> str | None:
    return None if where is None else str(where)
