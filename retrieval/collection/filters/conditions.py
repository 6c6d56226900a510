"""One comparison of a field as a test of its values: ranges, or a text that is part of them.

Ranges are what an index answers. :func:`clauses` writes them as SQL, whose text holds operators and ``?`` and nothing
of the condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.collection.filters.values import (
    Stored,
    Type,
    after_all_with_prefix,
    as_boolean,
    as_date,
    as_number,
    as_text,
)
from retrieval.expressions import Between, Comparison, Contains, OneOf, Operator, Prefix, Value

FieldCondition = Comparison | OneOf | Between | Contains | Prefix

RANGES_A_STATEMENT = 100  # SQLite allows expressions 1,000 deep, and each OR is a level


@dataclass(frozen=True, slots=True)
class Range:
    """Values from ``low`` to ``high``; None is no limit, and ``open`` ends are not in it."""

    low: Stored | None = None
    high: Stored | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class Substring:
    """Texts with this text in them."""

    text: str


ValueTest = tuple[Range, ...] | Substring


def value_test(condition: FieldCondition, field_type: Type) -> ValueTest | None:
    """Compile a condition for values of a type; None where it compares with what is not of that type."""
    if isinstance(condition, Prefix):
        return _prefix_test(condition.text, field_type)
    if isinstance(condition, Contains):
        return _contains_test(condition.text, field_type)
    if isinstance(condition, OneOf):
        spans = [span for value in condition.values if (span := _span(value, field_type)) is not None]
        return tuple(spans) if spans else None
    if isinstance(condition, Between):
        low, high = _span(condition.low, field_type), _span(condition.high, field_type)
        if low is None or high is None:
            return None
        return (Range(low.low, high.high, low.low_open, high.high_open),)
    span = _span(condition.value, field_type)
    return None if span is None else _compare(condition.operator, span)


def _span(value: Value, field_type: Type) -> Range | None:
    """Give the values that equal a value of a condition: itself, or all dates that begin with it."""
    if field_type == "date":
        date = as_date(value)
        return None if date is None else _beginning_with(date)
    stored: Stored | None
    if field_type == "number":
        stored = as_number(value)
    elif field_type == "boolean":
        stored = as_boolean(value)
    else:
        stored = as_text(value)
    return None if stored is None else Range(stored, stored)


def _compare(operator: Operator, span: Range) -> tuple[Range, ...]:
    below = Range(None, span.low, high_open=True)
    above = () if span.high is None else (Range(span.high, None, low_open=not span.high_open),)
    if operator == "=":
        return (span,)
    if operator == "!=":
        return (below, *above)
    if operator == "<":
        return (below,)
    if operator == "<=":
        return (Range(None, span.high, high_open=span.high_open),)
    if operator == ">":
        return above
    return (Range(span.low, None),)


def _prefix_test(text: str, field_type: Type) -> ValueTest | None:
    if field_type in ("number", "boolean"):
        return None
    return (_beginning_with(_written(text, field_type)),)


def _contains_test(text: str, field_type: Type) -> ValueTest | None:
    if field_type in ("number", "boolean"):
        return None
    written = _written(text, field_type)
    return (Range(written, written),) if field_type == "list" else Substring(written)


def _written(text: str, field_type: Type) -> str:
    """Give a part of a text in the form of the values of a type."""
    return text.upper().replace(" ", "T") if field_type == "date" else as_text(text)


def _beginning_with(prefix: str) -> Range:
    return Range(prefix, after_all_with_prefix(prefix), high_open=True)


def clauses(
    test: ValueTest, prefix: int | None = None, holds_nul: bool = True
) -> Iterator[tuple[str, list[Stored]]]:
    """Write a test of the column ``value`` as SQL conditions with their parameters; any of them suffices.

    Args:
        test: of the values.
        prefix: how many characters of a value an index orders by; None for all, and for numbers.
        holds_nul: whether values may have a NUL character; where they may not, no parameter has one.
    """
    if isinstance(test, Substring):
        if holds_nul or _NUL not in test.text:
            yield "instr(value, ?) > 0", [test.text]
        return
    ranges = test if holds_nul else tuple(_without_nul(one) for one in test)
    for start in range(0, len(ranges), RANGES_A_STATEMENT):
        written = [_range_clause(one, prefix) for one in ranges[start : start + RANGES_A_STATEMENT]]
        yield " OR ".join(sql for sql, _ in written), [value for _, values in written for value in values]


_NUL = "\0"


def _without_nul(one: Range) -> Range:
    """Give the range that has the same values without NUL: those before ``a NUL...`` are those up to ``a``."""
    low, high, low_open, high_open = one.low, one.high, one.low_open, one.high_open
    if isinstance(low, str) and _NUL in low:
        low, low_open = low.partition(_NUL)[0], True
    if isinstance(high, str) and _NUL in high:
        high, high_open = high.partition(_NUL)[0], False
    return Range(low, high, low_open, high_open)


def _range_clause(one: Range, prefix: int | None) -> tuple[str, list[Stored]]:
    if one.low is not None and one.low == one.high and not (one.low_open or one.high_open):
        ends = [("=", "=", one.low)]
    else:
        ends = []
        if one.low is not None:
            ends.append((">" if one.low_open else ">=", ">=", one.low))
        if one.high is not None:
            ends.append(("<" if one.high_open else "<=", "<=", one.high))
    parts = [(f"value {operator} ?", end) for operator, _, end in ends]
    if prefix is not None:  # the beginnings of ordered texts are in the same order, or equal
        parts += [(f"left(value, {prefix}) {operator} ?", str(end)[:prefix]) for _, operator, end in ends]
    return f"({' AND '.join(sql for sql, _ in parts) or 'true'})", [value for _, value in parts]
