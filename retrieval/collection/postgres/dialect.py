"""The read side's statements, which are SQLite's SQL, as PostgreSQL takes them.

The statements are made of what both understand, but for a few things: how parameters are marked, ``json_each`` for any
number of values, and some names. What conditions on fields are made of is
of two kinds (:mod:`retrieval.collection.filters.field_sql`). A test prepares every statement on a server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

from psycopg.abc import Buffer
from psycopg.types.numeric import NumericBinaryLoader

from retrieval.collection.postgres.server_schema import CATALOGUE_SCHEMA
from retrieval.collection.statement import VERSION

_PARAMETER = re.compile(r"IN \(SELECT value FROM json_each\(\?\)\)|\?1|\?")
# a SELECT of columns alone is read with its condition; SQLite would call its functions twice a row
_SPELLINGS = (("main.", ""), ("instr(", "strpos("), (" AS MATERIALIZED ", " AS "))
_OTHERWISE = {VERSION.sql: f"SELECT {CATALOGUE_SCHEMA}"}


@dataclass(frozen=True, slots=True)
class Translated:
    """A statement for PostgreSQL.

    Attributes:
        sql: with ``%s`` for each parameter.
        parameters: which of the given ones each is, and whether it is a list, given as JSON.
    """

    sql: str
    parameters: tuple[tuple[int, bool], ...]

    def arguments(self, given: Sequence[object]) -> list[object]:
        """Put the parameters of the statement that was translated in the order of this one's.

        No text of a server has a NUL character, and it refuses those that have one: what is looked up by one is
        compared with NULL, which is equal to nothing.
        """
        return [
            _list(given[at]) if is_list else None if _has_nul(given[at]) else given[at]
            for at, is_list in self.parameters
        ]


@cache
def translated(sql: str) -> Translated:
    """Translate a statement of the read side, whose text is a constant of the program."""
    parameters: list[tuple[int, bool]] = []
    plain = 0

    def mark(found: re.Match[str]) -> str:
        nonlocal plain
        if found[0] == "?1":
            parameters.append((0, False))
            return "%s"
        is_list = found[0] != "?"
        parameters.append((plain, is_list))
        plain += 1
        return "= ANY(%s)" if is_list else "%s"

    text = _OTHERWISE.get(sql, sql).replace("%", "%%")
    for ours, theirs in _SPELLINGS:
        text = text.replace(ours, theirs)
    return Translated(_PARAMETER.sub(mark, text), tuple(parameters))


class NumberLoader(NumericBinaryLoader):
    """Loads decimals of :func:`~retrieval.collection.filters.field_sql.number_key`: those with a point are doubles."""

    def load(self, data: Buffer) -> Any:
        """Load one value."""
        value: Decimal = super().load(data)
        return int(value) if value.as_tuple().exponent == 0 else float(value)


def _list(value: object) -> object:
    assert isinstance(value, str), "lists of values are given as JSON"
    return [one for one in json.loads(value) if not _has_nul(one)]


def _has_nul(value: object) -> bool:
    return isinstance(value, str) and "\0" in value
