"""Routes that index corpora which a collection knows, and tell how far that is; changes only with ``--write``."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import asdict

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from retrieval.answers import json_line
from retrieval.errors import QueryError
from retrieval.server.answers import Answer, is_local
from retrieval.server.bodies import Name
from retrieval.server.context import Context, Shared
from retrieval.server.failures import NoSuch, without_paths
from retrieval.server.index_process import IndexTask
from retrieval.server.index_runs import IndexRun, RunUnderWay
from retrieval.server.served import Served
from retrieval.server.writing import Writing
from retrieval.uris import display

routes = APIRouter(prefix="/v1")

LOOK_S = 0.25  # between two looks at a run
BREATH_S = 15.0  # of silence, after which a line tells that the connection lives


class IndexBody(BaseModel):
    """What to index."""

    model_config = ConfigDict(extra="forbid")

    collection: Name | None = None
    corpora: list[Name] | None = Field(
        None, max_length=1000, description="Ids, as /v1/corpora has; null: all."
    )
    added: bool = Field(False, description="The folder of added pictures, before the others.")
    prune: bool = Field(False, description="Drop items that have vanished from their corpus.")
    retry_failed: bool = False


@routes.get("/corpora")
async def corpora(request: Request, shared: Shared, collection: Name | None = None) -> Response:
    """List the corpora that a collection was made from; their paths only for clients on this machine."""
    served, local = shared.served(collection), is_local(request)

    def listed() -> dict[str, object]:
        return {
            "collection": served.name,
            "corpora": [
                {
                    "id": _id_of(one.uri),
                    "name": _name_of(one.uri),
                    "uri": one.uri if local else None,
                    "format": one.format,
                    "images": one.images,
                    "texts": one.texts,
                    "failures": one.failures,
                    "read": one.read,
                    "can_be_indexed": one.spec is not None,
                }
                for one in served.engine.collection.corpora()
            ],
        }

    return Answer(await shared.searches.run(request, listed))


@routes.post("/index", status_code=202)
async def start(request: Request, shared: Writing, asked: IndexBody) -> Response:
    """Start to index corpora that the collection knows, in the background; one run at a time."""
    served = shared.served(asked.collection)
    task = await shared.searches.run(request, lambda: _task(shared, served, asked))
    try:
        run = await asyncio.to_thread(shared.runs.start, served.name, task)
    except RunUnderWay:
        raise HTTPException(
            409, "an index run is under way; wait for its end, or end it with DELETE /v1/index"
        ) from None
    return Answer(_shown(run, is_local(request)), 202)


@routes.get("/index")
async def state(request: Request, shared: Shared) -> Response:
    """Tell how far the index run under way is, or how the last one ended."""
    return Answer(_shown(_last(shared), is_local(request)))


@routes.get("/index/events", response_class=StreamingResponse)
async def events(request: Request, shared: Shared) -> Response:
    """Tell it again whenever it changes, as server-sent events, until the run ends."""
    _last(shared)
    return StreamingResponse(_events(shared, is_local(request)), media_type="text/event-stream")


@routes.delete("/index", status_code=202)
async def stop(request: Request, shared: Writing) -> Response:
    """End the index run under way; what it has done is committed first."""
    if not shared.runs.stop():
        raise NoSuch("no index run is under way")
    return Answer(_shown(_last(shared), is_local(request)), 202)


async def _events(shared: Context, local: bool) -> AsyncIterator[bytes]:
    told: tuple[int, int] | None = None
    silent = 0.0
    while True:
        run = _last(shared)
        if (run.number, run.changes) != told:
            told, silent = (run.number, run.changes), 0.0
            yield f"data: {json_line(_shown(run, local))}\n\n".encode()
        if run.state != "running":
            return
        await asyncio.sleep(LOOK_S)
        silent += LOOK_S
        if silent >= BREATH_S:
            silent = 0.0
            yield b":\n\n"


def _last(shared: Context) -> IndexRun:
    run = shared.runs.last
    if run is None:
        raise NoSuch("there has been no index run since the server started")
    return run


def _task(shared: Context, served: Served, asked: IndexBody) -> IndexTask:
    """Check what is asked for.

    Raises:
        QueryError: the collection has no such corpus, or it is not known how to read it.
    """
    if asked.added and shared.settings.add_to is None:
        raise QueryError("this server has no folder for added pictures; start it with --add-to FOLDER")
    wanted = None
    if asked.corpora is not None:
        known = {_id_of(one.uri): one for one in served.engine.collection.corpora()}
        for number in asked.corpora:
            if number not in known or known[number].spec is None:
                raise QueryError(
                    "the collection has no such corpus, or it has to be indexed by name once more"
                )
        wanted = tuple(known[number].uri for number in asked.corpora)
    elif asked.added:
        wanted = ()
    folder = shared.settings.add_to if asked.added else None
    return IndexTask(served.engine.collection.path, wanted, folder, asked.prune, asked.retry_failed)


def _shown(run: IndexRun, local: bool) -> dict[str, object]:
    """Give a run as JSON, with corpora by id and short name alone."""
    facts = asdict(run)
    del facts["changes"]
    facts["corpus"] = _corpus(run.corpus)
    facts["reports"] = [
        {**one, "corpus": _corpus(one["corpus"]), "error": _sentence(one["error"], local)}
        for one in facts["reports"]
    ]
    return {**facts, "error": _sentence(run.error, local)}


def _sentence(error: str | None, local: bool) -> str | None:
    return None if error is None else without_paths(error, local)


def _corpus(uri: str | None) -> dict[str, str] | None:
    return None if uri is None else {"id": _id_of(uri), "name": _name_of(uri)}


def _id_of(uri: str) -> str:
    return hashlib.sha256(uri.encode(errors="surrogatepass")).hexdigest()[:16]


def _name_of(uri: str) -> str:
    return display(uri).replace("\\", "/").rstrip("/").rpartition("/")[2] or "corpus"
