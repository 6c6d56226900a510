"""Routes of the desktop that the server runs on, for who sits there: the folder of an item in the file manager."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import Response

from retrieval.desktop import has_desktop, open_folder_of
from retrieval.errors import VlsearchError
from retrieval.server.answers import Answer, is_local
from retrieval.server.bodies import Name
from retrieval.server.context import Context, context_of
from retrieval.server.failures import NoSuch
from retrieval.server.search_routes import Id
from retrieval.server.writing import check_json
from retrieval.uris import split_file_uri

routes = APIRouter(prefix="/v1")


class OpenBody(BaseModel):
    """Of which collection the item is."""

    model_config = ConfigDict(extra="forbid")

    collection: Name | None = None


async def desktop_context(request: Request) -> Context:
    """Give the context for a request that shows something on the desktop.

    Raises:
        HTTPException: 403, the client is elsewhere; 415, the body is not JSON; 409, there is no desktop.
    """
    if not is_local(request):
        raise HTTPException(403, "folders are opened only for who sits at the machine of the server")
    check_json(request)
    if not has_desktop():
        raise HTTPException(409, "there is no desktop here to open a folder on")
    return await context_of(request)


Desktop = Annotated[Context, Depends(desktop_context)]


@routes.post("/items/{id}/open-folder")
async def open_folder(request: Request, shared: Desktop, id: Id, asked: OpenBody) -> Response:
    """Show the folder of an item's file on the desktop of this machine; only for clients on it, and not by a proxy."""
    served = shared.served(asked.collection)

    def opened() -> dict[str, object]:
        items = served.engine.collection.items([id])
        if not items:
            raise NoSuch("there is no such item in the collection, or it is hidden")
        place = split_file_uri(items[0].uri)
        if place is None:
            raise NoSuch("the item is not a file of this machine")
        try:
            open_folder_of(place[0])
        except VlsearchError as error:
            raise HTTPException(409, str(error)) from error
        return {"collection": served.name, "item": id}

    return Answer(await shared.desktop.run(request, opened))
