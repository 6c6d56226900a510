"""Answer queries in one generation of a collection: by vectors, by words or by both, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import View
from retrieval.collection.filters.ordering import ordered
from retrieval.errors import CollectionEmpty, NothingOfKind
from retrieval.identity import Identity
from retrieval.query.by_words import deeper, join_words, search_words
from retrieval.query.certainty import with_probability
from retrieval.query.cursor import Cursor, page_behind, with_cursor
from retrieval.query.parts import Query
from retrieval.query.stored_items import direction, stored_vectors
from retrieval.query.vectors import QueryVectors, place_of, with_place_in_errors
from retrieval.types import KINDS, Hit, Hits, Kind, Request

if TYPE_CHECKING:
    from retrieval.query.distinct_pictures import LookedAt


@dataclass(frozen=True, slots=True)
class Asked:
    """One search.

    Attributes:
        queries: taken literally.
        vectors: of these.
        request: all else that is asked.
        cursor: where the page of the only query begins; None for the first page.
        looked: fingerprints of pictures, where each picture is to be given once; else None.
    """

    queries: Sequence[Query]
    vectors: QueryVectors
    request: Request
    cursor: Cursor | None = None
    looked: LookedAt | None = None


def answer_in(view: View, asked: Asked, check_encoder: Callable[[Identity], None]) -> list[Hits]:
    """Answer in one generation; everything is read in the view's transaction.

    Args:
        view: the generation.
        asked: the search.
        check_encoder: refuses the identity of another encoder than the caller's.

    Raises:
        NotPrepared: vectors of the queries are to be made outside the transaction.
        NotLookedAt: fingerprints of pictures are.
        CollectionEmpty: there is nothing to find.
        QueryError: as :meth:`~retrieval.query.engine.SearchEngine.search`.
    """
    if view.identity is None:
        raise CollectionEmpty(view.path)
    if asked.request.mode == "words":
        kinds = _directions(view, asked, {})
        return [_answer_words(view, asked, number, kind) for number, kind in enumerate(kinds)]
    check_encoder(view.identity)
    stored = stored_vectors(view, asked.queries)
    kinds = _directions(view, asked, {name: item.kind for name, item in stored.items()})
    rows = asked.vectors.compose(view, stored)
    page = asked.request if asked.cursor is None else page_behind(view, asked.cursor, asked.request, rows[0])
    answers = [Hits() for _ in asked.queries]
    for kind in sorted(set(kinds)):
        numbers = [number for number, wanted in enumerate(kinds) if wanted == kind]
        for number, hits in zip(numbers, _ranked(view, asked, numbers, rows, kind, page), strict=True):
            query, row = asked.queries[number], rows[number]
            found = (
                with_probability(view, query, row, kind, page, hits) if page.mode == "vector" else Hits(hits)
            )
            answers[number] = with_cursor(view, kind, query, row, asked.request, asked.cursor, found)
    return answers


def _ranked(
    view: View, asked: Asked, numbers: Sequence[int], rows: NDArray[np.float32], kind: Kind, page: Request
) -> list[list[Hit]]:
    """Rank the items of a kind for some of the queries, by vectors or by both."""
    queries = [asked.queries[number] for number in numbers]
    if asked.looked is None:
        return _by_meaning(view, queries, rows[numbers], kind, page)
    from retrieval.query.distinct_pictures import distinct_page  # late: few searches look at pictures

    pages = []
    for number in numbers:

        def search(request: Request, number: int = number) -> list[Hit]:
            row = rows[number : number + 1]
            return _by_meaning(view, [asked.queries[number]], row, kind, request)[0]

        pages.append(ordered(distinct_page(view, page, asked.looked, search), page.sort))
    return pages


def _by_meaning(
    view: View, queries: Sequence[Query], rows: NDArray[np.float32], kind: Kind, request: Request
) -> list[list[Hit]]:
    if request.mode == "vector":
        return view.search(rows, kind, request)
    by_vector = view.search(rows, kind, deeper(request))
    return [
        join_words(view, query, kind, request, hits) for query, hits in zip(queries, by_vector, strict=True)
    ]


def _answer_words(view: View, asked: Asked, number: int, kind: Kind) -> Hits:
    query, request = asked.queries[number], asked.request
    page = request if asked.cursor is None else page_behind(view, asked.cursor, request, None)
    with with_place_in_errors(place_of(asked.queries, number)):
        if asked.looked is None:
            found = search_words(view, query, kind, page)
        else:
            from retrieval.query.distinct_pictures import distinct_page

            found = distinct_page(view, page, asked.looked, lambda one: search_words(view, query, kind, one))
    hits = Hits(ordered(found, page.sort))
    return with_cursor(view, kind, query, None, request, asked.cursor, hits)


def _directions(view: View, asked: Asked, stored: Mapping[str | int, Kind]) -> list[Kind]:
    """Choose the kind of item that each query finds; behind a page it is the page's."""
    if asked.cursor is not None:
        return [asked.cursor.kind]
    held: dict[Kind, bool] = {kind: view.holds(kind) for kind in KINDS}
    if not any(held.values()):
        raise CollectionEmpty(view.path)
    find = asked.request.find
    if find is None:
        return [direction(query, held, stored) for query in asked.queries]
    if not held[find]:
        raise NothingOfKind(view.path, find)
    return [find] * len(asked.queries)
