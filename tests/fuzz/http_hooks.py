"""What schemathesis is told of the server: what earlier answers named, so that most requests get past the checks.

Three of four requests are made plausible before they are sent: ids, keys, cursors, uploads, albums and generations that
the server itself has given, a real picture where one is uploaded, conditions that can be read. The rest stay as wild as
they were made.
"""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from PIL import Image

WILD = 4  # of so many requests, one stays as it was made
KEPT = 50  # values of a kind that are remembered
CONDITIONS = (
    "taken in 2021",
    "camera contains a",
    "width > 500",
    'name starts with "picture"',
    "rating >= 3",
)
FIELDS = ("year", "month", "folder", "camera", "keywords")
AREAS = ("0,0,10000,10000", "2000,2000,9000,9000")
WORDS = ("beach", "a dog without a ball", "caption 4", "海滩")


@dataclass
class Seen:
    """What the server has named in its answers, the latest last."""

    ids: list[int] = field(default_factory=lambda: [1])
    keys: list[str] = field(default_factory=list)
    uploads: list[str] = field(default_factory=list)
    albums: list[str] = field(default_factory=lambda: ["sea"])
    corpora: list[str] = field(default_factory=list)
    generations: list[int] = field(default_factory=list)
    pages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Searches with the cursor of their next page, each with its route."""

    def take(self, facts: Any) -> None:
        """Remember what an answer names."""
        if isinstance(facts, list):
            for one in facts:
                self.take(one)
        if not isinstance(facts, dict):
            return
        for name, known in (
            ("id", self.ids), ("key", self.keys), ("upload", self.uploads), ("generation", self.generations),
        ):  # fmt: skip
            if isinstance(facts.get(name), int if known in (self.ids, self.generations) else str):
                remember(known, facts[name])
        for one in facts.get("albums") or ():
            remember(self.albums, one["name"])
        for one in facts.get("corpora") or ():
            remember(self.corpora, one["id"])
        for value in facts.values():
            self.take(value)


def remember(known: list[Any], value: Any) -> None:
    """Keep a value once, and forget the oldest."""
    if value not in known:
        known.append(value)
        del known[:-KEPT]


SEEN = Seen()


class Chooser:
    """Choices that follow from a request itself, so that a seed makes the same ones."""

    def __init__(self, case: schemathesis.Case) -> None:
        made = (case.method, case.operation.path, case.path_parameters, case.query, case.body)
        self._state = zlib.crc32(repr(made).encode(errors="backslashreplace"))

    def number(self, below: int) -> int:
        """Give a number from 0 to below a limit."""
        self._state = (self._state * 1_103_515_245 + 12_345) % 2**31
        return (self._state >> 8) % below

    def one_of(self, values: Sequence[Any]) -> Any:
        """Give one of some values."""
        return values[self.number(len(values))]


@schemathesis.hook  # type: ignore[untyped-decorator]  # it may not be installed
def before_call(context: Any, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Make most requests plausible."""
    chooser = Chooser(case)
    if chooser.number(WILD) == 0:
        return
    path, method = case.operation.path, case.method.upper()
    if method == "POST" and path == "/v1/uploads":
        case.body, case.media_type = picture(chooser.number(1000)), "application/octet-stream"
        return
    case.path_parameters = plausible(case.path_parameters, chooser)
    if "name" in (case.path_parameters or {}) and path.startswith("/v1/albums/"):
        case.path_parameters["name"] = chooser.one_of(SEEN.albums)
    case.query = plausible(case.query, chooser)
    if path == "/v1/search" and isinstance(case.query, dict) and not {"text", "item"} & set(case.query):
        case.query["text"] = chooser.one_of(WORDS)
    case.body = plausible(case.body, chooser)
    if method == "PUT" and isinstance(case.body, dict):
        case.body.pop("area", None)  # which no album keeps
    if method == "POST" and path == "/v1/search" and SEEN.pages and chooser.number(3) == 0:
        cursor, asked = chooser.one_of(SEEN.pages)
        case.body = {**asked, "cursor": cursor}


@schemathesis.hook  # type: ignore[untyped-decorator]  # it may not be installed
def after_call(context: Any, case: schemathesis.Case, response: Any) -> None:
    """Remember what the answer names."""
    if response.status_code not in (200, 201):
        return
    try:
        facts = json.loads(response.content)
    except ValueError:
        return
    SEEN.take(facts)
    if case.operation.path == "/v1/search" and isinstance(case.body, dict) and facts.get("cursor"):
        asked = {name: value for name, value in case.body.items() if name != "cursor"}
        remember(SEEN.pages, (facts["cursor"], asked))


def picture(number: int) -> bytes:
    """A small picture, one of a thousand."""
    written = io.BytesIO()
    Image.new("RGB", (8 + number % 40, 8), (number % 256, number // 4, 90)).save(written, "PNG")
    return written.getvalue()


def plausible(given: Any, chooser: Chooser) -> Any:
    """Give a value with what the server knows in the place of what it cannot know."""
    if isinstance(given, list):
        return [plausible(one, chooser) for one in given]
    if not isinstance(given, dict):
        return given
    kept = {
        name: known(value, chooser) if (known := KNOWN.get(name)) else plausible(value, chooser)
        for name, value in given.items()
        if name != "collection" and value is not None
    }
    return {name: value for name, value in kept.items() if value is not None}


def known_parts(value: Any, chooser: Chooser) -> Any:
    """Parts of a query, each of one thing that there is, in the place of others; at least one."""
    if not isinstance(value, list):
        return value
    things: list[dict[str, Any]] = [{"text": one} for one in WORDS]
    things += [{"item": one} for one in SEEN.ids] + [{"upload": one} for one in SEEN.uploads]
    return [chooser.one_of(things) | {"weight": chooser.one_of((1, -0.5, 2))} for _ in value[:3] or [None]]


def known_id(value: Any, chooser: Chooser) -> Any:
    """An id of an item in the place of another number."""
    return chooser.one_of(SEEN.ids) if isinstance(value, int) and not isinstance(value, bool) else value


def known_ids(value: Any, chooser: Chooser) -> Any:
    """Ids of items in the place of other numbers."""
    return (
        [known_id(one, chooser) for one in value[:5]] if isinstance(value, list) else known_id(value, chooser)
    )


def one_of(values: Callable[[], Sequence[Any]]) -> Callable[[Any, Chooser], Any]:
    """One of what is known, in the place of anything; nothing where nothing is."""
    return lambda _, chooser: chooser.one_of(found) if (found := values()) else None


KNOWN: dict[str, Callable[[Any, Chooser], Any]] = {
    "id": known_id,
    "item": known_ids,
    "before": known_id,
    "items": known_ids,
    "unlike": known_ids,
    "key": one_of(lambda: SEEN.keys),
    "upload": one_of(lambda: SEEN.uploads),
    "digest": one_of(lambda: SEEN.uploads or ["0" * 64]),
    "corpora": lambda _, chooser: [chooser.one_of(SEEN.corpora)] if SEEN.corpora else None,
    "generation": one_of(lambda: SEEN.generations[-1:]),
    "where": one_of(lambda: CONDITIONS),
    "area": lambda _, chooser: chooser.one_of((*AREAS, None, None, None)),
    "parts": known_parts,
    "field": lambda _, chooser: [chooser.one_of(FIELDS)],
    "text": one_of(lambda: WORDS),
    "crop": lambda _, chooser: None,
    "cursor": lambda _, chooser: None,
    "only": lambda _, chooser: None,
    "min_score": lambda _, chooser: None,
}
