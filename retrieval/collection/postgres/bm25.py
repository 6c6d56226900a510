"""BM25 as SQLite's FTS5 computes it, to the last bit: the same operations on doubles, in the same order.

Source: ``fts5Bm25Function`` and ``fts5Bm25GetData`` of SQLite's ext/fts5/fts5_aux.c, with one column of weight 1. (A
SQLite that was compiled to fuse multiplications and additions, which is not done for x86-64, may differ in a last bit.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_K1, _B = 1.2, 0.75
_LEAST_IDF = 1e-6


def bm25(
    frequencies: NDArray[np.int64], lengths: NDArray[np.int64], holding: list[int], items: int, tokens: int
) -> NDArray[np.float64]:
    """Score items for phrases; higher is better.

    The score of an item is the sum, over phrases in their order, of
    ``idf * (f * (k1 + 1)) / (f + k1 * (1 - b + b * D / mean))`` with ``idf = log((N - n + 0.5) / (n + 0.5))``, 1e-6
    where that is not above 0.

    Args:
        frequencies: (p, n) how often each item holds each phrase.
        lengths: (n,) tokens of each item, D.
        holding: how many of all items hold each phrase, n, in 0 to ``items``.
        items: number of all items, N, at least 1.
        tokens: of all items together, at least 1.

    Returns:
        (n,) float64.
    """
    mean = tokens / items
    scores = np.zeros(len(lengths))
    for number, of_phrase in zip(holding, frequencies.astype(np.float64), strict=True):
        idf = math.log((items - number + 0.5) / (number + 0.5))
        norm = _K1 * (1 - _B + _B * lengths / mean)
        scores += (idf if idf > 0 else _LEAST_IDF) * ((of_phrase * (_K1 + 1.0)) / (of_phrase + norm))
    return scores


def frequencies_of(
    phrase: list[int], tokens: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Count how often each of some texts holds a phrase; places where it stands may overlap.

    Args:
        phrase: ids of tokens, at least one, that follow each other.
        tokens: (t,) of the texts, one text after the other.
        lengths: (n,) tokens of each text.
    """
    text_of = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.flatnonzero(tokens == phrase[0])
    starts = starts[starts + len(phrase) <= len(tokens)]
    for place, token in enumerate(phrase[1:], start=1):
        starts = starts[tokens[starts + place] == token]
    starts = starts[text_of[starts] == text_of[starts + len(phrase) - 1]]
    return np.bincount(text_of[starts], minlength=len(lengths))
