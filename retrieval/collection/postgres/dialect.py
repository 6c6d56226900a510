"""The read side's statements, which are SQLite's SQL, as PostgreSQL takes them.

The statements are made of what both understand, but for three things: how parameters are marked, ``json_each`` for any
number of values, and SQLite's name ``main`` of the file itself. A test prepares every statement on a server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from retrieval.collection.postgres.server_schema import CATALOGUE_SCHEMA
from retrieval.collection.statement import VERSION

_PARAMETER = re.compile(r"IN \(SELECT value FROM json_each\(\?\)\)|\?1|\?")
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
        """Put the parameters of the statement that was translated in the order of this one's."""
        return [_list(given[at]) if is_list else given[at] for at, is_list in self.parameters]


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

    text = _OTHERWISE.get(sql, sql).replace("%", "%%").replace("main.", "")
    return Translated(_PARAMETER.sub(mark, text), tuple(parameters))


def _list(value: object) -> object:
    assert isinstance(value, str), "lists of values are given as JSON"
    return json.loads(value)
