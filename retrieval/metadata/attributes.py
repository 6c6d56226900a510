"""The attributes that metadata gives, by their fixed names, and the form that their values take."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

from retrieval.texts import is_unicode, normalise_text
from retrieval.types import Attribute

MOST_CHARACTERS = 10_000  # of one text
MOST_KEYWORDS = 500  # in one list; each of at most _KEYWORD_CHARACTERS
_KEYWORD_CHARACTERS = 200


class AttributeRule(NamedTuple):
    """An attribute: what it means, and what makes a value of it, or None of an unusable one."""

    meaning: str
    tidy: Callable[[object], Attribute | None]


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    if not value.isprintable():  # most are, and each character costs
        value = "".join(c for c in value if c.isprintable() or c in "\n\t")
    text = normalise_text(value)
    return text if text and len(text) <= MOST_CHARACTERS and is_unicode(text) else None


def _line(value: object) -> str | None:
    text = _text(value)
    return " ".join(text.split()) or None if text is not None else None


def _texts(value: object) -> list[str] | None:
    if isinstance(value, str) or not isinstance(value, Iterable):
        return None
    lines = (_line(one) for one in value)
    unique = dict.fromkeys(line for line in lines if line and len(line) <= _KEYWORD_CHARACTERS)
    return list(unique)[:MOST_KEYWORDS] or None


def _number(low: float, high: float) -> Callable[[object], float | None]:
    def tidy(value: object) -> float | None:
        try:
            number = float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, ZeroDivisionError, OverflowError):
            return None
        return round(number, 7) if math.isfinite(number) and low <= number <= high else None

    return tidy


def _integer(low: int, high: int) -> Callable[[object], int | None]:
    as_float = _number(low, high)

    def tidy(value: object) -> int | None:
        number = as_float(value)
        return round(number) if number is not None else None

    return tidy


def _time(value: object) -> str | None:
    """Keep ISO 8601 times to the second, with their offset from UTC where one is known, from 1800 to 2200."""
    if not isinstance(value, str):
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not 1800 <= time.year <= 2200:
        return None
    with contextlib.suppress(ValueError):  # a day alone, perhaps without hyphens or as a day of a week
        return date.fromisoformat(value).isoformat()
    return time.isoformat(timespec="seconds")


def _flag(value: object) -> bool | None:
    return True if value is True else None


RULES: Mapping[str, AttributeRule] = {
    "taken": AttributeRule(
        "when, in ISO 8601: the clock of the place; with the offset from UTC where it is written", _time
    ),
    "camera": AttributeRule("make and model", _line),
    "time": AttributeRule("of a frame of a video: seconds from its beginning", _number(0, 1e8)),
    "duration": AttributeRule("of a video, in seconds", _number(0, 1e8)),
    "lens": AttributeRule("model of the lens", _line),
    "focal_length": AttributeRule("in millimetres", _number(0.1, 100_000)),
    "aperture": AttributeRule("the f-number", _number(0.1, 1_000)),
    "exposure": AttributeRule("in seconds", _number(1e-6, 1e6)),
    "iso": AttributeRule("sensitivity", _integer(1, 10_000_000)),
    "lat": AttributeRule("degrees north, WGS 84", _number(-90, 90)),
    "lon": AttributeRule("degrees east, WGS 84", _number(-180, 180)),
    "altitude": AttributeRule("metres above the sea", _number(-20_000, 100_000)),
    "title": AttributeRule("a short text", _line),
    "description": AttributeRule("a longer text", _text),
    "keywords": AttributeRule("a list of texts", _texts),
    "people": AttributeRule("names of those shown, a list of texts", _texts),
    "rating": AttributeRule("0 to 5 stars; -1: rejected", _integer(-1, 5)),
    "label": AttributeRule("a colour or word", _line),
    "favorite": AttributeRule("true, or absent", _flag),
    "creator": AttributeRule("who took it", _line),
    "city": AttributeRule("a place name", _line),
    "region": AttributeRule("state or province", _line),
    "country": AttributeRule("a place name", _line),
}
"""The attributes by name."""

_JOINED = ("keywords", "people")


def checked(values: object) -> dict[str, Attribute]:
    """Give the attributes in a JSON value that may come from anybody; what is not one is left out."""
    known = values.items() if isinstance(values, dict) else ()
    return tidied({name: value for name, value in known if name in RULES})


def tidied(found: Mapping[str, object]) -> dict[str, Attribute]:
    """Bring values to the form of their attributes; leave out what is unusable, and a place without both numbers."""
    tidy: dict[str, Attribute] = {}
    for name, value in found.items():
        kept = RULES[name].tidy(value)
        if kept is not None:
            tidy[name] = kept
    lat, lon = tidy.get("lat"), tidy.get("lon")
    if lat is None or lon is None or (lat == 0 and lon == 0):  # what cameras write that have no fix
        for name in ("lat", "lon", "altitude"):
            tidy.pop(name, None)
    return tidy


def merged(sources: Iterable[Mapping[str, Attribute]]) -> dict[str, Attribute]:
    """Join the attributes of several sources, the most trusted first: lists are joined, of others the first counts.

    A place is taken from one source as a whole.
    """
    whole: dict[str, Attribute] = {}
    for source in sources:
        has_place = "lat" in whole
        for name, value in source.items():
            if has_place and name in ("lat", "lon", "altitude"):
                continue
            if name in _JOINED:
                before, more = whole.get(name, []), value
                assert isinstance(before, list), "by its rule"
                assert isinstance(more, list), "by its rule"
                whole[name] = list(dict.fromkeys([*before, *more]))[:MOST_KEYWORDS]
            else:
                whole.setdefault(name, value)
    return {name: whole[name] for name in RULES if name in whole}
