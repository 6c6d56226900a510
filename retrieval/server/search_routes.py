"""Routes that search, and those that tell of items and collections."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from retrieval.collection.filters.parse import parse_where
from retrieval.desktop import has_desktop
from retrieval.server.answers import (
    Answer,
    info_answer,
    is_local,
    item_answer,
    items_answer,
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
from retrieval.server.capacity import Joint
from retrieval.server.context import Context, Shared, in_one_generation, is_current
from retrieval.server.failures import NoSuch
from retrieval.server.search_answers import Facts, answer_alike, likeness, page_answer
from retrieval.server.served import Served
from retrieval.types import Distinct, Hit, Hits, Item, Kind

routes = APIRouter(prefix="/v1")

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
    served, local = shared.served(asked.collection), is_local(request)

    def answers(waiting: Sequence[tuple[Request, SearchBody]]) -> list[tuple[str, Facts | None] | Exception]:
        tag = _tag(local, served)
        due = [number for number, (one, _) in enumerate(waiting) if not is_current(one, tag)]
        made = dict(
            zip(due, answer_alike(shared, [waiting[number][1] for number in due], local), strict=True)
        )
        found = (made.get(number) for number in range(len(waiting)))
        return [one if isinstance(one, Exception) else (tag, one) for one in found]

    joint = Joint(("tagged", local, likeness(asked)), (request, asked), answers)
    return _with_tag(*await shared.searches.run_together(request, joint))


@routes.post("/search")
async def search_weighted(request: Request, shared: Shared, asked: SearchBody) -> Response:
    """Search by a weighted sum of words, items and uploaded pictures."""
    local = is_local(request)

    def answers(waiting: Sequence[SearchBody]) -> list[Facts | Exception]:
        return answer_alike(shared, waiting, local)

    return Answer(
        await shared.searches.run_together(request, Joint((local, likeness(asked)), asked, answers))
    )


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
        wanted = [one for one in field or served.usual_facets() if local or one not in OF_THIS_MACHINE]
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

        return page_answer(served, lambda: Hits(hits()), k, offset, is_local(request))

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


async def _tagged(
    request: Request, shared: Context, served: Served, call: Callable[[], dict[str, object]]
) -> Response:
    """Answer with an ``ETag`` of the collection's generation; 304 to a client that has the answer already.

    The tag is taken before the answer is made: a commit in between makes the next request ask again.
    """

    def answer() -> tuple[str, dict[str, object] | None]:
        tag = _tag(is_local(request), served)
        return tag, None if is_current(request, tag) else call()

    return _with_tag(*await shared.searches.run(request, answer))


def _with_tag(tag: str, facts: Facts | None) -> Response:
    """Answer with facts and their tag; 304 where the client has them already."""
    headers = {"ETag": f"W/{tag}", "Cache-Control": "private, no-cache"}
    return Response(status_code=304, headers=headers) if facts is None else Answer(facts, headers=headers)


def _tag(local: bool, served: Served) -> str:
    state = served.name, str(served.engine.collection.path), served.engine.collection.generation, local
    return f'"{hashlib.sha256(repr(state).encode()).hexdigest()[:24]}"'
