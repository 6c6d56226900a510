"""Answer queries in one generation of a collection: by vectors, by words or by both, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import View
from retrieval.collection.filters.ordering import ordered
from retrieval.errors import CollectionEmpty, NothingOfKind
from retrieval.identity import Identity
from retrieval.query.by_words import Joined, check_words_alone, search_both, search_words
from retrieval.query.certainty import with_probability
from retrieval.query.choosing import Chosen, choose_mode
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
        for number, query in enumerate(asked.queries):
            with with_place_in_errors(place_of(asked.queries, number)):
                check_words_alone(query)  # first: no item is read that a part may name
        kinds = _directions(view, asked, {})
        return [_answer_words(view, asked, number, kind) for number, kind in enumerate(kinds)]
    check_encoder(view.identity)
    stored = stored_vectors(view, asked.queries)
    kinds = _directions(view, asked, {name: item.kind for name, item in stored.items()})
    rows = asked.vectors.compose(view, stored)
    chosen = [
        choose_mode(view, query, kind, asked.request, asked.cursor)
        for query, kind in zip(asked.queries, kinds, strict=True)
    ]
    answers = [Hits() for _ in asked.queries]
    alike = [(kind, one.mode) for kind, one in zip(kinds, chosen, strict=True)]
    for kind, mode in sorted(set(alike)):
        numbers = [number for number, one in enumerate(alike) if one == (kind, mode)]
        ranked = replace(asked.request, mode=mode)
        page = ranked if asked.cursor is None else page_behind(view, asked.cursor, ranked, rows[0])
        some = _Some(view, asked, numbers, rows, kind, chosen)
        for number, found in zip(numbers, some.answer(page), strict=True):
            query, row = asked.queries[number], rows[number]
            hits = with_probability(view, query, row, kind, page, found.hits, found.best)
            hits.mode = mode
            answers[number] = with_cursor(view, kind, query, row, asked.request, asked.cursor, hits)
    return answers


@dataclass(frozen=True, slots=True)
class _Some:
    """Some of the queries, which find items of one kind in one mode.

    Attributes:
        view: the generation.
        asked: the search.
        numbers: which queries.
        rows: vectors of all queries.
        kind: of the items.
        chosen: how each of all queries is ranked.
    """

    view: View
    asked: Asked
    numbers: Sequence[int]
    rows: NDArray[np.float32]
    kind: Kind
    chosen: Sequence[Chosen]

    def answer(self, page: Request) -> list[Joined]:
        """Give the hits of a page of each query, and the best score by vector where words have a say."""
        if self.asked.looked is None:
            return self._search(self.numbers, page)
        return [self._each_picture_once(number, page, self.asked.looked) for number in self.numbers]

    def _search(self, numbers: Sequence[int], request: Request) -> list[Joined]:
        rows = self.rows[list(numbers)]
        if request.mode == "vector":
            return [Joined(hits, None) for hits in self.view.search(rows, self.kind, request)]
        queries = [self.asked.queries[number] for number in numbers]
        chosen = [self.chosen[number] for number in numbers]
        return search_both(self.view, queries, chosen, rows, self.kind, request)

    def _each_picture_once(self, number: int, page: Request, looked: LookedAt) -> Joined:
        from retrieval.query.distinct_pictures import (
            distinct_page,  # late: few searches look at pictures
        )

        best: float | None = None

        def search(request: Request) -> list[Hit]:
            nonlocal best
            [found] = self._search([number], request)
            best = found.best
            return found.hits

        hits = distinct_page(self.view, page, looked, search)
        return Joined(ordered(hits, page.sort), best)


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
    hits.mode = "words"
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
