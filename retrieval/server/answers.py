"""Answers of the HTTP API: the JSON of :mod:`retrieval.answers`, with what a page needs beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from retrieval.answers import hit_facts, item_facts, json_line
from retrieval.collection import CollectionInfo
from retrieval.moments import clock, moment_of, video_of
from retrieval.query.pictures import Picture
from retrieval.query.without import Reading
from retrieval.types import Hit, Item
from retrieval.uris import last_part

VERSION_CHARACTERS = 16  # of a digest in hexadecimal: enough to tell the versions of one item apart


class Answer(Response):
    """A JSON object as a response."""

    media_type = "application/json"

    def __init__(
        self, facts: Mapping[str, object], status_code: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(json_line(facts).encode(), status_code, headers)


def is_local(request: Request) -> bool:
    """Whether whoever asks sits at this machine, as the guard found."""
    return bool(request.scope.get("state", {}).get("local", False))


def hit_answer(hit: Hit, picture: Picture | None, local: bool) -> dict[str, object]:
    """Give the JSON of a hit."""
    return _shown(hit_facts(hit), hit.item, picture, local)


def item_answer(item: Item, picture: Picture | None, local: bool) -> dict[str, object]:
    """Give the JSON of an item."""
    return _shown(item_facts(item), item, picture, local)


def hits_answer(hits: Sequence[Hit], pictures: Mapping[int, Picture], local: bool) -> list[dict[str, object]]:
    """Give the JSON of hits, in their order."""
    return [hit_answer(hit, pictures.get(hit.id), local) for hit in hits]


def items_answer(
    items: Sequence[Item], pictures: Mapping[int, Picture], local: bool
) -> list[dict[str, object]]:
    """Give the JSON of items, in their order."""
    return [item_answer(item, pictures.get(item.id), local) for item in items]


def reading_answer(reading: Reading) -> dict[str, object]:
    """Give the JSON of how a text was read."""
    return {"wanted": reading.wanted, "unwanted": list(reading.unwanted)}


def info_answer(name: str, info: CollectionInfo, local: bool) -> dict[str, object]:
    """Give the JSON of a collection's totals, its path only to who sits at this machine."""
    facts = {"name": name, **asdict(info)}
    return facts if local else {**facts, "path": None}


def short_name(item: Item) -> str:
    """Name an item for people: the last part of its path, or of its place in an archive.

    A text has its file's name, and a frame its video's.
    """
    uri = item.uri.partition("#")[0] if item.kind == "text" else video_of(item.uri) or item.uri
    return last_part(uri)


def _shown(facts: dict[str, Any], item: Item, picture: Picture | None, local: bool) -> dict[str, object]:
    """Add an item's name, its moment of a video, its size and its picture's version; no paths for clients elsewhere."""
    facts["name"] = short_name(item)
    seconds = moment_of(item.uri)
    facts["moment"] = None if seconds is None else clock(seconds)
    facts["width"] = picture.width if picture else None
    facts["height"] = picture.height if picture else None
    facts["version"] = picture.sha256.hex()[:VERSION_CHARACTERS] if picture else None
    if not local and item.uri.startswith("file:"):
        facts |= {"uri": None, "path": None}
        facts["captions"] = [{**caption, "uri": None} for caption in facts["captions"]]
    return facts
