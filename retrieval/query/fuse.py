"""Rankings of several sources made one, by the reciprocals of their ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

RANK_CONSTANT = 60


class FusedItem(NamedTuple):
    """An item of some rankings: its id, the sum of its reciprocal ranks, and its rank, from 1, in each of them."""

    id: int
    score: float
    ranks: dict[str, int]


def fuse(rankings: Mapping[str, Sequence[int]]) -> list[FusedItem]:
    """Rank the items of several rankings by the sum of ``1 / (60 + rank)``; of equal ones the lower id comes first.

    Reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), whose scores of different sources need not be
    comparable; 60 is theirs.

    Args:
        rankings: item ids, best first, each once, by the name of their source.
    """
    ranks: dict[int, dict[str, int]] = {}
    for source, items in rankings.items():
        for rank, item in enumerate(items, start=1):
            ranks.setdefault(item, {})[source] = rank
    fused = [
        FusedItem(item, sum(1 / (RANK_CONSTANT + rank) for rank in of_item.values()), of_item)
        for item, of_item in ranks.items()
    ]
    return sorted(fused, key=lambda one: (-one.score, one.id))
