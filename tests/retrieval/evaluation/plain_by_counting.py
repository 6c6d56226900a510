"""A second plain implementation, of another kind: no list is ever sorted, ranks come from who beats whom."""

from fractions import Fraction
from math import log2


def beats(scores: list[float], one: int, other: int) -> bool:
    """Does item ``one`` stand before item ``other``?"""
    if scores[one] != scores[other]:
        return scores[one] > scores[other]
    return one < other


def rank(scores: list[float], item: int) -> int:
    """1 plus the number of items that stand before this one."""
    ahead = 0
    for other in range(len(scores)):
        if other != item and beats(scores, other, item):
            ahead += 1
    return ahead + 1


def hits(matrix: list[list[float]], relevant: list[set[int]], k: int) -> Fraction:
    """Hit rate at k: queries with some relevant item of rank <= k, over all queries."""
    count = 0
    for scores, wanted in zip(matrix, relevant, strict=True):
        count += any(rank(scores, item) <= k for item in wanted)
    return Fraction(count, len(matrix))


def recall(scores: list[float], wanted: set[int], k: int) -> float:
    """Relevant items of rank <= k over relevant items."""
    return sum(rank(scores, item) <= k for item in wanted) / len(wanted) if wanted else 0.0


def precision(scores: list[float], wanted: set[int], k: int) -> float:
    """Relevant items of rank <= k over k."""
    return sum(rank(scores, item) <= k for item in wanted) / k


def reciprocal_rank(scores: list[float], wanted: set[int]) -> float:
    """1 over the least rank of a relevant item."""
    return max((1 / rank(scores, item) for item in wanted), default=0.0)


def ndcg(scores: list[float], wanted: set[int], k: int) -> float:
    """Discounted gain of relevant items of rank <= k, over that of the best possible ranks."""
    dcg = sum(1 / log2(1 + rank(scores, item)) for item in wanted if rank(scores, item) <= k)
    best = sum(1 / log2(1 + place) for place in range(1, k + 1) if place <= len(wanted))
    return dcg / best if best else 0.0


def precision_at_rank(scores: list[float], wanted: set[int], r: int) -> float:
    """Share of the items of rank <= r that is relevant."""
    top = [item for item in range(len(scores)) if rank(scores, item) <= r]
    return len([item for item in top if item in wanted]) / len(top)


def map_at_r(scores: list[float], wanted: set[int]) -> float:
    """1/R times the sum, over r = 1..R, of precision at r if the item of rank r is relevant."""
    total = 0.0
    for r in range(1, len(wanted) + 1):
        at_r = next(item for item in range(len(scores)) if rank(scores, item) == r)
        if at_r in wanted:
            total += precision_at_rank(scores, wanted, r)
    return total / len(wanted) if wanted else 0.0


def average_precision(scores: list[float], wanted: set[int]) -> float:
    """Mean over the relevant items of the precision at their rank."""
    if not wanted:
        return 0.0
    return sum(precision_at_rank(scores, wanted, rank(scores, item)) for item in wanted) / len(wanted)
