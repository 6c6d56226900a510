"""Texts of images that are not captions, in a column of an export."""

from __future__ import annotations

import json
from collections.abc import Iterable

from indexer.store.changes import NewImageText
from indexer.store.item_rules import image_text_fault
from retrieval.types import ORIGINS, ImageText, Origin


def texts_json(texts: Iterable[ImageText]) -> str | None:
    """Write the stored texts of an image; None where it has none."""
    held = {text.origin: [text.maker, text.text, text.boxes] for text in texts}
    return json.dumps(held, ensure_ascii=False, sort_keys=True) if held else None


def parse_texts(stored: str) -> dict[Origin, NewImageText]:
    """Read what :func:`texts_json` wrote, checking every text against the rules.

    Raises:
        ValueError: it breaks one; the message is a clause.
    """
    try:
        held = json.loads(stored)
    except (ValueError, RecursionError):
        raise ValueError("image_texts is not JSON") from None
    if not isinstance(held, dict) or not held.keys() <= set(ORIGINS):
        raise ValueError(f"image_texts is not a JSON object by origin ({', '.join(ORIGINS)})")
    return {origin: _parsed(origin, held[origin]) for origin in ORIGINS if origin in held}


def _parsed(origin: Origin, value: object) -> NewImageText:
    if not isinstance(value, list) or len(value) != 3 or not isinstance(value[2], list):
        raise ValueError("image_texts does not hold a maker, a text and boxes")
    maker, text, boxes = value
    if fault := image_text_fault(origin, maker, text, boxes):
        raise ValueError(f"image_texts: {fault}")
    return NewImageText(maker, text, tuple(tuple(map(float, box)) for box in boxes))  # type: ignore[misc]  # of eight
