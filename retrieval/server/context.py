"""What the routes of one server share."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import Depends, Request

from retrieval.errors import CollectionError
from retrieval.query.engine import SearchEngine
from retrieval.server.access import Tokens
from retrieval.server.background import Background
from retrieval.server.capacity import Lane
from retrieval.server.failures import GenerationGone, NoSuch
from retrieval.server.index_runs import IndexRuns
from retrieval.server.served import Collections, Served
from retrieval.server.settings import UPLOADS, ServerSettings
from retrieval.server.uploads import Uploads
from retrieval.types import OnProgress

if TYPE_CHECKING:
    from retrieval.analysis.collection_map import CollectionMap
    from retrieval.duplicates.find import Duplicates

Result = TypeVar("Result")
WRITES_WAITING = 32
FOLDERS_WAITING = 2  # to be opened: nobody looks at more windows
ATTEMPTS = 5  # commits that may overtake one answer


@dataclass(frozen=True, slots=True)
class Context:
    """Collections, uploads, lanes of searches, pictures, changes and folders, index runs, the background."""

    settings: ServerSettings
    collections: Collections
    uploads: Uploads
    searches: Lane
    thumbnails: Lane
    duplicates: Background[Duplicates]
    maps: Background[CollectionMap]
    writes: Lane
    desktop: Lane
    runs: IndexRuns
    tokens: Tokens | None
    cookie: str

    @classmethod
    def of(
        cls, settings: ServerSettings, collections: Collections, tokens: Tokens | None, cookie: str
    ) -> Context:
        """Make what a server with these settings needs."""
        pictures = max(2, os.cpu_count() or 1)
        return cls(
            settings,
            collections,
            Uploads(settings.kept_bytes, None if settings.shared is None else settings.shared / UPLOADS),
            Lane("search", settings.searching, settings.waiting, settings.seconds),
            Lane("picture", pictures, settings.waiting, settings.seconds),
            Background("duplicates", _find_duplicates),
            Background("map", _lay_out),
            Lane("write", 1, WRITES_WAITING, settings.seconds),
            Lane("desktop", 1, FOLDERS_WAITING, settings.seconds),
            IndexRuns(),
            tokens,
            cookie,
        )

    def served(self, name: str | None) -> Served:
        """Find a collection by name, or the first.

        Raises:
            NoSuch: there is none of that name.
        """
        found = self.collections.find(name)
        if found is None:
            raise NoSuch("there is no collection of that name here")
        return found

    def close(self) -> None:
        """End the threads."""
        self.searches.close()
        self.thumbnails.close()
        self.duplicates.close()
        self.maps.close()
        self.writes.close()
        self.desktop.close()
        self.runs.close()


def _find_duplicates(engine: SearchEngine, on_progress: OnProgress) -> Duplicates:
    return engine.duplicates(on_progress=on_progress)


def _lay_out(engine: SearchEngine, on_progress: OnProgress) -> CollectionMap:
    return engine.map()


async def context_of(request: Request) -> Context:
    """Give the context of the application that answers a request."""
    context: Context = request.app.state.context
    return context


Shared = Annotated[Context, Depends(context_of)]


def in_one_generation(
    served: Served, call: Callable[[], Result], wanted: int | None = None
) -> tuple[int, Result]:
    """Make a call of several reads that see one state of a collection, and give its number with what came of it.

    Raises:
        GenerationGone: the collection is not, or no longer, in the state ``wanted``.
        CollectionError: it is written to so often that no state lasts.
    """
    for _ in range(ATTEMPTS):
        generation = served.engine.collection.generation
        if wanted is not None and generation != wanted:
            raise GenerationGone
        result = call()
        if served.engine.collection.generation == generation:
            return generation, result
    raise CollectionError("the collection is being written to; ask again later")


def is_current(request: Request, tag: str) -> bool:
    """Whether a client has the version of an answer that a tag names already."""
    known = request.headers.get("if-none-match", "")
    return tag in (one.strip().removeprefix("W/") for one in known.split(","))
