"""Routes of albums: the searches that a collection keeps under names, in the form in which a search is posted.

Saving, renaming and deleting take ``--write``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from retrieval.collection import View
from retrieval.collection.albums import LONGEST_NAME, Album, AlbumPart
from retrieval.errors import AlbumTaken, NoSuchAlbum, UsageError
from retrieval.expressions import fields_of
from retrieval.query.albums import names_missing, part_of
from retrieval.query.parts import ItemPart, KeyPart
from retrieval.server.answers import Answer, is_local
from retrieval.server.bodies import Name, SearchBody
from retrieval.server.context import Shared
from retrieval.server.failures import NoSuch
from retrieval.server.search_routes import OF_THIS_MACHINE
from retrieval.server.writing import WAIT_S, Writing

routes = APIRouter(prefix="/v1")

AlbumName = Annotated[str, Path(min_length=1, max_length=LONGEST_NAME, description="An album's name.")]
IfNone = Annotated[
    str | None, Header(alias="If-None-Match", description="``*``: only if there is no album of that name.")
]
NO_ALBUM = "there is no album of that name"
TAKEN = "there is an album of that name already; choose another name, or delete that one first"
FRESH = {
    "Cache-Control": "private, no-cache"
}  # an album that is saved makes no generation, so there is no ETag


class RenameBody(BaseModel):
    """Another name for an album."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    collection: Name | None = None


@routes.get("/albums")
async def albums(request: Request, shared: Shared, collection: Name | None = None) -> Response:
    """List the albums of a collection, by name, each with what it asks."""
    served = shared.served(collection)

    def listed() -> dict[str, object]:
        with served.engine.collection.reading() as view:
            found = [album_answer(view, album, is_local(request)) for album in view.albums()]
        return {"collection": served.name, "albums": found}

    return Answer(await shared.searches.run(request, listed), headers=FRESH)


@routes.get("/albums/{name:path}")
async def album(
    request: Request, shared: Shared, name: AlbumName, collection: Name | None = None
) -> Response:
    """Give what an album asks: ``search`` is what ``POST /v1/search`` takes.

    That gives a ``k`` above 1,000 by pages.
    """
    served = shared.served(collection)

    def found() -> dict[str, object]:
        with served.engine.collection.reading() as view:
            albums = view.albums(name)
            if not albums:
                raise NoSuch(NO_ALBUM, NoSuchAlbum)
            return {"collection": served.name, **album_answer(view, albums[0], is_local(request))}

    return Answer(await shared.searches.run(request, found), headers=FRESH)


@routes.put("/albums/{name:path}")
async def save(
    request: Request, shared: Writing, name: AlbumName, asked: SearchBody, if_none_match: IfNone = None
) -> Response:
    """Keep a search under a name, in the place of an album of that name; only with ``--write``."""
    import indexer  # late: a server that only reads does without

    served = shared.served(asked.collection)
    if asked.area is not None or asked.cursor is not None:
        raise UsageError("an album keeps no choice on the map and no page; leave out area and cursor")

    def saved() -> dict[str, object]:
        query = asked.query(shared.uploads)
        album = served.engine.make_album(name, query, asked.request(), literal=asked.literal)
        replace = if_none_match != "*"
        try:
            indexer.save_album(served.engine.collection.path, album, replace=replace, timeout=WAIT_S)
        except AlbumTaken as error:
            raise HTTPException(412, TAKEN) from error
        return {"collection": served.name, "name": name}

    return Answer(await shared.writes.run(request, saved))


@routes.post("/albums/{name:path}")
async def rename(request: Request, shared: Writing, name: AlbumName, asked: RenameBody) -> Response:
    """Give an album another name; only with ``--write``."""
    import indexer  # late: as above

    served = shared.served(asked.collection)

    def renamed() -> dict[str, object]:
        with served.engine.collection.reading() as view:
            if asked.name != name and view.albums(asked.name):
                raise HTTPException(409, TAKEN)
        try:
            indexer.rename_album(served.engine.collection.path, name, asked.name, timeout=WAIT_S)
        except NoSuchAlbum as error:
            raise NoSuch(NO_ALBUM, NoSuchAlbum) from error
        return {"collection": served.name, "name": asked.name}

    return Answer(await shared.writes.run(request, renamed))


@routes.delete("/albums/{name:path}")
async def delete(
    request: Request, shared: Writing, name: AlbumName, collection: Name | None = None
) -> Response:
    """Delete an album, whose pictures stay; only with ``--write``."""
    import indexer  # late: as above

    served = shared.served(collection)

    def deleted() -> dict[str, object]:
        try:
            indexer.delete_album(served.engine.collection.path, name, timeout=WAIT_S)
        except NoSuchAlbum as error:
            raise NoSuch(NO_ALBUM, NoSuchAlbum) from error
        return {"collection": served.name, "name": name}

    return Answer(await shared.writes.run(request, deleted))


def album_answer(view: View, album: Album, local: bool) -> dict[str, object]:
    """Give the JSON of an album: its name, the body of its search, and the parts that cannot be asked with from here.

    Those are files that are not in the collection, which the server does not read for a client, and items that are
    gone. Clients elsewhere get the last parts of their names, and no condition on folders.
    """
    parts = [shown for part in album.parts if (shown := _part(view, part)) is not None]
    missing = names_missing(view, album.parts)
    asked = album.request
    where = asked.where
    if not local:
        missing = [name.replace("\\", "/").rpartition("/")[2] for name in missing]
        if where is not None and not fields_of(where).isdisjoint(OF_THIS_MACHINE):
            where, missing = None, [*missing, "folder"]
    search = {
        "parts": parts,
        "k": asked.k,
        "offset": asked.offset,
        "find": asked.find,
        "distinct": asked.distinct,
        "exact": asked.exact,
        "literal": album.literal,
        "where": None if where is None else str(where),
        "sort": asked.sort,
        "min_score": asked.min_score,
        "mode": asked.mode,
        "only": asked.only,
        "regions": asked.regions,
    }
    return {"name": album.name, "search": search, "missing": missing}


def _part(view: View, part: AlbumPart) -> Mapping[str, object] | None:
    """Give a part as it is posted: a text, or an item by its id."""
    if part.text is not None:
        return {"text": part.text, "weight": part.weight}
    found = part_of(view, part) if part.picture is None else None
    if isinstance(found, KeyPart):
        item = view.item(found.key)
        return None if item is None else {"item": item.id, "weight": part.weight}
    return {"item": found.id, "weight": part.weight} if isinstance(found, ItemPart) else None
