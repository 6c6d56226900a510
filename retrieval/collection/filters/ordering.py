"""The order in which hits are given, when it is not that of their scores."""

from __future__ import annotations

from retrieval.collection.filters.fields import place_of
from retrieval.collection.filters.values import stored_date
from retrieval.texts import fold
from retrieval.types import Hit, Sort


def ordered(hits: list[Hit], sort: Sort) -> list[Hit]:
    """Put hits, best first, into another order; ties stay in that of their ranks.

    ``taken`` gives the newest first, and last those without a date; ``name`` gives those without a file's name last.
    """
    if sort == "taken":
        return sorted(hits, key=_taken, reverse=True)
    return sorted(hits, key=_name) if sort == "name" else hits


def _taken(hit: Hit) -> str:
    value = hit.attributes.get("taken")
    return (stored_date(value) or "") if isinstance(value, str) else ""


def _name(hit: Hit) -> tuple[bool, str]:
    place = place_of(hit.uri)
    return place is None, "" if place is None else fold(place[1])
