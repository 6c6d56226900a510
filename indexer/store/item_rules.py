"""What holds for every item of a collection, whoever wrote it: import refuses what breaks a rule, doctor reports it.

Each rule is a function from a value to a clause that says what is wrong with it, or to None.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Protocol

from retrieval.collection.image_texts import CORNERS
from retrieval.locations.extents import is_extent
from retrieval.texts import is_unicode, normalise_text
from retrieval.types import ORIGINS, Kind

LARGEST = 2**63 - 1  # what SQLite's integers hold
MOST_CHARACTERS = 2**20  # of a text of an image
_MOST_DIGITS = 640  # of an integer, which Python converts to and from text whatever its settings


class StoredItem(Protocol):
    """A row of ``items`` joined with its content, as far as rules look at it."""

    uri: str
    kind: Kind
    key: str | None
    lang: str | None
    attributes: str
    stamp: str | None
    extent: str | None
    text: str | None
    width: int | None
    height: int | None


def stored_item_fault(item: StoredItem) -> str | None:
    """Find the first rule that a row of the catalogue breaks."""
    return (
        uri_fault(item.uri)
        or (key_fault(item.key) if item.key is not None else None)
        or word_fault("lang", item.lang)
        or word_fault("stamp", item.stamp)
        or extent_fault(item.extent)
        or stored_attributes_fault(item.attributes)
        or (text_fault(item.text) if item.kind == "text" else size_fault(item.width, item.height))
    )


def uri_fault(uri: object) -> str | None:
    """A uri is a text with at least one character."""
    return None if isinstance(uri, str) and uri and is_unicode(uri) else "the uri is not a text of characters"


def key_fault(key: object) -> str | None:
    """A key is a text with at least one character."""
    return None if isinstance(key, str) and key and is_unicode(key) else "the key is not a text of characters"


def word_fault(name: str, value: object) -> str | None:
    """A language or a stamp is a text, where it is known."""
    whole = value is None or (isinstance(value, str) and is_unicode(value))
    return None if whole else f"the {name} is not a text of characters"


def extent_fault(extent: object) -> str | None:
    """An extent is ``offset+size`` in bytes of a member of an archive, or names a row and column of a table."""
    whole = extent is None or (isinstance(extent, str) and is_unicode(extent) and is_extent(extent))
    return None if whole else "the extent is neither offset+size in bytes nor a row of a column"


def size_fault(width: object, height: object) -> str | None:
    """Width and height of an image are whole numbers from 1, or both unknown."""
    if width is None and height is None:
        return None
    whole = all(type(side) is int and 1 <= side <= LARGEST for side in (width, height))
    return None if whole else "width and height are not whole numbers from 1"


def image_text_fault(origin: object, maker: object, text: object, boxes: object) -> str | None:
    """A text of an image has an origin and a maker; it may be empty, and where it has boxes it has one a line."""
    if origin not in ORIGINS:
        return f"the origin is not one of {', '.join(ORIGINS)}"
    if not isinstance(maker, str) or not maker or not is_unicode(maker):
        return "the maker is not a text of characters"
    if not isinstance(text, str) or not is_unicode(text) or len(text) > MOST_CHARACTERS:
        return f"the text is not one of at most {MOST_CHARACTERS} characters"
    if not isinstance(boxes, (tuple, list)):
        return "the boxes are not a list"
    if boxes and len(boxes) != len(text.split("\n")):
        return "there is not a box for each line"
    return None if all(map(_is_box, boxes)) else "a box is not eight shares of width and height"


def _is_box(box: object) -> bool:
    """Corners may lie a little outside of the image."""
    if not isinstance(box, (tuple, list)) or len(box) != CORNERS:
        return False
    return all(
        isinstance(number, (int, float)) and not isinstance(number, bool) and -1 <= number <= 2
        for number in box
    )


def text_fault(text: object) -> str | None:
    """A text is not empty, and normalised as the catalogue keeps it (NFC, stripped)."""
    if not isinstance(text, str) or not text or not is_unicode(text):
        return "the text is not a text of characters"
    return None if normalise_text(text) == text else "the text is not normalised"


def stored_attributes_fault(attributes: object) -> str | None:
    """Attributes are kept as a JSON object."""
    try:
        values = json.loads(attributes) if isinstance(attributes, str) else None
    except (ValueError, RecursionError):
        return "the attributes are not JSON"
    return attributes_fault(values) if isinstance(values, dict) else "the attributes are not a JSON object"


def attributes_fault(attributes: Mapping[str, object]) -> str | None:
    """Attributes are named, plain JSON values, or lists of texts."""
    for name, value in attributes.items():
        if not isinstance(name, str) or not is_unicode(name):
            return "the name of an attribute is not a text of characters"
        if isinstance(value, float) and not math.isfinite(value):
            return f"the attribute {name!r} is {value}, which JSON cannot hold"
        if isinstance(value, int) and abs(value) >= 10**_MOST_DIGITS:
            return f"the attribute {name!r} is a number of more than {_MOST_DIGITS} digits"
        for part in value if isinstance(value, list) else (value,):
            nested = part is not value and not isinstance(part, str)
            if nested or not isinstance(part, (str, int, float, bool, type(None))):
                return f"the attribute {name!r} is not a plain value"
            if isinstance(part, str) and not is_unicode(part):
                return f"the attribute {name!r} holds half of a surrogate pair, which is not a character"
    return None
