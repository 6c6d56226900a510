"""Hits by the words of a query: alone, or joined with those by its vector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from retrieval.collection import View
from retrieval.collection.filters.ordering import ordered
from retrieval.collection.ranking import DEEPER, Ranked, first_of_each
from retrieval.errors import FilterError, QueryError
from retrieval.expressions import ItemIds
from retrieval.query.choosing import Chosen
from retrieval.query.fuse import FusedItem, fuse, fuse_in_places, with_rest
from retrieval.query.parts import Query, TextPart
from retrieval.types import Hit, Kind, Request

FUSED_DEPTH = 200
"""Best items of each source that a hybrid search joins, however many hits are asked for: so pages of any size join."""


def check_words_alone(query: Query) -> None:
    """Check that a query can be searched for by its words.

    Raises:
        QueryError: it has other parts than texts that are searched for.
    """
    if not all(isinstance(part, TextPart) and part.weight > 0 for part in query.parts):
        raise QueryError(
            "a search for words takes words alone; leave out pictures, keys and what is subtracted, or search by "
            "vectors and words together (hybrid)"
        )


def search_words(view: View, query: Query, find: Kind, request: Request) -> list[Hit]:
    """Find the items that hold all words of a query of texts alone, ranked by BM25; needs no vector.

    Raises:
        QueryError: there is no word in them.
        CollectionError: the collection has no full text.
    """
    found = view.search_words(_words_of(query), find, request.where)
    items = [FusedItem(item, score, {"words": rank}) for rank, (item, score) in enumerate(found, start=1)]
    return _hits(view, _wanted(view, items, request), request)


@dataclass(frozen=True, slots=True)
class Joined:
    """The hits of a hybrid search.

    Attributes:
        hits: of its page.
        best: the highest score by vector of all items; None where there are none.
    """

    hits: list[Hit]
    best: float | None


def search_both(
    view: View,
    queries: Sequence[Query],
    chosen: Sequence[Chosen],
    rows: NDArray[np.float32],
    find: Kind,
    request: Request,
) -> list[Joined]:
    """Join the rankings by vectors with those by words, for each query.

    Args:
        view: the generation that both are of.
        queries: whose words count; without any, the ranking is the vector's.
        chosen: of each query, whether captions alone have a say, and how they rank.
        rows: the queries' vectors, (q, d) float32.
        find: the kind of item wanted.
        request: as it was asked.

    Raises:
        CollectionError: hybrid was asked for, and the collection has no full text.
    """
    depth = max(FUSED_DEPTH, request.offset + request.k)
    rankings = view.ranked(rows, find, _vectors_alone(request, depth))
    found = []
    for number, by_vector in enumerate(rankings):
        by_words = _by_words(view, queries[number], chosen[number], find, request)
        wanted = _join(view, chosen[number], by_vector, by_words, request)
        deeper = depth
        while len(wanted) < request.offset + request.k and len(by_vector) == deeper:
            deeper *= DEEPER  # contents that count once took the places of others
            [by_vector] = view.ranked(rows[number : number + 1], find, _vectors_alone(request, deeper))
            wanted = _join(view, chosen[number], by_vector, by_words, request)
        shown = [one.id for one in _page(wanted, request)]
        nearness = {
            one.item: one
            for one in (*by_vector, *_others(view, rows[number], find, request, shown, by_vector))
        }
        best = by_vector[0].score if by_vector else None
        found.append(Joined(_hits(view, wanted, request, nearness), best))
    return found


def _others(
    view: View,
    row: NDArray[np.float32],
    find: Kind,
    request: Request,
    shown: Sequence[int],
    by_vector: Sequence[Ranked],
) -> list[Ranked]:
    """Rank by vector the items of a page that its best by vector do not hold."""
    others = sorted({*shown} - {one.item for one in by_vector})
    if not others:
        return []
    alone = replace(
        _vectors_alone(request, len(others)), exact=True, where=ItemIds(np.array(others, np.int64).tobytes())
    )
    [found] = view.ranked(row[None], find, alone)
    return found


def _by_words(view: View, query: Query, chosen: Chosen, find: Kind, request: Request) -> list[int]:
    """Give the best items by words."""
    if chosen.by_captions is not None:
        return list(chosen.by_captions[:FUSED_DEPTH])
    words = _words_of(query)
    try:
        found = view.search_words(words, find, request.where, any_word=True) if words else []
    except FilterError:  # signs alone
        found = []
    return [item for item, _ in found[:FUSED_DEPTH]]


def _join(
    view: View, chosen: Chosen, by_vector: Sequence[Ranked], by_words: Sequence[int], request: Request
) -> list[FusedItem]:
    """Rank the items of both sources; those behind the joined ones stand as their vectors say."""
    items = [one.item for one in by_vector]
    nearest = items[:FUSED_DEPTH]
    if chosen.by_captions is None:
        fused = fuse({"vector": nearest, "words": by_words})
    else:
        fused = fuse_in_places(nearest, by_words, view.with_captions(nearest))
    return _wanted(view, with_rest(fused, items, "vector"), request)


def _vectors_alone(request: Request, depth: int) -> Request:
    return replace(request, k=depth, offset=0, distinct=False, sort="score", mode="vector")


def _words_of(query: Query) -> str:
    return " ".join(part.words for part in query.parts if isinstance(part, TextPart) and part.weight > 0)


def _wanted(view: View, ranked: Sequence[FusedItem], request: Request) -> list[FusedItem]:
    """Keep the first item of each content, and the first frame of each video, where they count once."""
    if not request.distinct:
        return list(ranked)
    ids = [one.id for one in ranked]
    content_of, video_of_item = view.contents_of(ids), view.videos_of(ids)
    contents = first_of_each(ranked, [content_of[id] for id in ids])
    return first_of_each(contents, [video_of_item.get(one.id) for one in contents])


def _hits(
    view: View,
    ranked: Sequence[FusedItem],
    request: Request,
    nearness: Mapping[int, Ranked] | None = None,
) -> list[Hit]:
    """Read the items of the ranks that were asked for; ``nearness`` has what vectors say of them."""
    shown = _page(ranked, request)
    items = {item.id: item for item in view.items(one.id for one in shown)}
    hits = []
    for rank, one in enumerate(shown, start=request.offset + 1):
        near = (nearness or {}).get(one.id)
        region, cosine = (None, None) if near is None else (near.region, near.score)
        if one.id in items:
            hits.append(Hit(rank, one.score, items[one.id], one.ranks, region, cosine=cosine))
    return ordered(hits, request.sort)


def _page(ranked: Sequence[FusedItem], request: Request) -> Sequence[FusedItem]:
    return ranked[request.offset : request.offset + request.k]
