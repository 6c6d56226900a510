"""Hits by the words of a query: alone, or joined with those by its vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from retrieval.collection import View
from retrieval.collection.filters.ordering import ordered
from retrieval.collection.ranking import first_of_each
from retrieval.errors import FilterError, QueryError
from retrieval.query.fuse import FusedItem, fuse
from retrieval.query.parts import Query, TextPart
from retrieval.types import Hit, Kind, Region, Request

FUSED_DEPTH = 200
"""Best items of each source that a hybrid search joins, at least; more where more hits are asked for."""


def search_words(view: View, query: Query, find: Kind, request: Request) -> list[Hit]:
    """Find the items that hold all words of a query, ranked by BM25; needs no vector.

    Raises:
        QueryError: the query has other parts than texts that are searched for, or no word in them.
        CollectionError: the collection has no full text.
    """
    if not all(isinstance(part, TextPart) and part.weight > 0 for part in query.parts):
        raise QueryError(
            "a search for words takes words alone; leave out pictures, keys and what is subtracted, or search by "
            "vectors and words together (hybrid)"
        )
    found = view.search_words(_words_of(query), find, request.where)
    items = [FusedItem(item, score, {"words": rank}) for rank, (item, score) in enumerate(found, start=1)]
    return _hits(view, items, request)


def join_words(view: View, query: Query, find: Kind, request: Request, by_vector: Sequence[Hit]) -> list[Hit]:
    """Join the hits by a query's vector with the items that hold any of its words.

    Args:
        view: the generation that both are of.
        query: whose words count; without any, the ranking is the vector's.
        find: the kind of item wanted.
        request: as it was asked.
        by_vector: hits for :func:`deeper` of the request.

    Raises:
        CollectionError: the collection has no full text.
    """
    words = _words_of(query)
    try:
        found = view.search_words(words, find, request.where, any_word=True) if words else []
    except FilterError:  # signs alone
        found = []
    depth = deeper(request).k
    by_words = [item for item, _ in found[:depth]]
    fused = fuse({"vector": [hit.id for hit in by_vector], "words": by_words})
    return _hits(view, fused, request, {hit.id: hit.region for hit in by_vector})


def deeper(request: Request) -> Request:
    """Ask for as many of the best hits by vector as a hybrid search joins."""
    depth = max(FUSED_DEPTH, request.offset + request.k)
    return replace(request, k=depth, offset=0, distinct=False, sort="score", mode="vector")


def _words_of(query: Query) -> str:
    return " ".join(part.words for part in query.parts if isinstance(part, TextPart) and part.weight > 0)


def _hits(
    view: View,
    ranked: Sequence[FusedItem],
    request: Request,
    regions: Mapping[int, Region | None] | None = None,
) -> list[Hit]:
    """Read the items of the ranks that were asked for."""
    wanted = _distinct(view, ranked) if request.distinct else ranked
    shown = wanted[request.offset : request.offset + request.k]
    items = {item.id: item for item in view.items(one.id for one in shown)}
    hits = [
        Hit(rank, one.score, items[one.id], one.ranks, (regions or {}).get(one.id))
        for rank, one in enumerate(shown, start=request.offset + 1)
        if one.id in items
    ]
    return ordered(hits, request.sort)


def _distinct(view: View, ranked: Sequence[FusedItem]) -> list[FusedItem]:
    """Keep the first item of each content, and the first frame of each video."""
    ids = [one.id for one in ranked]
    content_of, video_of_item = view.contents_of(ids), view.videos_of(ids)
    contents = first_of_each(ranked, [content_of[id] for id in ids])
    return first_of_each(contents, [video_of_item.get(one.id) for one in contents])
