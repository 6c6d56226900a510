"""Answers of searches: several that differ in their queries alone are answered in one pass over the vectors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace

from retrieval.answers import answer_facts
from retrieval.query.parts import Query as Parts
from retrieval.query.pictures import Picture
from retrieval.query.requests import read_as_asked
from retrieval.query.without import Reading
from retrieval.server.answers import hits_answer, reading_answer
from retrieval.server.areas import within_area
from retrieval.server.bodies import SearchBody, SearchFields
from retrieval.server.context import Context, in_one_generation
from retrieval.server.served import Served
from retrieval.types import Hits
from retrieval.types import Request as Limited

Facts = dict[str, object]


def likeness(asked: SearchBody) -> Hashable:
    """Give what is equal for searches that differ in their queries alone, and gain by being answered together.

    Of pictures that are decoded first, in the query or among the hits, others would wait for the slowest; searches for
    words alone have no pass to share, and a cursor is of one query.
    """
    is_slow = asked.distinct == "picture" or any(part.upload is not None for part in asked.parts)
    if is_slow or asked.mode == "words" or asked.cursor is not None:
        return object()
    return tuple(getattr(asked, name) for name in SearchFields.model_fields)


def answer_alike(shared: Context, searches: Sequence[SearchBody], local: bool) -> list[Facts | Exception]:
    """Answer searches of one :func:`likeness` as each is answered alone, each with its page of hits or its error."""
    if len(searches) > 1:
        try:
            return list(_answer(shared, searches, local))
        except Exception:  # of one of them; each is told what is wrong with it
            pass
    return [_alone(shared, one, local) for one in searches]


def search_answer(shared: Context, asked: SearchBody, local: bool) -> Facts:
    """Search, and answer with one page of hits.

    Raises:
        Exception: what is wrong with the search.
    """
    [found] = _answer(shared, [asked], local)
    return found


def page_answer(served: Served, search: Callable[[], Hits], k: int, offset: int, local: bool) -> Facts:
    """Answer a search that has no words with a page of hits, and where the next one begins."""

    def answer() -> tuple[Hits, Mapping[int, Picture]]:
        hits = search()
        return hits, served.pictures.find(hit.id for hit in hits)

    generation, (hits, pictures) = in_one_generation(served, answer)
    return _page(served, generation, hits, pictures, k, offset, (), local)


def _alone(shared: Context, asked: SearchBody, local: bool) -> Facts | Exception:
    try:
        return search_answer(shared, asked, local)
    except Exception as error:
        return error


def _answer(shared: Context, searches: Sequence[SearchBody], local: bool) -> list[Facts]:
    first = searches[0]
    served, request = shared.served(first.collection), _request_of(first, shared)
    read = [_read_by(one, shared) for one in searches]

    def answer() -> tuple[list[Hits], Mapping[int, Picture]]:
        found = served.engine.answer([query for query, _ in read], request, first.cursor)
        return found, served.pictures.find({hit.id for hits in found for hit in hits})

    generation, (found, pictures) = in_one_generation(served, answer, first.generation)
    return [
        _page(served, generation, hits, pictures, first.k, first.offset, readings, local)
        for hits, (_, readings) in zip(found, read, strict=True)
    ]


def _page(
    served: Served,
    generation: int,
    hits: Hits,
    pictures: Mapping[int, Picture],
    k: int,
    offset: int,
    readings: Sequence[Reading],
    local: bool,
) -> Facts:
    begins = min((hit.rank for hit in hits), default=offset + 1) - 1
    return {
        "collection": served.name,
        "generation": generation,
        "readings": [reading_answer(one) for one in readings],
        **answer_facts(hits),
        "offset": begins,
        "next": begins + k if len(hits) == k else None,
        "cursor": hits.cursor,
        "hits": hits_answer(hits, pictures, local),
    }


def _read_by(asked: SearchBody, shared: Context) -> tuple[Parts, list[Reading]]:
    """Give the query of a search as it is to be answered, and how its texts were read.

    Raises:
        NoSuch: an uploaded picture is no longer kept.
        QueryError: a part cannot be used.
    """
    return read_as_asked(asked.query(shared.uploads), asked.literal, asked.mode)


def _request_of(asked: SearchBody, shared: Context) -> Limited:
    """Give the parameters of a search as the engine takes them, with the area of the map among its conditions.

    Raises:
        FilterError: the condition cannot be read.
    """
    limited = asked.request()
    area = within_area(shared, shared.served(asked.collection), limited.where, asked.area)
    return replace(limited, where=area)
