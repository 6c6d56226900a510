"""Rankings of several sources made one, by the reciprocals of their ranks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


def fuse_in_places(
    by_vector: Sequence[int], by_words: Sequence[int], having_words: Collection[int]
) -> list[FusedItem]:
    """Fuse the rankings of the items that have words; the others keep the places that their vectors give them.

    Where only some items have words, :func:`fuse` would put all others behind these, whatever the query. So the items
    that have words change places among themselves alone, by their ranks among such items. An item without words has
    the score of the item before it, or the highest that there can be. The ranks that are told are among all items.

    Args:
        by_vector: item ids, best first.
        by_words: likewise, of items that have words.
        having_words: which of the items by vector have words.
    """
    fused = fuse({"vector": [item for item in by_vector if item in having_words], "words": by_words})
    rank_of = {item: rank for rank, item in enumerate(by_vector, start=1)}
    told = [
        one._replace(ranks=one.ranks | {"vector": rank_of[one.id]}) if one.id in rank_of else one
        for one in fused
    ]
    moving = iter(told)
    found: list[FusedItem] = []
    score = 2 / (RANK_CONSTANT + 1)
    for rank, item in enumerate(by_vector, start=1):
        one = next(moving) if item in having_words else FusedItem(item, score, {"vector": rank})
        score = one.score
        found.append(one)
    return found + list(moving)


def with_rest(fused: Sequence[FusedItem], ranking: Sequence[int], source: str) -> list[FusedItem]:
    """Give fused items, and behind them the further ones of a ranking of which the best were fused."""
    known = {one.id for one in fused}
    rest = [
        FusedItem(item, 1 / (RANK_CONSTANT + rank), {source: rank})
        for rank, item in enumerate(ranking, start=1)
        if item not in known
    ]
    return [*fused, *rest]
