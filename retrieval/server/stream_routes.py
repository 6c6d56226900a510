"""Long answers, a JSON object a line (NDJSON), made page by page as the client takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from retrieval.answers import json_line
from retrieval.collection.filters.parse import parse_where
from retrieval.collection.listing import ListSort
from retrieval.server.answers import is_local, items_answer
from retrieval.server.bodies import LARGEST, MOST_HITS, Condition, Name, Offset, SearchBody
from retrieval.server.context import Context, Shared
from retrieval.server.failures import answer_to, without_paths
from retrieval.server.search_answers import search_answer
from retrieval.types import Item, Kind

routes = APIRouter(prefix="/v1")

PAGE = 500  # items
MOST_STREAMED = 1_000_000
NDJSON = "application/x-ndjson"
_OF_A_PAGE = ("hits", "offset", "next", "cursor")  # a stream is one answer, whatever pages it is made of


class StreamBody(SearchBody):
    """A search for more hits than one answer has."""

    k: Annotated[int, Field(ge=1, le=MOST_STREAMED)] = MOST_STREAMED
    sort: Literal["score"] = "score"
    cursor: None = None  # it is all of one answer


Page = list[dict[str, object]]


@routes.post("/search/stream", response_class=StreamingResponse)
async def search(request: Request, shared: Shared, asked: StreamBody) -> Response:
    """Search for many hits: a line about the answer, as ``/v1/search`` has it without hits, and a line for each hit.

    All are of one state of the collection; if that changes meanwhile, the last line is an ``error``.
    """

    def page(offset: int, k: int, generation: int | None) -> dict[str, object]:
        changed = {"offset": offset, "k": k, "generation": generation}
        one = SearchBody.model_construct(**{**dict(asked), **changed})
        return search_answer(shared, one, is_local(request))

    first = await shared.searches.run(
        request, lambda: page(asked.offset, min(asked.k, MOST_HITS), asked.generation)
    )
    return StreamingResponse(_search_lines(request, shared, asked, first, page), media_type=NDJSON)


@routes.get("/items/stream", response_class=StreamingResponse)
async def items(
    request: Request,
    shared: Shared,
    kind: Kind = "image",
    where: Condition | None = None,
    sort: ListSort = "added",
    offset: Offset = 0,
    limit: Annotated[int | None, Query(ge=0, le=LARGEST)] = None,
    collection: Name | None = None,
) -> Response:
    """List all items of a kind that meet a condition, a line each."""
    served, met = shared.served(collection), None if where is None else parse_where(where)
    listed = await shared.searches.run(
        request, lambda: served.engine.items(kind, where=met, sort=sort, offset=offset, limit=limit)
    )

    def page() -> Page:
        found: list[Item] = list(islice(listed, PAGE))
        return items_answer(found, served.pictures.find(one.id for one in found), is_local(request))

    return StreamingResponse(_lines(request, shared, page), media_type=NDJSON)


@routes.get("/keys", response_class=StreamingResponse)
async def keys(request: Request, shared: Shared, collection: Name | None = None) -> Response:
    """List the keys of items that have one, a line each."""
    found: Iterator[str] = shared.served(collection).engine.keys()

    def page() -> Page:
        return [{"key": key} for key in islice(found, PAGE)]

    return StreamingResponse(_lines(request, shared, page), media_type=NDJSON)


async def _lines(request: Request, shared: Context, page: Callable[[], Page]) -> AsyncIterator[bytes]:
    """Give pages as lines until one is empty; the client's end ends it, and no further page is made."""
    try:
        while shown := await shared.searches.call(page):
            yield _joined(shown)
    except Exception as error:  # half an answer has been sent: the status can tell no more
        yield _fault(request, error)


async def _search_lines(
    request: Request,
    shared: Context,
    asked: StreamBody,
    first: dict[str, object],
    page: Callable[[int, int, int | None], dict[str, object]],
) -> AsyncIterator[bytes]:
    generation, answer = first["generation"], first
    assert isinstance(generation, int), "it is a number"
    left, offset = asked.k, asked.offset
    yield _joined([{name: value for name, value in first.items() if name not in _OF_A_PAGE}])
    try:
        while True:
            hits = answer["hits"]
            assert isinstance(hits, list), "they are"
            yield _joined(hits)
            left, offset = left - len(hits), offset + len(hits)
            if answer["next"] is None or left <= 0:
                return
            ask = min(left, MOST_HITS)
            answer = await shared.searches.call(lambda: page(offset, ask, generation))  # noqa: B023 - called at once
    except Exception as error:  # as above
        yield _fault(request, error)


def _joined(lines: Page) -> bytes:
    return "".join(f"{json_line(one)}\n" for one in lines).encode()


def _fault(request: Request, error: Exception) -> bytes:
    return _joined([{"error": without_paths(answer_to(error)[1], is_local(request))}])
