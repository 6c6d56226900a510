"""A second look at the first hits of a search, by a model that sees picture and words together.

Pictures are read as they were indexed, in the limited worker processes. Only the order of the first hits changes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from retrieval.decoding.ordered import map_in_order
from retrieval.errors import ImageError, UsageError
from retrieval.query.parts import Query, TextPart
from retrieval.rerankers.base import Reranker, check_depth
from retrieval.rerankers.registry import load_reranker
from retrieval.types import Hit, Hits, SecondLook

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.decoding.prepare import PreparedImage
    from retrieval.query.pictures import Picture
    from retrieval.query.resources import QueryResources

DECODED_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Reranked:
    """Hits after a second look.

    Attributes:
        hits: the same hits in their new order; ``rank`` counts in it, ``score`` is still that of the search, and
            ``second_look`` of each that was looked at has its rank before, its new score or why it has none.
        model: that looked.
        looked_at: pictures that have a new score.
        failed: pictures that could not be read, and so kept their places.
        exceeded: whether the time was over before all had been looked at; the hits are then as they were.
    """

    hits: Hits
    model: str
    looked_at: int
    failed: int
    exceeded: bool


@dataclass(frozen=True, slots=True)
class Budget:
    """Seconds from now on; None for as many as it takes."""

    end: float | None

    @classmethod
    def of(cls, seconds: float | None) -> Budget:
        """Begin a budget.

        Raises:
            UsageError: it is not above 0.
        """
        if seconds is None:
            return cls(None)
        if not seconds > 0:
            raise UsageError(f"a second look cannot take {seconds:g} seconds; give a number above 0")
        return cls(time.monotonic() + seconds)

    @property
    def is_over(self) -> bool:
        """Whether the time is over."""
        return self.end is not None and time.monotonic() > self.end


def rerank(
    resources: QueryResources,
    hits: Sequence[Hit],
    query: Query,
    model: Reranker | str | Path,
    depth: int,
    seconds: float | None,
) -> Reranked:
    """Take a second look at the first hits of a search of an engine; see :func:`rerank_hits`.

    Args:
        resources: of the engine.
        hits: of its collection, the best first.
        query: the words that they answer.
        model: a reranker, or a name or folder to load one from.
        depth: hits to look at, 1 to 1,000.
        seconds: that all of it may take, loading of the model included; None for as many as it takes.

    Raises:
        UsageError: the query is not one text that the model can read, a hit is a text, or a number is out of range.
        ModelError: the model is not on this machine, or cannot be used.
        MissingExtra: the extra ``models`` is not installed.
    """
    from retrieval.query.pictures import find_pictures  # late: brings Pillow

    budget, words = Budget.of(seconds), words_of(query)
    check_depth(depth)
    reranker = load_reranker(model) if isinstance(model, str | Path) else model
    reranker.check(words)
    with resources.collection.reading() as view:
        pictures = find_pictures(view, [hit.id for hit in hits[:depth]])
    prepare = prepare_hit(resources.decode_pool(), pictures, reranker)
    return rerank_hits(hits, words, reranker, depth, budget, prepare)


def words_of(query: Query) -> str:
    """Give the words that hits are compared with again.

    Raises:
        UsageError: the query is not one text.
    """
    part = query.parts[0]
    if len(query.parts) > 1 or not isinstance(part, TextPart) or part.weight < 0:
        raise UsageError(
            "hits are re-ranked by one text; ask with words alone, in one part, or leave re-ranking out"
        )
    return part.words


def rerank_hits(
    hits: Sequence[Hit],
    words: str,
    reranker: Reranker,
    depth: int,
    budget: Budget,
    prepare: Callable[[Hit], PreparedImage],
) -> Reranked:
    """Sort the first ``depth`` hits by a reranker: score descending, equal scores by item id.

    A picture that cannot be read keeps its place. When the time is over, nothing changes; it is looked at before each
    picture, so that one picture may take it beyond its end.

    Args:
        hits: of a search for images, the best first.
        words: that they are compared with.
        reranker: the model.
        depth: hits to look at.
        budget: of time.
        prepare: reads the picture of a hit and prepares it for the reranker.

    Raises:
        UsageError: a hit is a text.
        ModelError: the model cannot be used.
    """
    first = list(hits[:depth])
    if any(hit.kind != "image" for hit in first):
        raise UsageError(
            "texts are among the hits, and only pictures are re-ranked; find pictures (--find image)"
        )
    looks: list[SecondLook] = []
    stop = Event()
    known: dict[bytes, float] = {}  # by content: equal pictures are looked at once
    try:
        for hit, outcome in map_in_order(prepare, first, 1, DECODED_AHEAD, stop):
            if budget.is_over:
                return Reranked(_unchanged(hits), reranker.name, 0, 0, exceeded=True)
            looks.append(_look(hit, outcome, words, reranker, known))
    finally:
        stop.set()
    if budget.is_over:
        return Reranked(_unchanged(hits), reranker.name, 0, 0, exceeded=True)
    failed = sum(look.failure is not None for look in looks)
    ordered = Hits([*_reordered(first, looks), *hits[depth:]], mode=_unchanged(hits).mode)
    return Reranked(ordered, reranker.name, len(looks) - failed, failed, exceeded=False)


def prepare_hit(
    pool: DecodePool, pictures: dict[int, Picture], reranker: Reranker
) -> Callable[[Hit], PreparedImage]:
    """Give what reads the picture of a hit, if its file is still the one that was indexed."""
    from retrieval.query.pictures import prepare_indexed  # late: brings Pillow

    def prepare(hit: Hit) -> PreparedImage:
        picture = pictures.get(hit.id)
        if picture is None:
            raise ImageError("it is no longer in the collection")
        return prepare_indexed(pool, picture, reranker.preparation)

    return prepare


def page_of(reranked: Reranked, offset: int, k: int) -> Reranked:
    """Cut the hits to a page; what is known of the first hit of all goes with the first page."""
    hits = reranked.hits
    page = hits[offset : offset + k]
    known = (None, None) if offset else (hits.probability, hits.verdict)
    return replace(reranked, hits=Hits(page, *known, hits.mode))


def _look(
    hit: Hit, outcome: PreparedImage | ImageError, words: str, reranker: Reranker, known: dict[bytes, float]
) -> SecondLook:
    if isinstance(outcome, ImageError):
        return SecondLook(hit.rank, None, str(outcome))
    assert outcome.array is not None, "every picture is wanted"
    if outcome.digest not in known:
        known[outcome.digest] = reranker.score(outcome.array, [words])[0]
    return SecondLook(hit.rank, known[outcome.digest], None)


def _reordered(first: Sequence[Hit], looks: Sequence[SecondLook]) -> list[Hit]:
    scored = [
        (look.score, hit.id, hit, look)
        for hit, look in zip(first, looks, strict=True)
        if look.score is not None
    ]
    ahead = iter(sorted(scored, key=lambda one: (-one[0], one[1])))
    found = []
    for hit, look in zip(first, looks, strict=True):
        _, _, chosen, its = (None, None, hit, look) if look.score is None else next(ahead)
        found.append(replace(chosen, rank=hit.rank, second_look=its))
    return found


def _unchanged(hits: Sequence[Hit]) -> Hits:
    return hits if isinstance(hits, Hits) else Hits(hits)
