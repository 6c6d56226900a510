"""Which pictures are of the same moment: taken within seconds of each other, and alike by their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from retrieval.duplicates.likeness import cosine_of_any_two

WITHIN_S = 10.0
"""Seconds between two pictures of one moment, at most, by default."""

LEAST_LIKENESS = 0.6
"""Cosine of two vectors, where 0 is that of any two pictures of the collection, and 1 that of the same."""


def seconds_of(taken: object) -> float | None:
    """Read a time of day from an ISO 8601 date in seconds, by its own clock; None where there is no time in it."""
    if not isinstance(taken, str) or len(taken) < len("2021-05-03T10:20"):
        return None
    try:
        time = datetime.fromisoformat(taken)
    except ValueError:
        return None
    return (time.replace(tzinfo=None) - datetime(1970, 1, 1)).total_seconds()


def same_moments(
    seconds: Sequence[float | None], vectors: NDArray[np.float32], within_s: float = WITHIN_S
) -> list[tuple[int, int]]:
    """Find the pairs of pictures that are of one moment.

    Args:
        seconds: when each of n pictures was taken; None where that is not known.
        vectors: (n, d) float32 unit rows.
        within_s: >= 0.

    Returns:
        Pairs of numbers, the lower first, ascending.
    """
    base = cosine_of_any_two(vectors)
    timed = sorted((second, number) for number, second in enumerate(seconds) if second is not None)
    pairs = []
    for at, (second, number) in enumerate(timed):
        for later, other in timed[at + 1 :]:
            if later - second > within_s:
                break
            cosine = float(vectors[number] @ vectors[other])
            if (cosine - base) / (1 - base) >= LEAST_LIKENESS:
                pairs.append((min(number, other), max(number, other)))
    return sorted(pairs)
