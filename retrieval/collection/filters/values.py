"""Values of fields: how attributes are stored to be compared, and how a value of a condition is read beside them.

An attribute's values have one of five types. Texts are compared without regard to case, in the order of code points
(:func:`~retrieval.texts.fold`). A text that is an ISO 8601 date or time is a date; dates are compared as texts, where
a date that a condition names stands for all that begin with it: ``2021-05`` is the whole month, by the clock that wrote
the date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from retrieval.texts import fold
from retrieval.types import Attribute

Type = Literal["boolean", "date", "list", "number", "text"]

TYPES: tuple[Type, ...] = ("boolean", "date", "list", "number", "text")

Stored = int | float | str
"""A value as the catalogue holds it to be compared: a boolean is 0 or 1, a text is folded."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?", re.ASCII)
_DIGITS_OF_AN_INTEGER = 19  # of SQLite's 64 bits
_DATE = re.compile(
    r"[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01])"
    r"(?:[T ](?:[01][0-9]|2[0-4])(?::[0-5][0-9](?::[0-6][0-9](?:\.[0-9]{1,9})?)?)?"
    r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?)?",
    re.ASCII | re.IGNORECASE,
)
_BOOLEANS = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}
_LAST_CHARACTER = "\U0010ffff"


class TypedValue(NamedTuple):
    """One value of an attribute; a list has one for each of its elements."""

    name: str
    type: Type
    value: Stored


def typed_values(attributes: Mapping[str, Attribute]) -> Iterator[TypedValue]:
    """Give the values of an item's attributes as they are compared; null and empty lists have none."""
    for name, value in attributes.items():
        if isinstance(value, bool):
            yield TypedValue(name, "boolean", int(value))
        elif isinstance(value, (int, float)):
            yield TypedValue(name, "number", stored_number(value))
        elif isinstance(value, str):
            date = stored_date(value)
            yield TypedValue(name, "text", fold(value)) if date is None else TypedValue(name, "date", date)
        elif value is not None:
            for text in dict.fromkeys(map(fold, value)):
                yield TypedValue(name, "list", text)


def stored_number(value: float) -> int | float:
    """Fit a number into what SQLite stores: integers of 64 bits, or floating point."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        try:
            return float(value)
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    return value


def stored_date(text: str) -> str | None:
    """Give the date or time that a whole text is; None where it is another text, or only a number of four digits."""
    if len(text) < len("2021-05") or not _DATE.fullmatch(text):
        return None
    return text.replace(" ", "T").upper()


def as_number(value: object) -> int | float | None:
    """Read a value of a condition as a number."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return stored_number(value) if math.isfinite(value) else None
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        return None
    digits = value.lstrip("+-")
    if digits.isdigit() and len(digits) <= _DIGITS_OF_AN_INTEGER:
        return stored_number(int(value))
    return float(value)


def as_date(value: object) -> str | None:
    """Read a value of a condition as a date or the beginning of one: a year, a month, a day, an hour, ..."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return text.replace(" ", "T").upper() if isinstance(text, str) and _DATE.fullmatch(text) else None


def as_boolean(value: object) -> int | None:
    """Read a value of a condition as true (1) or false (0)."""
    return _BOOLEANS.get(str(value).lower())


def as_text(value: object) -> str:
    """Read a value of a condition as a text."""
    return fold(str(value).lower() if isinstance(value, bool) else str(value))


def after_all_with_prefix(prefix: str) -> str | None:
    """Give the first text, in the order of code points, after all that begin with ``prefix``; None if there is none."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    last = ord(stem[-1]) + 1
    return stem[:-1] + chr(0xE000 if last == 0xD800 else last)  # no surrogates: they are not characters
