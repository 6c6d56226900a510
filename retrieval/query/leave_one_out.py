"""Parts and words of a query by what they add to a score: a part's contribution is exact, a word is left out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.errors import QueryError
from retrieval.query.compose import compose
from retrieval.query.explanation import PartShare, WordShare
from retrieval.query.parts import ImagePart, ItemPart, KeyPart, Part, Query, TextPart
from retrieval.uris import hide_passwords

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

MOST_WORDS = 64
"""Words of a query that are left out one by one; further ones are never."""
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]+|(?:(?![{_CJK}])\w)+(?:['’.-](?:(?![{_CJK}])\w)+)*")
_IS_CJK = re.compile(rf"[{_CJK}]")

Row = NDArray[np.float32]


@runtime_checkable
class PiecesOfText(Protocol):
    """A tokenizer that tells which characters its tokens stand for."""

    def pieces(self, text: str) -> list[tuple[int, int]]:
        """Give the first character of each token and the one behind its last, in order."""
        ...


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a query: the number of its part, its characters, and the part without it, if anything is left."""

    part: int
    start: int
    stop: int
    without: TextPart | None


class LeaveOneOut:
    """The vectors that explaining a query takes, and what they say of an item.

    Args:
        query: to explain.
        words: of its texts.
    """

    def __init__(self, query: Query, words: Sequence[Word]) -> None:
        self._query, self._words = query, words

    @property
    def queries(self) -> list[Query]:
        """Queries of one part each, whose vectors :meth:`shares` takes."""
        alone = [Query((replace(part, weight=1.0),)) for part in self._query.parts]
        return alone + [Query((word.without,)) for word in self._words if word.without is not None]

    def shares(self, rows: Row, item: Row, mean: Row) -> tuple[Row, float, tuple[PartShare, ...]]:
        """Give the query's vector, the item's score, and what each part does.

        A word is judged by what sets the item apart: any picture scores higher with some texts than with others, and
        of "a dog" without "dog" a text is left that is near to all pictures.

        Args:
            rows: a unit row for each of :attr:`queries`, (n, d).
            item: the item's vector, (d,).
            mean: of the vectors of many items, (d,).
        """
        parts = self._query.parts
        weights = [part.weight for part in parts]
        own = rows[: len(parts)]
        query = compose(own, weights)
        score = _score(item, query)
        length = np.linalg.norm((own.astype(np.float64) * np.array(weights)[:, None]).sum(axis=0))
        contributions = own.astype(np.float64) @ item.astype(np.float64) * np.array(weights) / length
        drops = self._drops(rows, query, item - mean)
        total = sum(max(drop, 0.0) for drop in drops)
        shares = [
            PartShare(describe(part), part.weight, float(contribution), self._shares_of(number, drops, total))
            for number, (part, contribution) in enumerate(zip(parts, contributions, strict=True))
        ]
        return query, score, tuple(shares)

    def _drops(self, rows: Row, query: Row, apart: Row) -> list[float]:
        """Compute how much of a score goes with each word."""
        parts, place = self._query.parts, len(self._query.parts)
        drops = []
        for word in self._words:
            kept = [number for number in range(len(parts)) if number != word.part]
            vectors, weights = [rows[number] for number in kept], [parts[number].weight for number in kept]
            if word.without is not None:
                vectors.append(rows[place])
                weights.append(parts[word.part].weight)
                place += 1
            drops.append(float((query - _sum(vectors, weights, query)) @ apart))
        return drops

    def _shares_of(self, part: int, drops: Sequence[float], total: float) -> tuple[WordShare, ...]:
        text = self._query.parts[part]
        return tuple(
            WordShare(
                text.words[word.start : word.stop],
                word.start,
                drop,
                max(drop, 0.0) / total if total > 0 else 0.0,
            )
            for word, drop in zip(self._words, drops, strict=True)
            if word.part == part and isinstance(text, TextPart)
        )


def leave_one_out(query: Query, encoder: Encoder) -> LeaveOneOut:
    """Find the words of a query's texts: those of Chinese, Japanese and Korean are the pieces that the model knows."""
    tokenization = getattr(encoder, "tokenization", None)
    pieces = tokenization if isinstance(tokenization, PiecesOfText) else None
    words = [
        Word(number, start, stop, _without(part, start, stop))
        for number, part in enumerate(query.parts)
        if isinstance(part, TextPart)
        for start, stop in word_spans(part.words, pieces)
    ]
    return LeaveOneOut(query, words[:MOST_WORDS])


def word_spans(text: str, pieces: PiecesOfText | None = None) -> list[tuple[int, int]]:
    """Give the first character of each word of a text and the one behind its last.

    Words are what stands between blanks and signs. Where there are no blanks (Chinese, Japanese, Korean), they are the
    pieces of a tokenizer, or single characters.
    """
    found: list[tuple[int, int]] = []
    for match in _WORD.finditer(text):
        start, stop = match.span()
        if _IS_CJK.match(text, start) is None:
            found.append((start, stop))
            continue
        cuts = {start, stop}
        if pieces is None:
            cuts.update(range(start, stop))
        else:
            cuts.update(end for span in pieces.pieces(text) for end in span if start < end < stop)
        ordered = sorted(cuts)
        found += pairwise(ordered)
    return found


def describe(part: Part) -> str:
    """Write a part without its weight, as people know it."""
    if isinstance(part, TextPart):
        return part.words
    if isinstance(part, KeyPart):
        return f"key:{part.key}"
    if isinstance(part, ItemPart):
        return f"item {part.id}"
    assert isinstance(part, ImagePart), "of the other kinds of part"
    return hide_passwords(str(part.source)) if isinstance(part.source, (Path, str)) else "picture"


def _without(part: TextPart, start: int, stop: int) -> TextPart | None:
    text = part.words
    left = (
        " ".join(f"{text[:start]} {text[stop:]}".split()) if _has_blanks(text) else text[:start] + text[stop:]
    )
    return TextPart(left) if _WORD.search(left) else None


def _has_blanks(text: str) -> bool:
    return _IS_CJK.search(text) is None


def _sum(vectors: Sequence[Row], weights: Sequence[float], like: Row) -> Row:
    """Compose what is left of a query; zeros where nothing is."""
    if not vectors:
        return np.zeros_like(like)
    try:
        return compose(np.stack(vectors), weights)
    except QueryError:  # what is left cancels out
        return np.zeros_like(like)


def _score(item: Row, query: Row) -> float:
    return float(exact_scores(np.ascontiguousarray(item[None]), np.ascontiguousarray(query))[0])
