"""What an explanation of a hit says: which parts and words of the query, and where in the picture. Frozen values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle of a picture; all numbers are shares, in [0, 1], of its upright width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Grid:
    """Values over cells of equal size.

    Attributes:
        seen: the part of the picture that the cells divide: what the model sees of it.
        values: rows from the top, each from the left.
    """

    seen: Region
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class WordShare:
    """What a word of the query does.

    Attributes:
        text: the word, or a piece of Chinese, Japanese or Korean text.
        start: its first character in the text of its part.
        drop: of what sets the item apart from the mean of the collection, what goes with the word; below 0 where the
            word is in the way.
        share: of all drops above 0, in [0, 1].
    """

    text: str
    start: int
    drop: float
    share: float


@dataclass(frozen=True, slots=True)
class PartShare:
    """What a part of the query does.

    Attributes:
        part: as it is written; ``picture`` where it has no name.
        weight: in the sum that the query is.
        contribution: to the score; those of all parts add up to it.
        words: of a text, in order.
    """

    part: str
    weight: float
    contribution: float
    words: tuple[WordShare, ...]


@dataclass(frozen=True, slots=True)
class PictureShare:
    """Where in the picture the score comes from.

    Attributes:
        contributions: of places as the model saw them; with ``rest`` they add up to the score. None where the model
            is not linear in places.
        rest: of the score, by the other precision or rounding of the vector in the collection.
        relevance: of smaller places, from a closer look, 1 at what is most like the query; this is what is drawn.
        point: the most relevant spot, in shares of width and height; None where nothing stands out.
        region: around that spot, what is at least a third as relevant.
    """

    contributions: Grid | None
    rest: float | None
    relevance: Grid
    point: tuple[float, float] | None
    region: Region | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why an item has its score with a query.

    Attributes:
        id: of the item.
        score: of the item's vector with the query's, as a search has it.
        parts: of the query, in its order.
        picture: where in the picture; None for a text, and where ``reason`` says why.
        reason: one clause, where there is a picture that cannot be explained.
    """

    id: int
    score: float
    parts: tuple[PartShare, ...]
    picture: PictureShare | None
    reason: str | None = None
