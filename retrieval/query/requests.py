"""What callers ask, by keywords, as the frozen values that an engine takes: a query, and a request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.errors import UsageError
from retrieval.keywords import checked_keywords
from retrieval.query.parts import KeyPart, Query, Queryable
from retrieval.query.without import Reading, read_query
from retrieval.types import Distinct, Kind, Mode, Request
from retrieval.types.request import SearchOptions, SimilarOptions

if TYPE_CHECKING:
    from retrieval.expressions import Expression

OF_SEARCH = SearchOptions.__optional_keys__
OF_SIMILAR = SimilarOptions.__optional_keys__


def request_of(
    k: int,
    find: Kind | None,
    distinct: Distinct,
    options: SearchOptions | SimilarOptions,
    known: frozenset[str] = OF_SEARCH,
) -> Request:
    """Make the request of the keywords of a search.

    Args:
        k: as :class:`retrieval.Request` has it.
        find: likewise.
        distinct: likewise.
        options: the others.
        known: which of them this search takes.

    Raises:
        FilterError: ``where`` is a text and not a condition.
        UsageError: a value is out of range, or two contradict each other.
        TypeError: this search does not take one of the options.
    """
    values = checked_keywords(options, known) | {"where": condition_of(options.get("where"))}
    return Request(k, find, distinct, **values)


def condition_of(where: str | Expression | None) -> Expression | None:
    """Take a condition as callers give it: a text, an expression or nothing.

    Raises:
        FilterError: the text is not a condition.
    """
    if not isinstance(where, str):
        return where
    from retrieval.collection.filters.parse import parse_where  # late: few queries have a condition

    return parse_where(where)


def query_of(query: Query | Queryable | Sequence[Queryable] | None, key: str | None) -> Query:
    """Make the query of what is asked: parts, or an item's key.

    Raises:
        UsageError: both or neither are given.
        QueryError: there are no parts.
    """
    if key is None and query is not None:
        return Query.of(query)
    if key is None or query is not None:
        raise UsageError("search with a query or with the key of an item, one of the two")
    return Query((KeyPart(key),))


def read_as_asked(query: Query, literal: bool, mode: Mode | None) -> tuple[Query, list[Reading]]:
    """Read what the texts of a query exclude, unless they are taken as they are: on request, and as mere words."""
    return (query, []) if literal or mode == "words" else read_query(query)
