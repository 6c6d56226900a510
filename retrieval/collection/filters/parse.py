r"""The language of ``--where``: a text becomes an :class:`~retrieval.expressions.Expression`, or a FilterError.

::

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | "(" condition ")" | near | comparison
    near       = "near" "(" NUMBER "," NUMBER "," NUMBER [ "km" | "m" | "mi" ] ")"
    comparison = FIELD ( "=" | "!=" | "<" | "<=" | ">" | ">=" ) VALUE
               | FIELD [ "not" ] "in" ( "(" VALUE { "," VALUE } ")" | VALUE )
               | FIELD [ "not" ] "between" VALUE "and" VALUE
               | FIELD [ "not" ] ( "contains" | "starts" "with" | "under" ) VALUE
               | FIELD "is" [ "not" ] ( "null" | "missing" )

A FIELD or VALUE is a word, or a text in single or double quotes, inside which a doubled quote stands for itself. A
value that is a word and ends with ``*`` is a prefix. Keywords count in any case.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple, cast

from retrieval.errors import FilterError
from retrieval.expressions import (
    DEEPEST,
    EARTH_KM,
    KEYWORDS,
    And,
    Between,
    Comparison,
    Contains,
    Expression,
    Missing,
    Near,
    Not,
    OneOf,
    Operator,
    Or,
    Prefix,
    Under,
    check_size,
)
from retrieval.texts import is_unicode

LONGEST = 10_000  # characters of a condition

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"]|"")*"|'(?:[^']|'')*')
      | (?P<sign><=|>=|!=|<>|==|[=<>(),])
      | (?P<word>[^\s=<>!(),"']+)
    )""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]{1,3})?", re.ASCII)
_DISTANCE = re.compile(rf"(?P<number>{_NUMBER.pattern})(?P<unit>[a-z]*)", re.ASCII | re.IGNORECASE)
_KILOMETRES = {"": 1.0, "km": 1.0, "m": 0.001, "mi": 1.609344}
_SAME = {"==": "=", "<>": "!="}
_EXAMPLE = 'for example: --where "taken >= 2021-05 and camera contains canon"'


class _Token(NamedTuple):
    kind: str  # quoted, sign, word, or end
    text: str
    start: int  # of the first character, from 0


def parse_where(text: str) -> Expression:
    """Read a condition on fields, such as ``taken >= 2021-05 and not keywords contains screenshot``.

    Raises:
        FilterError: it is not one; the sentence says where.
    """
    if len(text) > LONGEST:
        raise FilterError(f"the condition has {len(text):,} characters; at most {LONGEST:,} are read")
    if not is_unicode(text):
        raise FilterError("the condition holds bytes that are not characters; write it in UTF-8")
    if not text.strip():
        raise FilterError(f"the condition is empty; {_EXAMPLE}")
    expression = _Parser(text).whole()
    check_size(expression)
    return expression


class _Parser:
    """One pass over a text by recursive descent."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = self._cut()
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        expression = self._either()
        if self._next.kind != "end":
            raise self._unexpected("and, or, or the end")
        return expression

    def _cut(self) -> list[_Token]:
        tokens, at, end = [], 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                at += len(self._text[at:]) - len(self._text[at:].lstrip())
                if self._text[at] in "\"'":
                    raise self._error(
                        at, f"the quotation that begins with {self._text[at : at + 12]!r} has no end"
                    )
                raise self._error(at, f"{self._text[at]!r} is not part of a condition; put texts in quotes")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            at = match.end()
        return [*tokens, _Token("end", "", len(self._text))]

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._take_word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._negated()]
        while self._take_word("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negated(self) -> Expression:
        self._depth += 1
        if self._depth > DEEPEST:
            raise FilterError(f"the condition is nested more than {DEEPEST} levels deep")
        try:
            if self._take_word("not"):
                return Not(self._negated())
            if self._take_sign("("):
                inner = self._either()
                self._need_sign(")")
                return inner
            if self._is_word("near") and self._tokens[self._at + 1].text == "(":
                return self._near()
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Expression:
        name = self._field()
        sign = self._next
        if sign.kind == "sign" and sign.text not in "(),":
            self._at += 1
            return self._compared(name, _SAME.get(sign.text, sign.text))
        if self._take_word("is"):
            return self._presence(name)
        negated = self._take_word("not")
        expression = self._worded(name)
        return Not(expression) if negated else expression

    def _compared(self, name: str, operator: str) -> Expression:
        prefix = self._prefix()
        if prefix is None:
            return Comparison(name, cast("Operator", operator), self._value())
        if operator not in ("=", "!="):
            raise self._error(
                self._tokens[self._at - 1].start, "a word that ends with * goes with = and != only"
            )
        expression = Prefix(name, prefix)
        return expression if operator == "=" else And((Not(expression), Not(Missing(name))))

    def _presence(self, name: str) -> Expression:
        negated = self._take_word("not")
        if not (self._take_word("null") or self._take_word("missing")):
            raise self._unexpected("null, or missing,")
        return Not(Missing(name)) if negated else Missing(name)

    def _worded(self, name: str) -> Expression:
        readers: dict[str, Callable[[str], Expression]] = {
            "in": self._one_of,
            "between": self._between,
            "contains": lambda field: Contains(field, self._value()),
            "starts": self._starts,
            "under": self._under,
        }
        for word, read in readers.items():
            if self._take_word(word):
                return read(name)
        raise self._unexpected(
            f"a comparison of {name!r} (=, <, >=, in, between, contains, starts with, is null)"
        )

    def _one_of(self, name: str) -> Expression:
        values: list[str] = []
        prefixes: list[Expression] = []
        in_parentheses = self._take_sign("(")
        while True:
            prefix = self._prefix()
            if prefix is None:
                values.append(self._value())
            else:
                prefixes.append(Prefix(name, prefix))
            if not (in_parentheses and self._take_sign(",")):
                break
        if in_parentheses:
            self._need_sign(")")
        parts = [*([OneOf(name, tuple(values))] if values else []), *prefixes]
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _between(self, name: str) -> Expression:
        low = self._value()
        if not self._take_word("and"):
            raise self._unexpected("and")
        return Between(name, low, self._value())

    def _starts(self, name: str) -> Expression:
        if not self._take_word("with"):
            raise self._unexpected("with")
        return Prefix(name, self._value())

    def _under(self, name: str) -> Expression:
        if name.lower() != "folder":
            raise self._error(self._tokens[self._at - 2].start, f"under goes with folder, not with {name!r}")
        return Under(self._value())

    def _near(self) -> Expression:
        self._at += 2
        numbers = []
        for what in ("a latitude", "a longitude"):
            numbers.append(self._number(what))
            self._need_sign(",")
        kilometres = self._distance()
        self._need_sign(")")
        return Near(numbers[0], numbers[1], min(kilometres, EARTH_KM))

    def _number(self, what: str) -> float:
        token = self._next
        if token.kind != "word" or not _NUMBER.fullmatch(token.text):
            raise self._unexpected(f"{what} in degrees")
        self._at += 1
        return float(token.text)

    def _distance(self) -> float:
        token = self._next
        match = _DISTANCE.fullmatch(token.text) if token.kind == "word" else None
        if match is None:
            raise self._unexpected("a distance such as 10 km")
        self._at += 1
        unit, place = match["unit"].lower(), token
        if not unit and self._next.kind == "word":
            place = self._next
            unit = place.text.lower()
            self._at += 1
        if unit not in _KILOMETRES:
            raise self._error(place.start, f"{unit!r} is not a unit of distance; write km, m or mi")
        return float(match["number"]) * _KILOMETRES[unit]

    def _field(self) -> str:
        token = self._next
        if token.kind == "quoted":
            self._at += 1
            return _unquoted(token.text)
        if token.kind != "word" or token.text.lower() in KEYWORDS:
            raise self._unexpected("a field")
        self._at += 1
        return token.text

    def _value(self) -> str:
        token = self._next
        if token.kind == "quoted":
            self._at += 1
            return _unquoted(token.text)
        if token.kind != "word":
            raise self._unexpected("a value")
        self._at += 1
        return token.text

    def _prefix(self) -> str | None:
        """Take a word that ends with ``*``, without it; None where something else comes."""
        token = self._next
        if token.kind == "word" and token.text.endswith("*") and len(token.text) > 1:
            self._at += 1
            return token.text[:-1]
        return None

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _is_word(self, word: str) -> bool:
        return self._next.kind == "word" and self._next.text.lower() == word

    def _take_word(self, word: str) -> bool:
        if not self._is_word(word):
            return False
        self._at += 1
        return True

    def _take_sign(self, sign: str) -> bool:
        if self._next.kind != "sign" or self._next.text != sign:
            return False
        self._at += 1
        return True

    def _need_sign(self, sign: str) -> None:
        if not self._take_sign(sign):
            raise self._unexpected(f"{sign!r}")

    def _unexpected(self, wanted: str) -> FilterError:
        token = self._next
        found = "the end" if token.kind == "end" else repr(token.text[:40])
        return self._error(token.start, f"{wanted} is expected, and {found} found")

    def _error(self, at: int, fault: str) -> FilterError:
        return FilterError(f"the condition cannot be read at character {at + 1}: {fault}")


def _unquoted(token: str) -> str:
    quote = token[0]
    return token[1:-1].replace(quote * 2, quote)
