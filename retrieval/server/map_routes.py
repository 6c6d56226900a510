"""The route that gives a collection as points in a plane, laid out in the background."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from retrieval.analysis.collection_map import CollectionMap
from retrieval.server.answers import Answer
from retrieval.server.areas import STEPS, places_of
from retrieval.server.background import Held, progress_answer
from retrieval.server.bodies import Name
from retrieval.server.context import Shared, is_current

routes = APIRouter(prefix="/v1")

MOST_POINTS = 200_000


@routes.get("/map")
async def picture_map(
    request: Request,
    shared: Shared,
    most: Annotated[
        int, Query(ge=1, le=MOST_POINTS, description="Points; of more items, evenly chosen.")
    ] = 100_000,
    fresh: Annotated[bool, Query(description="Lay out again if the collection has changed since.")] = False,
    collection: Name | None = None,
) -> Response:
    """Give the pictures as points, what is alike together: columns ``ids``, ``x`` to the right and ``y`` upwards.

    Coordinates are whole numbers from 0 to ``steps``, both of one scale. 202 while the map is being made.
    """
    served = shared.served(collection)
    held = await shared.searches.run(request, lambda: shared.maps.ask(served, fresh))
    if held.result is None or (fresh and held.is_running):
        return Answer({"status": "running", **progress_answer(held.progress)}, 202)
    found = held.result
    tag = f'"map-{served.engine.collection.generation}-{held.generation}-{found.method}-{most}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if is_current(request, tag):
        return Response(status_code=304, headers=headers)

    def columns() -> Answer:
        return Answer(
            {"collection": served.name, **_columns(held, found, most), "current": is_new()}, headers=headers
        )

    def is_new() -> bool:
        return served.engine.collection.generation == held.generation

    return await shared.searches.run(request, columns)


def _columns(held: Held[CollectionMap], found: CollectionMap, most: int) -> dict[str, object]:
    rows = np.unique(np.linspace(0, len(found.ids) - 1, min(len(found.ids), most)).astype(np.int64))
    places = places_of(found)[rows]
    return {
        "status": "done",
        "generation": held.generation,
        "method": found.method,
        "total": len(found.ids),
        "steps": STEPS,
        "ids": found.ids[rows].tolist(),
        "x": places[:, 0].tolist(),
        "y": places[:, 1].tolist(),
    }
