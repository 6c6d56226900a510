"""Retrieval metrics as pure functions of ranks: one value a query; means, intervals and tests share them.

Relevance is binary and many to many. Shares lie in 0..1, never per cent. A query without a relevant item is a
miss and scores 0 everywhere; whether such queries count is the protocol's choice (``Ranks.judged`` leaves
them out).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.ranks import UNRANKED, Ranks


@dataclass(frozen=True, slots=True)
class Share:
    """An exact ratio of two counts: how many queries of how many."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """The ratio; 0 of 0 is refused before it comes to this."""
        return self.count / self.of


def hits_at_k(ranks: Ranks, k: int) -> NDArray[np.bool_]:
    """Tell for each query whether any relevant item is among the first k, (queries,) bool.

    Its mean is what image-text papers print as "R@K" (Hodosh et al., JAIR 2013; Karpathy & Fei-Fei, CVPR
    2015; CLIP, BLIP, VSE++): trec_eval calls it success. It equals :func:`recall_at_k` only where each query
    has one relevant item.

    Raises:
        EvaluationError: k lies outside the ranked depth.
    """
    return found_at_k(ranks, k) > 0


def hit_rate_at_k(ranks: Ranks, k: int) -> Share:
    """Queries with a relevant item among the first k, of all queries: the "R@K" of image-text papers."""
    if not ranks.queries:
        raise EvaluationError("there is no query to evaluate; give a corpus with captions")
    return Share(int(np.count_nonzero(hits_at_k(ranks, k))), ranks.queries)


def found_at_k(ranks: Ranks, k: int) -> NDArray[np.int64]:
    """Count each query's relevant items among the first k, (queries,) int64."""
    check_cut(k, ranks.depth)
    return _sum(ranks, (ranks.ranks <= k).astype(np.float64)).astype(np.int64)


def recall_at_k(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Compute the share of each query's relevant items among the first k, (queries,); trec_eval's ``recall_K``."""
    return _ratio(found_at_k(ranks, k), ranks.relevant)


def precision_at_k(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Compute the share of the first k that is relevant, (queries,); trec_eval's ``P_K``: always divided by k."""
    return found_at_k(ranks, k) / k


def reciprocal_rank(ranks: Ranks) -> NDArray[np.float64]:
    """Compute 1 / rank of the first relevant item, (queries,), 0 if there is none in the lists; the mean is MRR."""
    first = first_rank(ranks)
    return np.where(np.isfinite(first), 1 / first, 0.0)


def first_rank(ranks: Ranks) -> NDArray[np.float64]:
    """Find the rank of the first relevant item, (queries,), from 1; infinite if the lists hold none.

    Median and mean rank are those of this array: the mean is infinite as soon as one query found nothing.
    """
    first = np.full(ranks.queries, np.inf)
    some = np.flatnonzero(ranks.relevant)
    best = ranks.ranks[ranks.offsets[some]]  # ascending within a query
    first[some] = np.where(best == UNRANKED, np.inf, best)
    return first


def ndcg_at_k(ranks: Ranks, k: int) -> NDArray[np.float64]:
    """Compute nDCG, (queries,): gain 1 / log2(1 + rank) over the first k, divided by that of the ideal list.

    Jarvelin & Kekalainen, TOIS 2002, with binary gains, as trec_eval's ``ndcg_cut_K``.
    """
    check_cut(k, ranks.depth)
    inside = ranks.ranks <= k
    gain = np.zeros(len(ranks.ranks))
    gain[inside] = 1 / np.log2(1.0 + ranks.ranks[inside])
    ideal = np.concatenate([np.zeros(1), np.cumsum(1 / np.log2(1.0 + np.arange(1, k + 1)))])
    return _ratio(_sum(ranks, gain), ideal[np.minimum(ranks.relevant, k)])


def average_precision(ranks: Ranks) -> NDArray[np.float64]:
    """Compute average precision, (queries,); trec_eval's ``map``.

    It is the mean over the relevant items of the precision at their rank; items that the lists do not hold add 0.
    """
    return _precision_sum(ranks, np.full(ranks.queries, ranks.depth)) / np.maximum(ranks.relevant, 1)


def average_precision_at_r(ranks: Ranks) -> NDArray[np.float64]:
    """Compute AP cut at R, the query's number of relevant items, (queries,); the mean is mAP@R.

    1/R times the sum over r = 1..R of P@r where the r-th item is relevant (Musgrave et al., ECCV 2020; ECCV
    Caption: Chun et al., ECCV 2022).

    Raises:
        EvaluationError: a query has more relevant items than the lists are deep: the figure would be a guess.
    """
    _check_depth_covers_r(ranks)
    return _precision_sum(ranks, ranks.relevant) / np.maximum(ranks.relevant, 1)


def r_precision(ranks: Ranks) -> NDArray[np.float64]:
    """(queries,): share of the first R items that is relevant, R being the query's number of relevant items.

    Raises:
        EvaluationError: a query has more relevant items than the lists are deep.
    """
    _check_depth_covers_r(ranks)
    limit = np.repeat(ranks.relevant, ranks.relevant)
    return _ratio(_sum(ranks, (ranks.ranks <= limit).astype(np.float64)), ranks.relevant)


def mean_recall(rates: Sequence[Share]) -> float:
    """MR: the mean of hit rates, 0..1; MUGE and Chinese-CLIP report it for R@1, 5, 10 of one direction."""
    return sum(rate.value for rate in rates) / len(rates)


def rsum(text_to_image: Sequence[Share], image_to_text: Sequence[Share]) -> float:
    """RSum: both directions' hit rates at 1, 5 and 10, summed in per cent: 600 at most (as since VSE++)."""
    return 100 * sum(rate.value for rate in (*text_to_image, *image_to_text))


def _sum(ranks: Ranks, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of values a query; a query without a relevant item has 0."""
    query = np.repeat(np.arange(ranks.queries), ranks.relevant)
    return np.bincount(query, weights=values, minlength=ranks.queries).astype(np.float64)


def _ratio(part: NDArray[np.generic], whole: NDArray[np.generic]) -> NDArray[np.float64]:
    """``part / whole``, 0 where the whole is 0."""
    result = np.zeros(len(part))
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def _precision_sum(ranks: Ranks, limit: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum over a query's relevant items, up to rank ``limit``, of the precision at their rank."""
    place = np.arange(len(ranks.ranks)) - np.repeat(ranks.offsets[:-1], ranks.relevant) + 1
    inside = ranks.ranks <= np.repeat(limit, ranks.relevant)
    return _sum(ranks, np.where(inside, place / ranks.ranks, 0.0))


def check_cut(k: int, depth: int) -> None:
    """Refuse a cut-off that lists do not reach.

    Raises:
        EvaluationError: k lies outside 1..depth.
    """
    if not 1 <= k <= depth:
        raise EvaluationError(
            f"a figure at {k} needs lists ranked to depth {k}, but they have {depth}; choose a k "
            f"from 1 to {depth}"
        )


def _check_depth_covers_r(ranks: Ranks) -> None:
    deepest = int(ranks.relevant.max(initial=0))
    if deepest > ranks.depth:
        raise EvaluationError(
            f"mAP@R and R-precision need lists as deep as a query has relevant items: {deepest} for query "
            f"{int(ranks.relevant.argmax())}, but they end at {ranks.depth}; rank to depth {deepest} or more"
        )
