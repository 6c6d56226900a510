"""Routes that give out pictures, by id and never by path, and take one to search with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, HTTPException, Path, Query, Request
from starlette.responses import Response

from retrieval.errors import ImageError, QueryError
from retrieval.query.pictures import SIZES, Picture, media_type
from retrieval.server.answers import VERSION_CHARACTERS, Answer, short_name
from retrieval.server.bodies import Name
from retrieval.server.context import Context, Shared, is_current
from retrieval.server.failures import NoSuch
from retrieval.server.search_routes import Id
from retrieval.server.served import Served

routes = APIRouter(prefix="/v1")

SMALLEST, LARGEST_SIZE = min(SIZES), max(SIZES)
FOR_EVER = "private, max-age=31536000, immutable"  # of addresses that name the version
ASK_AGAIN = "private, no-cache"
SANDBOX = (
    "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # should a browser take a picture for a document
)

BYTES = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}

Version = Annotated[
    str | None, Query(max_length=64, description="An item's version, so that a browser may keep it.")
]
Size = Annotated[int, Query(description=f"One of {', '.join(map(str, SIZES))}.")]


@routes.get("/items/{id}/picture", response_class=Response)
async def picture(
    request: Request, shared: Shared, id: Id, collection: Name | None = None, version: Version = None
) -> Response:
    """Give a picture as it was indexed, if it is a JPEG, PNG, GIF, WebP or AVIF; others only as thumbnails."""
    served = shared.served(collection)

    def original(found: Picture) -> tuple[bytes, dict[str, str]]:
        data = served.pictures.original(found) if served.pictures.has_original(found) else b""
        kind = media_type(data)
        if kind is None:
            raise HTTPException(
                415, f"browsers do not show this format; ask for its thumbnail of size {LARGEST_SIZE}"
            )
        return data, {"Content-Type": kind, "Content-Disposition": _disposition(served, id)}

    return await _picture(request, shared, served, id, version, "original", original)


@routes.get("/items/{id}/thumbnail", response_class=Response)
async def thumbnail(
    request: Request,
    shared: Shared,
    id: Id,
    size: Size = SMALLEST,
    collection: Name | None = None,
    version: Version = None,
) -> Response:
    """Give a picture as a small WebP."""
    served = shared.served(collection)

    def small(found: Picture) -> tuple[bytes, dict[str, str]]:
        return served.pictures.thumbnail(found, size), {"Content-Type": "image/webp"}

    return await _picture(request, shared, served, id, version, str(size), small)


@routes.post("/uploads", status_code=201, openapi_extra=BYTES)
async def upload(request: Request, shared: Shared) -> Response:
    """Take the bytes of a picture to search with, kept in memory for a while; the answer names them for a search."""
    served = shared.served(None)

    def checked(data: bytes) -> str:
        try:
            served.pictures.thumbnail_of(
                data, min(SIZES)
            )  # decoded by a limited worker: is it a picture at all?
        except ImageError as error:
            raise QueryError(f"cannot search with what was sent: {error}; choose another picture") from error
        return shared.uploads.add(data)

    with shared.uploads.receiving():
        data = await request.body()
        return Answer({"upload": await shared.thumbnails.run(request, lambda: checked(data))}, 201)


@routes.get("/uploads/{digest}/thumbnail", response_class=Response)
async def upload_thumbnail(
    request: Request,
    shared: Shared,
    digest: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
    size: Size = SMALLEST,
) -> Response:
    """Give an uploaded picture as a small WebP."""
    data = shared.uploads.get(digest)
    if data is None:
        raise NoSuch("the picture is not here any more; send it again")
    pictures = shared.served(None).pictures
    small = await shared.thumbnails.run(request, lambda: pictures.thumbnail_of(data, size))
    return Response(small, headers={"Content-Type": "image/webp", "Cache-Control": FOR_EVER})


async def _picture(
    request: Request,
    shared: Context,
    served: Served,
    id: int,
    version: str | None,
    form: str,
    give: Callable[[Picture], tuple[bytes, dict[str, str]]],
) -> Response:
    """Answer with a form of an item's picture, tagged by what was indexed."""

    def answer() -> tuple[Picture, tuple[bytes, dict[str, str]] | None]:
        found = served.pictures.find([id]).get(id)
        if found is None:
            raise NoSuch("there is no such picture in the collection, or it is hidden")
        try:
            return found, None if is_current(request, _tag(found, form)) else give(found)
        except ImageError as error:
            raise ImageError(f"the picture of item {id} cannot be shown: {error}") from error

    found, given = await shared.thumbnails.run(request, answer)
    is_named = version == found.sha256.hex()[:VERSION_CHARACTERS]
    headers = {"ETag": _tag(found, form), "Cache-Control": FOR_EVER if is_named else ASK_AGAIN}
    headers["Content-Security-Policy"] = SANDBOX
    if given is None:
        return Response(status_code=304, headers=headers)
    data, more = given
    return Response(data, headers=headers | more)


def _tag(picture: Picture, form: str) -> str:
    return f'"{picture.sha256.hex()[:32]}-{form}"'


def _disposition(served: Served, id: int) -> str:
    """Name the file for whoever saves it; percent-encoded, so that no name can end the header."""
    items = served.engine.collection.items([id])
    name = short_name(items[0]) if items else "picture"
    return f"inline; filename*=UTF-8''{quote(name.encode(errors='replace'), safe='')}"
