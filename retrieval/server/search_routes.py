"""Routes that search, and those that tell of items and collections."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from retrieval.answers import answer_facts
from retrieval.collection.filters.parse import parse_where
from retrieval.desktop import has_desktop
from retrieval.query.parts import Query as Parts
from retrieval.query.requests import read_as_asked
from retrieval.query.without import Reading
from retrieval.server.answers import (
    Answer,
    hits_answer,
    info_answer,
    is_local,
    item_answer,
    items_answer,
    reading_answer,
)
from retrieval.server.areas import within_area
from retrieval.server.bodies import (
    LARGEST,
    Area,
    Condition,
    HitCount,
    ItemId,
    Name,
    Offset,
    SearchBody,
    search_of,
)
from retrieval.server.context import Context, Shared, in_one_generation, is_current
from retrieval.server.failures import NoSuch
from retrieval.server.served import Served
from retrieval.types import Distinct, Hit, Hits, Item, Kind
from retrieval.types import Request as Limited

routes = APIRouter(prefix="/v1")

USUAL_FIELDS = ("year", "folder", "camera", "keywords", "rating")
OF_THIS_MACHINE = ("folder", "corpus")  # whose values are paths

Id = Annotated[int, Path(ge=1, le=LARGEST, description="An item's id.")]


@routes.get("/health")
async def health() -> Response:
    """Tell that the server answers."""
    return Answer({"status": "ok"})


@routes.get("/collections")
async def collections(request: Request, shared: Shared) -> Response:
    """List the collections, the first of which answers where none is named, and what a client may do."""

    def totals() -> dict[str, object]:
        local = is_local(request)
        return {
            "collections": [info_answer(one.name, one.engine.info(), local) for one in shared.collections],
            "writes": shared.settings.writes,
            "adds": shared.settings.add_to is not None,
            "opens": local and has_desktop(),
        }

    return Answer(await shared.searches.run(request, totals))


@routes.get("/info")
async def info(request: Request, shared: Shared, collection: Name | None = None) -> Response:
    """Count what a collection holds."""
    served = shared.served(collection)
    totals = await shared.searches.run(request, served.engine.info)
    return Answer(info_answer(served.name, totals, is_local(request)))


@routes.get("/search")
async def search(
    request: Request, shared: Shared, asked: Annotated[SearchBody, Depends(search_of)]
) -> Response:
    """Search by words, items and uploaded pictures of equal weight; ``ETag`` goes by the collection's generation."""
    served = shared.served(asked.collection)
    return await _tagged(request, shared, served, lambda: search_answer(request, shared, asked))


@routes.post("/search")
async def search_weighted(request: Request, shared: Shared, asked: SearchBody) -> Response:
    """Search by a weighted sum of words, items and uploaded pictures."""
    return Answer(await shared.searches.run(request, lambda: search_answer(request, shared, asked)))


@routes.get("/items")
async def newest(
    request: Request,
    shared: Shared,
    kind: Kind = "image",
    k: HitCount = 50,
    before: ItemId | None = None,
    where: Condition | None = None,
    area: Area | None = None,
    collection: Name | None = None,
) -> Response:
    """List items, the newest first; ``next`` of the answer is the ``before`` of the next page."""
    served, met = shared.served(collection), None if where is None else parse_where(where)

    def answer() -> dict[str, object]:
        def page() -> tuple[list[Item], list[dict[str, object]]]:
            items = served.engine.collection.newest(kind, k, before, within_area(shared, served, met, area))
            return items, items_answer(
                items, served.pictures.find(one.id for one in items), is_local(request)
            )

        generation, (items, shown) = in_one_generation(served, page)
        after = items[-1].id if len(items) == k else None
        return {"collection": served.name, "generation": generation, "next": after, "hits": shown}

    return await _tagged(request, shared, served, answer)


@routes.get("/facets")
async def facets(
    request: Request,
    shared: Shared,
    field: Annotated[
        list[Name] | None, Query(description="Fields; year, folder, camera, ... by default.")
    ] = None,
    where: Condition | None = None,
    area: Area | None = None,
    kind: Kind = "image",
    most: Annotated[int, Query(ge=1, le=1000)] = 20,
    collection: Name | None = None,
) -> Response:
    """Count items by the values of fields, the most frequent first; folders only for clients on this machine."""
    served, local = shared.served(collection), is_local(request)

    def counted() -> dict[str, object]:
        wanted = [one for one in field or _usual_fields(served) if local or one not in OF_THIS_MACHINE]
        met = within_area(shared, served, None if where is None else parse_where(where), area)
        found = served.engine.facets(wanted, met, kind, most)
        return {
            "collection": served.name,
            "facets": {
                name: [{"value": value, "count": count} for value, count in values.items()]
                for name, values in found.items()
            },
        }

    return await _tagged(request, shared, served, counted)


@routes.get("/items/{id}/similar")
async def similar(
    request: Request,
    shared: Shared,
    id: Id,
    unlike: Annotated[ItemId | None, "an item that hits shall be less like"] = None,
    collection: Name | None = None,
    k: HitCount = 50,
    offset: Offset = 0,
    find: Kind | None = None,
    distinct: Distinct = False,
    exact: bool = False,
) -> Response:
    """Find what is most like an item, that item left out, by its stored vector; no model is loaded."""
    served = shared.served(collection)
    less = [] if unlike is None else [unlike]

    def answer() -> dict[str, object]:
        def hits() -> list[Hit]:
            return served.engine.similar(
                id, unlike=less, k=k, find=find, distinct=distinct, offset=offset, exact=exact
            )

        return page_answer(request, served, lambda: Hits(hits()), k, offset, None, ())

    return await _tagged(request, shared, served, answer)


@routes.get("/items/{id}")
async def item(request: Request, shared: Shared, id: Id, collection: Name | None = None) -> Response:
    """Give an item with its captions and attributes."""
    served = shared.served(collection)

    def found() -> dict[str, object]:
        items = served.engine.collection.items([id])
        if not items:
            raise NoSuch("there is no such item in the collection, or it is hidden")
        return item_answer(items[0], served.pictures.find([id]).get(id), is_local(request))

    return await _tagged(request, shared, served, found)


def _usual_fields(served: Served) -> list[str]:
    """Choose the fields that people narrow down by, as far as the collection has them."""
    with served.engine.collection.reading() as view:
        known = {one.name for one in view.fields()}
    return [name for name in USUAL_FIELDS if (name if name != "year" else "taken") in known]


def search_answer(request: Request, shared: Context, asked: SearchBody) -> dict[str, object]:
    """Search, and answer with one page of hits."""
    served = shared.served(asked.collection)
    (query, readings), asked_for = read_by(asked, shared), request_of(asked, shared)

    def hits() -> Hits:
        return served.engine.answer([query], asked_for, asked.cursor)[0]

    return page_answer(request, served, hits, asked.k, asked.offset, asked.generation, readings)


def read_by(asked: SearchBody, shared: Context) -> tuple[Parts, list[Reading]]:
    """Give the query of a search as it is to be answered, and how its texts were read.

    Raises:
        NoSuch: an uploaded picture is no longer kept.
        QueryError: a part cannot be used.
    """
    query = asked.query(shared.uploads)
    return read_as_asked(query, asked.literal, asked.mode)


def request_of(asked: SearchBody, shared: Context) -> Limited:
    """Give the parameters of a search as the engine takes them, with the area of the map among its conditions.

    Raises:
        FilterError: the condition cannot be read.
    """
    limited = asked.request()
    area = within_area(shared, shared.served(asked.collection), limited.where, asked.area)
    return replace(limited, where=area)


def page_answer(
    request: Request,
    served: Served,
    search: Callable[[], Hits],
    k: int,
    offset: int,
    wanted: int | None,
    readings: Sequence[Reading],
) -> dict[str, object]:
    """Answer a search with a page of hits, and where the next one begins."""

    def answer() -> tuple[Hits, list[dict[str, object]]]:
        hits = search()
        pictures = served.pictures.find(hit.id for hit in hits)
        return hits, hits_answer(hits, pictures, is_local(request))

    generation, (hits, shown) = in_one_generation(served, answer, wanted)
    begins = min((hit.rank for hit in hits), default=offset + 1) - 1
    return {
        "collection": served.name,
        "generation": generation,
        "readings": [reading_answer(one) for one in readings],
        **answer_facts(hits),
        "offset": begins,
        "next": begins + k if len(hits) == k else None,
        "cursor": hits.cursor,
        "hits": shown,
    }


async def _tagged(
    request: Request, shared: Context, served: Served, call: Callable[[], dict[str, object]]
) -> Response:
    """Answer with an ``ETag`` of the collection's generation; 304 to a client that has the answer already.

    The tag is taken before the answer is made: a commit in between makes the next request ask again.
    """

    def answer() -> tuple[str, dict[str, object] | None]:
        tag = _tag(request, served)
        return tag, None if is_current(request, tag) else call()

    tag, facts = await shared.searches.run(request, answer)
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, no-cache"}
    return Response(status_code=304, headers=headers) if facts is None else Answer(facts, headers=headers)


def _tag(request: Request, served: Served) -> str:
    state = (
        served.name,
        str(served.engine.collection.path),
        served.engine.collection.generation,
        is_local(request),
    )
    return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:24]}"'
