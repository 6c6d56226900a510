"""Types of SQLAlchemy's columns that refuse what they do not stand for: :mod:`~retrieval.collection.stored_values`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Integer, LargeBinary, String

from retrieval.collection.stored_values import WrongValue

DIGEST_BYTES = 32


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


class Comparable(LargeBinary):
    """A number or a text; the column keeps each as it is."""

    def bind_processor(self, dialect: object) -> None:
        """Send values as they are."""

    def result_processor(self, dialect: object, coltype: object) -> Callable[[Any], Any]:
        """Check each value that comes from the catalogue."""
        return _checker(lambda value: value.__class__ in (int, float, str), "a number or a text")
