"""Routes that change what a collection says of its items, and add pictures; only with ``--write``."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from retrieval.errors import CollectionError, UsageError
from retrieval.places import CollectionPlace
from retrieval.query.pictures import media_type
from retrieval.server.answers import Answer, is_local
from retrieval.server.bodies import Digest, ItemId, Name
from retrieval.server.context import Context, Shared
from retrieval.server.failures import NoSuch
from retrieval.server.search_routes import Id
from retrieval.server.writing import WAIT_S, Writing
from retrieval.suffixes import is_image_name, suffix_of
from retrieval.types import Kind

routes = APIRouter(prefix="/v1")

MOST_ITEMS = 10_000
SUFFIXES = {
    "image/jpeg": ".jpg", "image/png": ".png", "image/gif": ".gif", "image/webp": ".webp", "image/avif": ".avif",
}  # fmt: skip
LONGEST_STEM = 80  # characters of a name that a client gives

Tag = Annotated[str, Field(max_length=1000)]
Value = str | bool | int | float | list[Tag] | None


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    collection: Name | None = None


class ItemsBody(_Change):
    """Items to be changed, by id."""

    items: list[ItemId] = Field(min_length=1, max_length=MOST_ITEMS)


class AttributesBody(_Change):
    """Attributes to be set; null takes one away."""

    attributes: dict[Name, Value] = Field(min_length=1, max_length=64)


class AddBody(_Change):
    """An uploaded picture to be kept."""

    upload: Digest
    name: Annotated[str, Field(max_length=255, description="Of its file; only its last part counts.")] = ""


@routes.post("/hide")
async def hide(request: Request, shared: Writing, asked: ItemsBody) -> Response:
    """Hide items: no search finds them until they are unhidden, and their files stay."""
    import indexer  # late: a server that only reads does without

    return await _changed(
        request, shared, asked, lambda place: indexer.hide(place, asked.items, timeout=WAIT_S)
    )


@routes.post("/unhide")
async def unhide(request: Request, shared: Writing, asked: ItemsBody) -> Response:
    """Let hidden items be found again."""
    import indexer  # late: as above

    return await _changed(
        request, shared, asked, lambda place: indexer.unhide(place, asked.items, timeout=WAIT_S)
    )


@routes.get("/hidden")
async def hidden(
    request: Request, shared: Shared, kind: Kind = "image", collection: Name | None = None
) -> Response:
    """List the hidden items of a kind, by id; without pictures, and with names of files only on this machine."""
    served, local = shared.served(collection), is_local(request)

    def listed() -> dict[str, object]:
        with served.engine.collection.reading() as view:
            rows = view.rows(view.hidden_ids(kind)[:MOST_ITEMS])
            return {
                "collection": served.name,
                "generation": view.generation,
                "items": [{"id": row.id, "uri": row.uri if local else None} for row in rows],
            }

    return Answer(await shared.searches.run(request, listed))


@routes.post("/duplicates/keep")
async def keep(request: Request, shared: Writing, asked: ItemsBody) -> Response:
    """Keep duplicates: they are not listed together again."""
    import indexer  # late: as above

    return await _changed(
        request, shared, asked, lambda place: indexer.keep(place, asked.items, timeout=WAIT_S)
    )


@routes.post("/duplicates/forget")
async def forget(request: Request, shared: Writing, asked: ItemsBody) -> Response:
    """Take back that duplicates are kept."""
    import indexer  # late: as above

    return await _changed(
        request, shared, asked, lambda place: indexer.forget_kept(place, asked.items, timeout=WAIT_S)
    )


@routes.post("/items/{id}/attributes")
async def set_attributes(request: Request, shared: Writing, id: Id, asked: AttributesBody) -> Response:
    """Set attributes of an item, such as keywords; the others stay, and one that is null goes."""
    import indexer  # late: as above

    def change(place: CollectionPlace) -> int:
        done = indexer.set_attributes(place, [id], asked.attributes, timeout=WAIT_S)
        if not done:
            raise NoSuch("there is no such item in the collection")
        return done

    return await _changed(request, shared, asked, change)


@routes.post("/pictures", status_code=201)
async def add_picture(request: Request, shared: Writing, asked: AddBody) -> Response:
    """Keep an uploaded picture as a file in the folder of the server for them; ``POST /v1/index`` takes it in."""
    shared.served(asked.collection)
    folder, data = shared.settings.add_to, shared.uploads.get(asked.upload)
    if folder is None:
        raise HTTPException(403, "this server adds no pictures; start it with --write and --add-to FOLDER")
    if data is None:
        raise NoSuch("the picture is not here any more; send it again")
    name = file_name(asked.name, data, asked.upload)
    await shared.writes.run(request, lambda: _keep_file(folder, name, data))
    return Answer({"file": name}, 201)


def file_name(given: str, data: bytes, digest: str) -> str:
    """Name the file of a picture: a safe part of the name given, the begin of its digest, and a suffix that is true.

    Raises:
        UsageError: neither content nor name tell what kind of picture it is.
    """
    last = re.split(r"[/\\]", given)[-1]
    stem = re.sub(r"[^\w.-]+", "-", last.removesuffix(Path(last).suffix)).strip(".-_")[:LONGEST_STEM]
    suffix = SUFFIXES.get(media_type(data) or "") or (suffix_of(last) if is_image_name(last) else None)
    if suffix is None:
        raise UsageError("it is not known what kind of picture this is; give it a name, such as sea.heic")
    return f"{stem or 'picture'}-{digest[:12]}{suffix}"


def _keep_file(folder: Path, name: str, data: bytes) -> None:
    """Write a file whole or not at all; one that is there already is the same picture."""
    part = folder / f".{name}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(folder / name)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise CollectionError(
            f"cannot write the picture ({error.strerror}); ask whoever runs the server"
        ) from error


async def _changed(
    request: Request, shared: Context, asked: _Change, change: Callable[[CollectionPlace], int]
) -> Response:
    """Make a change, one at a time, and tell how many items it was of, and the generation after it."""
    served = shared.served(asked.collection)
    done = await shared.writes.run(request, lambda: change(served.engine.collection.path))
    generation = served.engine.collection.generation
    return Answer({"collection": served.name, "changed": done, "generation": generation})
