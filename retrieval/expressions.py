"""Conditions on the fields of items, as values: what ``where`` takes, and what its text is parsed to.

A condition that compares a field is false where the item has no such field, ``!=`` included; ``not`` is the plain
opposite. Compare with :func:`field` and :func:`near`, join with ``&``, ``|`` and ``~``::

    (field("taken") >= "2021-05") & field("camera").contains("canon") & ~field("keywords").contains("screenshot")

How a value is read (as a number, a date, a text) depends on the type of the field, which a collection decides:
:mod:`retrieval.collection.filters`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from retrieval.errors import FilterError

Value = str | int | float | bool
"""A value to compare with; the parts of a ``where`` text are all ``str``."""

Operator = Literal["=", "!=", "<", "<=", ">", ">="]

MOST_CONDITIONS = 1000  # of one expression; hostile ones cost no more than these
DEEPEST = 50  # levels of parentheses and "not"
MOST_VALUES = 1000  # of one "in (...)"
KEYWORDS = frozenset(
    (
        "and",
        "or",
        "not",
        "in",
        "between",
        "is",
        "null",
        "missing",
        "contains",
        "starts",
        "with",
        "under",
        "near",
    )
)
"""Words of the language; a field with such a name stands in quotes."""

EARTH_KM = 20_038.0  # half of its circumference: no two places are farther apart


class Expression:
    """A condition on an item; frozen, and equal to another one that says the same in the same words."""

    __slots__ = ()

    def __and__(self, other: Expression) -> Expression:
        return And((*(self.parts if isinstance(self, And) else (self,)), other))

    def __or__(self, other: Expression) -> Expression:
        return Or((*(self.parts if isinstance(self, Or) else (self,)), other))

    def __invert__(self) -> Expression:
        return Not(self)

    def __bool__(self) -> bool:
        raise TypeError("join conditions with &, | and ~, and put each comparison in parentheses")


@dataclass(frozen=True, slots=True)
class ItemIds(Expression):
    """One of these items: for programs, which hold any number of ids; the language of ``where`` cannot say it.

    Attributes:
        packed: ids as int64 of this machine; as bytes, so that it is compared and kept as a value.
    """

    packed: bytes

    def __str__(self) -> str:
        return f"items {sha256(self.packed).hexdigest()}"  # what is found is kept under this name


@dataclass(frozen=True, slots=True)
class Comparison(Expression):
    """A field compared with a value."""

    field: str
    operator: Operator
    value: Value

    def __str__(self) -> str:
        return f"{_name(self.field)} {self.operator} {_quoted(self.value)}"


@dataclass(frozen=True, slots=True)
class OneOf(Expression):
    """A field that equals one of some values."""

    field: str
    values: tuple[Value, ...]

    def __str__(self) -> str:
        return f"{_name(self.field)} in ({', '.join(map(_quoted, self.values))})"


@dataclass(frozen=True, slots=True)
class Between(Expression):
    """A field from one value to another, both included; a date's end is its whole year, month or day."""

    field: str
    low: Value
    high: Value

    def __str__(self) -> str:
        return f"{_name(self.field)} between {_quoted(self.low)} and {_quoted(self.high)}"


@dataclass(frozen=True, slots=True)
class Missing(Expression):
    """An item that has no value of a field."""

    field: str

    def __str__(self) -> str:
        return f"{_name(self.field)} is null"


@dataclass(frozen=True, slots=True)
class Contains(Expression):
    """A list with a text among its elements, or a text with another one in it."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{_name(self.field)} contains {_quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Prefix(Expression):
    """A text that begins with another one."""

    field: str
    text: str

    def __str__(self) -> str:
        return f"{_name(self.field)} starts with {_quoted(self.text)}"


@dataclass(frozen=True, slots=True)
class Under(Expression):
    """An item whose file lies in a folder, or below it, or in an archive; the path is taken letter by letter."""

    path: str

    def __str__(self) -> str:
        return f"folder under {_quoted(self.path)}"


@dataclass(frozen=True, slots=True)
class Near(Expression):
    """An item whose ``lat`` and ``lon`` lie within a distance of a place, along the surface of a spherical Earth."""

    lat: float
    lon: float
    kilometres: float

    def __post_init__(self) -> None:
        inside = -90 <= self.lat <= 90 and -180 <= self.lon <= 180
        if not inside:
            raise FilterError(
                f"there is no place at {self.lat:g}, {self.lon:g}; latitudes are -90 to 90, longitudes -180 to 180"
            )
        if not 0 <= self.kilometres < float("inf"):
            raise FilterError(f"{self.kilometres:g} km is not a distance; give one of 0 km or more")

    def __str__(self) -> str:
        return f"near({float(self.lat)!r}, {float(self.lon)!r}, {float(self.kilometres)!r} km)"


@dataclass(frozen=True, slots=True)
class And(Expression):
    """All of some conditions."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " and ".join(f"({part})" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or(Expression):
    """At least one of some conditions."""

    parts: tuple[Expression, ...]

    def __str__(self) -> str:
        return " or ".join(f"({part})" for part in self.parts)


@dataclass(frozen=True, slots=True)
class Not(Expression):
    """The opposite of a condition."""

    part: Expression

    def __str__(self) -> str:
        return f"not ({self.part})"


class Field:
    """A field by name, to be compared: ``field("width") >= 4000``."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __eq__(self, value: object) -> Comparison:  # type: ignore[override]  # as in every query builder
        return Comparison(self._name, "=", _checked(value))

    def __ne__(self, value: object) -> Comparison:  # type: ignore[override]  # as in every query builder
        return Comparison(self._name, "!=", _checked(value))

    def __lt__(self, value: Value) -> Comparison:
        return Comparison(self._name, "<", _checked(value))

    def __le__(self, value: Value) -> Comparison:
        return Comparison(self._name, "<=", _checked(value))

    def __gt__(self, value: Value) -> Comparison:
        return Comparison(self._name, ">", _checked(value))

    def __ge__(self, value: Value) -> Comparison:
        return Comparison(self._name, ">=", _checked(value))

    __hash__ = None  # type: ignore[assignment]  # its == is no equality

    def one_of(self, *values: Value) -> OneOf:
        """Equal to one of some values."""
        return OneOf(self._name, tuple(_checked(value) for value in values))

    def between(self, low: Value, high: Value) -> Between:
        """From one value to another, both included."""
        return Between(self._name, _checked(low), _checked(high))

    def contains(self, text: str) -> Contains:
        """With a text in it, or, for a list, among its elements."""
        return Contains(self._name, text)

    def starts_with(self, text: str) -> Prefix:
        """Beginning with a text."""
        return Prefix(self._name, text)

    def is_missing(self) -> Missing:
        """Without a value."""
        return Missing(self._name)


def field(name: str) -> Field:
    """Name a field of items, or an attribute, to compare it."""
    return Field(name)


def near(lat: float, lon: float, kilometres: float) -> Near:
    """Within a distance of a place, whose coordinates are in degrees.

    Raises:
        FilterError: there is no such place or distance.
    """
    return Near(float(lat), float(lon), float(kilometres))


def under(path: str) -> Under:
    """In a folder, at any depth, or in an archive."""
    return Under(path)


def check_size(expression: Expression) -> None:
    """Refuse an expression that is too deep, or has too many conditions or values, to be answered.

    Raises:
        FilterError: with the limit.
    """
    for count, (part, depth) in enumerate(_walk(expression), start=1):
        if not isinstance(part, Expression):
            raise FilterError(f"a condition is a text or an expression, not {type(part).__name__}")
        if isinstance(part, (And, Or)) and not part.parts:
            raise FilterError("and, or join at least one condition")
        if depth > DEEPEST:
            raise FilterError(f"the condition is nested more than {DEEPEST} levels deep")
        if count > MOST_CONDITIONS:
            raise FilterError(f"the condition has more than {MOST_CONDITIONS:,} parts")
        if isinstance(part, OneOf) and not 0 < len(part.values) <= MOST_VALUES:
            raise FilterError(
                f"{part.field} in (...) has {len(part.values):,} values, not 1 to {MOST_VALUES:,}"
            )


def parts_of(expression: Expression) -> Iterator[Expression]:
    """Yield a condition and all those that it is made of.

    Raises:
        FilterError: as :func:`check_size`.
    """
    check_size(expression)
    return (part for part, _ in _walk(expression))


def fields_of(expression: Expression) -> frozenset[str]:
    """Name the fields that a condition looks at, in lower case.

    Raises:
        FilterError: as :func:`check_size`.
    """
    return frozenset(
        "folder" if isinstance(part, Under) else getattr(part, "field", "").lower()
        for part in parts_of(expression)
    )


def with_paths(expression: Expression, path: Callable[[str], str]) -> Expression:
    """Give a condition with other paths of folders; ``path`` gives the new one for an old one.

    Raises:
        FilterError: as :func:`check_size`.
    """
    check_size(expression)
    return _with_paths(expression, path)


def _with_paths(expression: Expression, path: Callable[[str], str]) -> Expression:
    if isinstance(expression, Under):
        return Under(path(expression.path))
    if isinstance(expression, Not):
        return Not(_with_paths(expression.part, path))
    if isinstance(expression, (And, Or)):
        return type(expression)(tuple(_with_paths(part, path) for part in expression.parts))
    return expression


def _walk(expression: Expression) -> Iterator[tuple[Expression, int]]:
    """Yield every part of an expression and its depth, without recursion."""
    ahead = [(expression, 0)]
    while ahead:
        part, depth = ahead.pop()
        yield part, depth
        if isinstance(part, Not):
            ahead.append((part.part, depth + 1))
        elif isinstance(part, (And, Or)):
            ahead.extend((inner, depth + 1) for inner in part.parts)


def _checked(value: object) -> Value:
    if isinstance(value, (str, int, float)):
        return value
    raise FilterError(f"a field is compared with a text or a number, not with {type(value).__name__}")


def _quoted(value: Value) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return '"' + text.replace('"', '""') + '"'


def _name(field_name: str) -> str:
    return (
        field_name
        if field_name.isidentifier() and field_name.lower() not in KEYWORDS
        else _quoted(field_name)
    )
