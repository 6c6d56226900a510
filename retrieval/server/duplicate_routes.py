"""The route that gives the duplicates of a collection, found in the background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from retrieval.collection import View
from retrieval.duplicates.find import Duplicates, is_kept
from retrieval.duplicates.group_facts import group_facts
from retrieval.duplicates.groups import DuplicateClass, DuplicateGroup
from retrieval.server.answers import Answer, is_local, item_answer
from retrieval.server.background import progress_answer
from retrieval.server.bodies import Generation, Name, Offset
from retrieval.server.context import Shared
from retrieval.server.failures import GenerationGone
from retrieval.server.served import Served

routes = APIRouter(prefix="/v1")

FRESH = {"Cache-Control": "private, no-store"}  # decisions change an answer without a new generation
SHOWN = ("name", "version", "moment")


@routes.get("/duplicates")
async def duplicates(
    request: Request,
    shared: Shared,
    classes: Annotated[
        list[DuplicateClass] | None,
        Query(alias="class", description="bytes, picture, moment; all by default."),
    ] = None,
    k: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Offset = 0,
    fresh: Annotated[bool, Query(description="Look again if the collection has changed since.")] = False,
    generation: Generation | None = None,
    collection: Name | None = None,
) -> Response:
    """Give groups of copies, the best copy of each first; 202 with how far it is while they are being found.

    Groups that were settled, and copies that were hidden, since they were found are left out of their page.
    """
    served, local = shared.served(collection), is_local(request)
    held = await shared.searches.run(request, lambda: shared.duplicates.ask(served, fresh))
    if held.result is None or (fresh and held.is_running):
        return Answer({"status": "running", **progress_answer(held.progress)}, 202, FRESH)
    if generation is not None and generation != held.generation:
        raise GenerationGone
    found = held.result

    def page() -> dict[str, object]:
        wanted = [group for group in found.groups if classes is None or group.duplicates in classes]
        return {
            "status": "done",
            "collection": served.name,
            "generation": held.generation,
            "current": served.engine.collection.generation == held.generation,
            **_totals(found),
            "total": len(wanted),
            "offset": offset,
            "next": offset + k if offset + k < len(wanted) else None,
            "groups": _shown(served, wanted[offset : offset + k], local),
        }

    return Answer(await shared.searches.run(request, page), headers=FRESH)


def _totals(found: Duplicates) -> dict[str, object]:
    counts: dict[str, int] = {}
    for group in found.groups:
        counts[group.duplicates] = counts.get(group.duplicates, 0) + 1
    return {"images": found.images, "failed": found.failed, "kept": found.kept, "classes": counts}


def _shown(served: Served, groups: Sequence[DuplicateGroup], local: bool) -> list[dict[str, object]]:
    with served.engine.collection.reading() as view:
        kept = view.kept_duplicates()
        open_groups = [group for group in groups if not is_kept(group, kept)]
        return [facts for group in open_groups if (facts := _facts(served, view, group, local)) is not None]


def _facts(served: Served, view: View, group: DuplicateGroup, local: bool) -> dict[str, object] | None:
    """Give the JSON of a group, with what a page needs of each copy; None where fewer than two are left."""
    ids = [copy.id for copy in group.copies]
    pictures = served.pictures.find(ids)
    items = {item.id: item_answer(item, pictures.get(item.id), local) for item in view.items(ids)}
    facts = group_facts(group)
    copies = [
        {**copy, **{name: items[copy["id"]][name] for name in SHOWN}}
        for copy in facts["copies"]  # type: ignore[attr-defined]  # a list of dicts
        if copy["id"] in items
    ]
    if not local:
        copies = [
            {**copy, "uri": None, "path": None} if str(copy["uri"]).startswith("file:") else copy
            for copy in copies
        ]
    return {**facts, "copies": copies} if len(copies) > 1 else None
