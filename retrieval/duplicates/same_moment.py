"""Which pictures are of the same moment: taken within seconds of each other, and alike by their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from retrieval.duplicates.groups import Joined
from retrieval.duplicates.likeness import cosine_of_any_two

WITHIN_S = 10.0
"""Seconds between two pictures of one moment, at most, by default."""

_BLOCK = 2048  # pictures: their products take 16 MiB

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
) -> list[list[int]]:
    """Find the groups of pictures that are of one moment, each with another one of its group.

    Args:
        seconds: when each of n pictures was taken; None where that is not known.
        vectors: (n, d) float32 unit rows.
        within_s: >= 0.

    Returns:
        Groups of numbers, by the least; each ascending.
    """
    base, joined = cosine_of_any_two(vectors), Joined(len(vectors))
    least = base + LEAST_LIKENESS * (1 - base)
    timed = sorted((second, number) for number, second in enumerate(seconds) if second is not None)
    taken = np.array([second for second, _ in timed])
    order = np.array([number for _, number in timed], np.int64)
    last = np.searchsorted(taken, taken + within_s, "right")
    for start in range(0, len(order), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(order)))
        for later in range(start, int(last[rows[-1]]), _BLOCK):
            columns = np.arange(later, min(later + _BLOCK, int(last[rows[-1]])))
            for some, others in _unknown(joined.labels(order[rows]), joined.labels(order[columns])):
                cosines = vectors[order[rows[some]]] @ vectors[order[columns[others]]].T
                near = cosines >= least
                if not near.any():
                    continue
                # of each two once, and close enough in time
                near &= (columns[others] > rows[some][:, None]) & (
                    columns[others] < last[rows[some]][:, None]
                )
                _join(joined, order[rows[some]], order[columns[others]], near)
    return joined.groups()


def _unknown(
    of_rows: NDArray[np.int64], of_columns: NDArray[np.int64]
) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """Choose the rows and columns to compare, by their labels: not those of the largest group with each other.

    So thousands of one moment are compared with the first ones alone, and not each with each.
    """
    labels, counts = np.unique(of_rows, return_counts=True)
    largest = labels[counts.argmax()]
    rows_in, columns_in = of_rows == largest, of_columns == largest
    chosen = [(rows_in, ~columns_in), (~rows_in, np.ones_like(columns_in))]
    return [(some, others) for some, others in chosen if some.any() and others.any()]


def _join(
    joined: Joined, rows: NDArray[np.int64], columns: NDArray[np.int64], near: NDArray[np.bool_]
) -> None:
    """Connect what is near, a row for each column at a time: pairs may be millions, and most say nothing new."""
    while True:
        near &= joined.labels(rows)[:, None] != joined.labels(columns)
        first = near.argmax(0)
        new = near[first, np.arange(len(columns))]
        if not new.any():
            return
        joined.join(np.stack([rows[first[new]], columns[new]], 1))
