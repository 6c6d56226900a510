"""Types of the catalogue's columns that refuse what they do not stand for.

SQLite stores any value in any column, and a catalogue may come from a stranger or a broken disk: a blob in place of a
uri would come up as a TypeError far from its cause.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Integer, LargeBinary, String
from sqlalchemy.exc import DatabaseError

NUMBER_LIMIT = 2**63
DIGEST_BYTES = 32


class WrongValue(DatabaseError):
    """A value in the catalogue is not of its column's type; a DatabaseError, as what SQLite itself finds is."""

    def __init__(self, found: str) -> None:
        super().__init__(None, None, ValueError(found))


def number_of(value: object, name: str) -> int:
    """Parse the number that a setting holds as text.

    Raises:
        WrongValue: it is not a decimal number from 0 to 2**63 - 1.
    """
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        number = int(value)
        if number < NUMBER_LIMIT:
            return number
    raise WrongValue(f"the setting {name} is not a number")


def count_of(value: object, what: str, limit: int = NUMBER_LIMIT) -> int:
    """Check a number that SQLite has computed, which is not of a column's type.

    Raises:
        WrongValue: it is not a number from 0 to below ``limit``.
    """
    if isinstance(value, int) and 0 <= value < limit:
        return value
    raise WrongValue(f"the catalogue holds something else where {what} belongs")


def _checker(belongs: Callable[[Any], bool], what: str) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if belongs(value):
            return value
        found = "nothing" if value is None else f"a value of type {type(value).__name__}"
        raise WrongValue(f"the catalogue holds {found} where {what} belongs")

    return check


class Text(String):
    """A text."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value.__class__ is str, "a text")


class OptionalText(String):
    """A text or null."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value is None or value.__class__ is str, "a text or null")


class KindName(String):
    """``image`` or ``text``."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value in ("image", "text"), "'image' or 'text'")


class Number(Integer):
    """A 64-bit integer."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value.__class__ is int, "a number")


class OptionalNumber(Integer):
    """A 64-bit integer or null."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value is None or value.__class__ is int, "a number or null")


class Digest(LargeBinary):
    """A sha256."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(_is_digest, "a sha256")


class OptionalDigest(LargeBinary):
    """A sha256 or null."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value is None or _is_digest(value), "a sha256 or null")


def _is_digest(value: Any) -> bool:
    return value.__class__ is bytes and len(value) == DIGEST_BYTES
