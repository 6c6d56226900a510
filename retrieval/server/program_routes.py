"""Routes that programs ask and the page does not: many searches at once, sums of stored items, items by key or name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from retrieval.errors import QueryError, VlsearchError
from retrieval.server.answers import Answer, is_local, item_answer
from retrieval.server.bodies import ItemId, Key, LikeFields, Name, SearchBody
from retrieval.server.context import Context, Shared
from retrieval.server.failures import answer_to, without_paths
from retrieval.server.metrics import MEDIA_TYPE, Metrics
from retrieval.server.search_answers import answer_alike, likeness, page_answer
from retrieval.types import Hits, Item

routes = APIRouter(prefix="/v1")
plain_routes = APIRouter()

MOST_SEARCHES = 64  # of a batch


class BatchBody(BaseModel):
    """Searches to be answered together."""

    model_config = ConfigDict(extra="forbid")

    searches: list[SearchBody] = Field(min_length=1, max_length=MOST_SEARCHES)


class SimilarBody(LikeFields):
    """Items to be like, and others to be unlike."""

    model_config = ConfigDict(extra="forbid")

    items: list[ItemId] = Field([], max_length=MOST_SEARCHES)
    unlike: list[ItemId] = Field([], max_length=MOST_SEARCHES)


@routes.post("/batch")
async def batch(request: Request, shared: Shared, asked: BatchBody) -> Response:
    """Answer several searches in one pass over the vectors; one that cannot be answered has an ``error`` instead."""
    return Answer(await shared.searches.run(request, lambda: {"answers": _answers(request, shared, asked)}))


@routes.post("/similar")
async def similar(request: Request, shared: Shared, asked: SimilarBody) -> Response:
    """Find what is most like some items and less like others, those left out, by their stored vectors."""
    served = shared.served(asked.collection)

    def hits() -> Hits:
        return Hits(served.engine.answer_similar(asked.items, asked.unlike, asked.request()))

    def answer() -> dict[str, object]:
        return page_answer(served, hits, asked.k, asked.offset, is_local(request))

    return Answer(await shared.searches.run(request, answer))


@routes.get("/item")
async def item(
    request: Request,
    shared: Shared,
    key: Key | None = None,
    name: Annotated[
        Key | None, Query(description="Key, uri or path; elsewhere than here a key alone.")
    ] = None,
    collection: Name | None = None,
) -> Response:
    """Give the item with a key, or that a name means; null where there is none, or it is hidden."""
    if (key is None) == (name is None):
        raise QueryError("give the key of an item, or its name")
    served, local = shared.served(collection), is_local(request)

    def found() -> dict[str, object]:
        item = _named(shared, collection, key, name, local)
        if item is None:
            return {"item": None}
        return {"item": item_answer(item, served.pictures.find([item.id]).get(item.id), local)}

    return Answer(await shared.searches.run(request, found))


@plain_routes.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """Give counts of requests for Prometheus."""
    counts: Metrics = request.app.state.metrics
    return Response(counts.text(), headers={"Content-Type": MEDIA_TYPE})


def _named(
    shared: Context, collection: str | None, key: str | None, name: str | None, local: bool
) -> Item | None:
    engine = shared.served(collection).engine
    if name is not None and local:
        return engine.named(name)
    return engine.get(name if key is None else key)  # type: ignore[arg-type]  # one of them is given


def _answers(request: Request, shared: Context, asked: BatchBody) -> list[dict[str, object]]:
    """Answer each search; those that differ in their query alone go over the vectors together."""
    local = is_local(request)
    alike: dict[Hashable, list[int]] = defaultdict(list)
    for number, one in enumerate(asked.searches):
        alike[likeness(one)].append(number)
    answers: dict[int, dict[str, object]] = {}
    for numbers in alike.values():
        found = answer_alike(shared, [asked.searches[number] for number in numbers], local)
        for number, answer in zip(numbers, found, strict=True):
            answers[number] = _fault(answer, local) if isinstance(answer, Exception) else answer
    return [answers[number] for number in range(len(asked.searches))]


def _fault(error: Exception, local: bool) -> dict[str, object]:
    """Say of an error what a search that is asked alone is answered with."""
    kind = type(error).__name__ if isinstance(error, VlsearchError) else None
    return {"error": without_paths(answer_to(error)[1], local), "type": kind}
