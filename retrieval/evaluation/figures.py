"""Figures of one model on one evaluation set, from vectors or from the ranked lists of a search."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet, Fold, RetrievalDirection
from retrieval.evaluation.intervals import Interval, bootstrap_intervals
from retrieval.evaluation.metrics import (
    Share,
    average_precision,
    average_precision_at_r,
    first_rank,
    hit_rate_at_k,
    hits_at_k,
    mean_recall,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
    rsum,
)
from retrieval.evaluation.ranks import Ranking, Ranks, rank_lists, rank_vectors
from retrieval.evaluation.relevance import Relevance

PAPER_CUTS = (1, 5, 10)
"""The cut-offs of RSum and MR."""


@dataclass(frozen=True, slots=True)
class HitRate:
    """Hit rate at k (the "R@K" of image-text papers), with its interval and how far ties could move it."""

    k: int
    rate: Share
    interval: Interval
    best: Share
    worst: Share


@dataclass(frozen=True, slots=True, eq=False)
class DirectionFigures:
    """The figures of one direction; shares in 0..1.

    ``mean_rank`` and ``median_rank`` are those of the first relevant item, infinite where a search was cut
    off before it or the query has none. ``map_at_r`` and ``r_precision`` are None where some R exceeds the
    ranked depth.

    Attributes:
        direction: the kind of the queries and of the gallery.
        queries: the denominator of every figure.
        gallery: how many items are ranked for a query (of one fold, where there are folds).
        depth: length of the ranked lists.
        hit_rates: by ascending k.
        recall: by k, as in trec_eval.
        precision: by k.
        ndcg: by k.
        mean_recall: MR, the mean hit rate at 1, 5 and 10; None for a gallery of fewer than 10.
        tied_pairs: relevant items that share their score with one that is not relevant.
        ranks: the ranks that all this is computed from, one query after another, fold by fold.
        query_rows: (queries,) int64 row of each query in the evaluation set.
        group: (queries,) int64; queries of one group are drawn together by the bootstrap.
    """

    direction: Direction
    queries: int
    gallery: int
    depth: int
    hit_rates: tuple[HitRate, ...]
    recall: Mapping[int, float]
    precision: Mapping[int, float]
    ndcg: Mapping[int, float]
    mrr: float
    median_rank: float
    mean_rank: float
    mean_average_precision: float
    map_at_r: float | None
    r_precision: float | None
    mean_recall: float | None
    tied_pairs: int
    ranks: Ranks
    query_rows: NDArray[np.int64]
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """Figures of each direction that the protocol has, and RSum where it has both with galleries of 10 or more."""

    directions: Mapping[Direction, DirectionFigures]
    rsum: float | None

    @property
    def sides(self) -> Mapping[Direction, DirectionFigures]:
        """Deprecated name of ``directions``."""
        warnings.warn("Figures.sides is Figures.directions now", DeprecationWarning, stacklevel=2)
        return self.directions


def evaluate_vectors(
    evaluated: EvaluationSet,
    images: NDArray[np.float32],
    texts: NDArray[np.float32],
    cuts: Sequence[int] = PAPER_CUTS,
    seed: int = 0,
) -> Figures:
    """Compute figures by exact ranking of all vectors: float32 unit rows, (images, d) and (texts, d), in order.

    Raises:
        EvaluationError: the vectors are not those of the set, or a cut exceeds the gallery.
    """
    if (len(images), len(texts)) != (len(evaluated.images), len(evaluated.texts)):
        raise EvaluationError(
            f"{len(images)} picture and {len(texts)} text vectors were given for "
            f"{len(evaluated.images)} pictures and "
            f"{len(evaluated.texts)} texts"
        )
    directions = {}
    for direction, task in evaluated.directions.items():
        query_vectors, item_vectors = (texts, images) if direction == "text to image" else (images, texts)
        rankings, rows = [], []
        for fold in evaluated.parts():
            queries, items, relevance = fold_of(task, direction, fold)
            ranking = rank_vectors(
                np.ascontiguousarray(query_vectors[queries]),
                np.ascontiguousarray(item_vectors[items]),
                relevance,
            )
            rankings.append(ranking)
            rows.append(queries)
        directions[direction] = _direction_figures(
            evaluated, direction, rankings, np.concatenate(rows), cuts, seed
        )
    return _figures(directions)


def evaluate_lists(
    evaluated: EvaluationSet,
    lists: Mapping[Direction, list[NDArray[np.int64]]],
    depth: int,
    cuts: Sequence[int] = PAPER_CUTS,
    seed: int = 0,
) -> Figures:
    """Compute figures of ranked lists as a search returned them: item rows of each query, best first, to ``depth``.

    Ties are in the order that the search returned, so best and worst case equal the figure itself.

    Raises:
        EvaluationError: the evaluation has folds (a search covers the whole gallery), or a cut exceeds the
            depth.
    """
    if evaluated.folds:
        raise EvaluationError(
            "a search covers the whole collection, so folds cannot be searched; leave --folds out"
        )
    directions = {}
    for direction, found in lists.items():
        task = evaluated.directions[direction]
        relevance = task.relevance.restricted(task.query_rows, np.arange(task.relevance.items))
        ranks = rank_lists(found, relevance, min(depth, relevance.items))
        ranking = Ranking(ranks, ranks, ranks, relevance.rows, 0)
        directions[direction] = _direction_figures(
            evaluated, direction, [ranking], task.query_rows, cuts, seed
        )
    return _figures(directions)


def fold_of(
    task: RetrievalDirection, direction: Direction, fold: Fold
) -> tuple[NDArray[np.int64], NDArray[np.int64], Relevance]:
    """Give one fold of a direction: rows of its queries, rows of its gallery, and the relevance between them."""
    inside, gallery = (fold.texts, fold.images) if direction == "text to image" else (fold.images, fold.texts)
    queries = np.intersect1d(task.query_rows, inside, assume_unique=True)
    return queries, gallery, task.relevance.restricted(queries, gallery)


def _figures(directions: Mapping[Direction, DirectionFigures]) -> Figures:
    both = [
        [hit_rate_at_k(measured.ranks, k) for k in PAPER_CUTS]
        for measured in directions.values()
        if measured.depth >= max(PAPER_CUTS)
    ]
    return Figures(directions, rsum(both[0], both[1]) if len(both) == 2 else None)


def _direction_figures(
    evaluated: EvaluationSet,
    direction: Direction,
    rankings: Sequence[Ranking],
    query_rows: NDArray[np.int64],
    cuts: Sequence[int],
    seed: int,
) -> DirectionFigures:
    exact, best, worst = (
        Ranks.joined([getattr(ranking, case) for ranking in rankings]) for case in ("exact", "best", "worst")
    )
    if evaluated.counted == "judged":
        judged = np.flatnonzero(exact.relevant)
        exact, best, worst, query_rows = (
            exact.select(judged),
            best.select(judged),
            worst.select(judged),
            query_rows[judged],
        )
    group = evaluated.groups[0 if direction == "text to image" else 1][query_rows]
    cuts = sorted(set(cuts))
    hits = np.stack([hits_at_k(exact, k) for k in cuts], axis=1).astype(np.float64)
    intervals = bootstrap_intervals(hits, group, seed=seed)
    first = first_rank(exact)
    whole = int(exact.relevant.max(initial=0)) <= exact.depth
    return DirectionFigures(
        direction=direction,
        queries=exact.queries,
        gallery=_gallery(evaluated, direction),
        depth=exact.depth,
        hit_rates=tuple(
            HitRate(k, hit_rate_at_k(exact, k), interval, hit_rate_at_k(best, k), hit_rate_at_k(worst, k))
            for k, interval in zip(cuts, intervals, strict=True)
        ),
        recall={k: float(recall_at_k(exact, k).mean()) for k in cuts},
        precision={k: float(precision_at_k(exact, k).mean()) for k in cuts},
        ndcg={k: float(ndcg_at_k(exact, k).mean()) for k in cuts},
        mrr=float(reciprocal_rank(exact).mean()),
        median_rank=float(np.median(first)),
        mean_rank=float(first.mean()),
        mean_average_precision=float(average_precision(exact).mean()),
        map_at_r=float(average_precision_at_r(exact).mean()) if whole else None,
        r_precision=float(r_precision(exact).mean()) if whole else None,
        mean_recall=(
            mean_recall([hit_rate_at_k(exact, k) for k in PAPER_CUTS])
            if exact.depth >= max(PAPER_CUTS)
            else None
        ),
        tied_pairs=sum(ranking.tied_pairs for ranking in rankings),
        ranks=exact,
        query_rows=query_rows,
        group=group,
    )


def _gallery(evaluated: EvaluationSet, direction: Direction) -> int:
    part = evaluated.parts()[0]
    return len(part.images) if direction == "text to image" else len(part.texts)
