"""Counts of n-grams, which BLEU and CIDEr compare."""

from __future__ import annotations

from collections import Counter
from typing import TypeAlias

LONGEST = 4

Tokens: TypeAlias = tuple[str, ...]


def count_ngrams(tokens: Tokens) -> Counter[Tokens]:
    """Count the n-grams of 1 to :data:`LONGEST` tokens."""
    return Counter(
        tokens[start : start + order]
        for order in range(1, LONGEST + 1)
        for start in range(len(tokens) - order + 1)
    )
