"""Hits: items that answer a query, in their order, and how likely the first of them is right."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from retrieval.types.items import Attribute, ImageText, Item, Kind, LinkedText, Region

Mode = Literal["vector", "words", "hybrid"]
"""What ranks the items of a search: vectors, words, or both."""

MODES: tuple[Mode, ...] = ("vector", "words", "hybrid")

Verdict = Literal["sure", "likely", "doubtful", "probably nothing"]
"""How likely the first hit of a query is right, in words."""

VERDICTS: tuple[Verdict, ...] = ("sure", "likely", "doubtful", "probably nothing")

LEAST_PROBABILITY: Mapping[str, float] = {"sure": 0.75, "likely": 0.4}
"""Least probability of the two best verdicts; where "doubtful" begins is the model's own."""


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What re-ranking found of a hit.

    Attributes:
        first_rank: the hit's rank before.
        score: of the model that re-ranked; None where the picture could not be read.
        failure: the reason, in one clause; else None.
    """

    first_rank: int
    score: float | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that answers a query, with its rank and score; the item's fields can be read from the hit itself.

    ``rank`` counts from 1; ``score`` is the float32 inner product with the query (docs/architecture.md, Ranking). Of a
    search for words it is BM25; of a hybrid search the sum of reciprocal ranks, and ``ranks`` has the hit's rank in
    each of the rankings, by ``vector`` and ``words``, that it stands in (:mod:`retrieval.query.fuse`). ``region`` is
    the part of an image whose vector is the nearest to the query; None where that is the whole's, or the image has no
    others. ``cosine`` is what a search by vectors would give as the score, whatever ranked the hit: what people see. A
    search for words makes no vector, and there it is None. After re-ranking, ``rank`` counts in the new order, and
    ``second_look`` has what was found; else it is None.
    """

    rank: int
    score: float
    item: Item
    ranks: Mapping[str, int] = field(default_factory=dict)
    region: Region | None = None
    second_look: SecondLook | None = None
    cosine: float | None = None

    @property
    def id(self) -> int:
        """The item's id."""
        return self.item.id

    @property
    def kind(self) -> Kind:
        """The item's kind."""
        return self.item.kind

    @property
    def uri(self) -> str:
        """Where the item is."""
        return self.item.uri

    @property
    def key(self) -> str | None:
        """The caller's own name for the item."""
        return self.item.key

    @property
    def text(self) -> str | None:
        """The words of a text."""
        return self.item.text

    @property
    def lang(self) -> str | None:
        """BCP 47 tag of a text, where it is known."""
        return self.item.lang

    @property
    def captions(self) -> tuple[LinkedText, ...]:
        """Texts linked to an image."""
        return self.item.captions

    @property
    def texts(self) -> tuple[ImageText, ...]:
        """Texts of an image that are not captions."""
        return self.item.texts

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Attributes that the caller or the corpus gave the item."""
        return self.item.attributes

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; see :attr:`Item.missing`."""
        return self.item.missing


class Hits(list[Hit]):
    """The hits of one query, in their order, and how likely the first of them is right.

    Attributes:
        probability: that the first hit shows what was asked for, as :mod:`retrieval.calibration` estimates it; None
            where that is not known: the model has no calibration, or the query is not one of words for images by
            vectors, from the first hit on. Where words have a say in the order, a caption counts
            that holds all words; without one it is the probability of the best hit by vectors.
        verdict: the same in a word; None likewise.
        mode: what ranked them.
        next_page: gives the cursor of the next page; None where there is none.
    """

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        probability: float | None = None,
        verdict: Verdict | None = None,
        mode: Mode = "vector",
    ) -> None:
        super().__init__(hits)
        self.probability, self.verdict = probability, verdict
        self.mode = mode
        self.next_page: Callable[[], str] | None = None

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, to be passed to the same search; None where these are the last hits."""
        return None if self.next_page is None else self.next_page()
