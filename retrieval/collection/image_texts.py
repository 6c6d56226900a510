"""Texts of images that are not captions: stored by content and origin, or an attribute that words find."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from retrieval.collection.statement import ReadConnection, Select, Setting, id_list
from retrieval.collection.stored_values import WrongValue
from retrieval.types import Attribute, Box, ImageText, Origin

CORNERS = 8  # numbers of a box

READS_TEXT = "reads_text"
"""Name of the setting that is there while the text in new images is read after each run over a corpus."""


def read_image_texts(connection: ReadConnection, contents: Iterable[int]) -> dict[int, tuple[ImageText, ...]]:
    """Read the stored texts of image contents that are not empty, by content id.

    Raises:
        WrongValue: the boxes of a text are not what they should be.
    """
    found: dict[int, list[ImageText]] = {}
    for row in _TEXTS.rows(connection, id_list(contents)):
        found.setdefault(row.content, []).append(
            ImageText(row.origin, row.maker, row.text, parse_boxes(row.boxes))
        )
    return {content: tuple(texts) for content, texts in found.items()}


def count_image_texts(connection: ReadConnection) -> dict[str, int]:
    """Count the image contents that have a text that is not empty, by its origin and maker."""
    return {f"{row.origin} by {row.maker}": row.contents for row in _COUNTS.rows(connection)}


def reads_text(connection: ReadConnection) -> bool:
    """Whether the text in new images is read after each run over a corpus, because it was asked for once."""
    return bool(_READS_TEXT.rows(connection, READS_TEXT))


def described_by(attributes: Mapping[str, Attribute]) -> Iterator[ImageText]:
    """Give the title and the description of an image, by its attributes."""
    title, description = attributes.get("title"), attributes.get("description")
    if isinstance(title, str) and title:
        yield ImageText("title", None, title)
    if isinstance(description, str) and description and description != title:
        yield ImageText("description", None, description)


def parse_boxes(stored: str) -> tuple[Box, ...]:
    """Parse the boxes of a text.

    Raises:
        WrongValue: they are not a JSON list of lists of eight numbers.
    """
    if stored == "[]":
        return ()
    try:
        found = json.loads(stored)
        if isinstance(found, list) and all(map(_is_box, found)):
            return tuple(tuple(map(float, box)) for box in found)  # type: ignore[misc]  # of eight numbers, as checked
    except (ValueError, OverflowError, RecursionError):
        pass
    raise WrongValue("boxes of a text in an image are not lists of eight numbers")


def _is_box(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == CORNERS
        and all(type(number) in (int, float) for number in value)
    )


class _Text(NamedTuple):
    content: int
    origin: Origin
    maker: str
    text: str
    boxes: str


_TEXTS = Select(
    _Text,
    "SELECT content_id, origin, maker, text, boxes FROM image_texts "
    "WHERE content_id IN (SELECT value FROM json_each(?)) AND text <> '' ORDER BY content_id, origin",
)


class _Count(NamedTuple):
    origin: Origin
    maker: str
    contents: int


_COUNTS = Select(
    _Count,
    "SELECT origin, maker, count(*) FROM image_texts WHERE text <> '' AND EXISTS (SELECT 1 FROM items "
    "WHERE items.content_id = image_texts.content_id) GROUP BY origin, maker ORDER BY origin, maker",
)
_READS_TEXT = Select(Setting, "SELECT name, value FROM settings WHERE name = ?")
