"""Search: queries and a request in, hits out. What is to be made outside of a transaction is made on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retrieval.collection.filters.ordering import ordered
from retrieval.errors import QueryError
from retrieval.query.answering import Asked, answer_in
from retrieval.query.cursor import Cursor, open_cursor
from retrieval.query.parts import ItemPart, Query
from retrieval.query.resources import QueryResources
from retrieval.types import Hit, Hits, Request

UNLIKE = 0.5
"""Weight of an item that hits shall be unlike, against one that they shall be like."""


def search(
    resources: QueryResources, queries: Sequence[Query], request: Request, cursor: str | None = None
) -> list[Hits]:
    """Find the hits of each query, taken literally, all of one direction in one generation.

    Args:
        resources: of the engine.
        queries: any number; one beside a cursor.
        request: all else that is asked.
        cursor: of the page before, as a text.

    Raises:
        CursorExpired: the pages of this search cannot be gone on with.
        QueryError, CollectionError, IdentityMismatch: as :meth:`~retrieval.query.engine.SearchEngine.search`.
    """
    if cursor is None:
        return _search(resources, queries, request, None) if queries else []
    if len(queries) != 1:
        raise QueryError("a cursor is of one query; ask that one alone")
    place = open_cursor(cursor, resources.collection.path, queries[0], request)
    return _search(resources, queries, request, place)


def search_like(
    resources: QueryResources, liked: Sequence[int], unlike: Sequence[int], request: Request
) -> list[Hit]:
    """Find what is most like items and less like others, by id; those items themselves are left out.

    Args:
        resources: of the engine.
        liked: at least one.
        unlike: each counts :data:`UNLIKE` against what is like it.
        request: all else that is asked; the kind found is by default that of the first item.

    Raises:
        QueryError, UsageError, CollectionError: as :meth:`~retrieval.query.engine.SearchEngine.similar`.
    """
    parts = [*map(ItemPart, liked), *(ItemPart(number, -UNLIKE) for number in unlike)]
    asked, find = {*liked, *unlike}, request.find
    if find is None and liked:
        with resources.collection.reading() as view:
            named = view.items(liked[:1])
            find = named[0].kind if named else None
    # the items themselves are among the hits, so that many more may be needed
    end = request.offset + request.k
    whole = replace(request, k=end + len(asked), offset=0, find=find, sort="score")
    [hits] = _search(resources, [Query(tuple(parts))], whole, None)
    left = [hit for hit in hits if hit.id not in asked]
    ranked = [replace(hit, rank=rank) for rank, hit in enumerate(left, start=1)]
    return ordered(ranked[request.offset : end], request.sort)


def _search(
    resources: QueryResources, queries: Sequence[Query], request: Request, cursor: Cursor | None
) -> list[Hits]:
    vectors = resources.vectors_of(queries)
    asked = Asked(queries, vectors, request, cursor)

    def answer(asked: Asked) -> list[Hits]:
        return resources.reading(vectors, lambda view: answer_in(view, asked, resources.encoders.check_given))

    if request.distinct == "picture":
        from retrieval.query.distinct_pictures import look_as_needed  # late: few searches look at pictures

        answers = look_as_needed(lambda looked: answer(replace(asked, looked=looked)), resources.decode_pool)
    else:
        answers = answer(asked)
    vectors.keep()
    return answers
