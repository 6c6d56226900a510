"""Routes that tell why an item has its score with a query, as data and as a drawing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from retrieval.query.explanation import Explanation
from retrieval.server.answers import Answer, is_local
from retrieval.server.bodies import ExplainBody
from retrieval.server.context import Context, Shared
from retrieval.server.failures import NoSuch, without_paths
from retrieval.server.search_routes import Id

routes = APIRouter(prefix="/v1")


@routes.post("/items/{id}/explain")
async def explain(request: Request, shared: Shared, id: Id, asked: ExplainBody) -> Response:
    """Tell what each part and word of a query adds to an item's score, and where in its picture that comes from."""
    found = await shared.searches.run(request, lambda: _explanation(shared, id, asked))
    reason = None if found.reason is None else without_paths(found.reason, is_local(request))
    return Answer({**asdict(found), "reason": reason})


@routes.post("/items/{id}/explain/drawing", response_class=Response)
async def drawing(
    request: Request, shared: Shared, id: Id, asked: ExplainBody, form: Literal["JPEG", "PNG"] = "JPEG"
) -> Response:
    """Draw where in an item's picture its score with a query comes from, as a JPEG or a PNG."""

    def drawn() -> bytes:
        found = _explanation(shared, id, asked)
        return shared.served(asked.collection).engine.overlay(found, form)

    data = await shared.searches.run(request, drawn)
    return Response(
        data, headers={"Content-Type": f"image/{form.lower()}", "Cache-Control": "private, no-cache"}
    )


def _explanation(shared: Context, id: int, asked: ExplainBody) -> Explanation:
    engine = shared.served(asked.collection).engine
    if not engine.collection.items([id]):
        raise NoSuch("there is no such item in the collection, or it is hidden")
    return engine.explain(id, asked.query(shared.uploads), literal=asked.literal)
