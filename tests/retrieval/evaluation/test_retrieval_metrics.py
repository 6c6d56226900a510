from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.metrics import (
    Share,
    average_precision,
    average_precision_at_r,
    first_rank,
    found_at_k,
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
from retrieval.evaluation.ranks import UNRANKED, Ranks, rank_lists, rank_scores
from retrieval.evaluation.relevance import Relevance
from tests.retrieval.evaluation import plain_by_counting as counting
from tests.retrieval.evaluation import plain_by_sorting as sorting

# Three images; image 0 has captions 0, 1, 2, image 1 has caption 3, image 2 has none.
#                      caption:   0    1    2    3
TOY = np.array([[0.9, 0.5, 0.1, 0.5],  # image 0
                [0.5, 0.5, 0.3, 0.2],  # image 1
                [0.5, 0.8, 0.2, 0.9]])  # image 2  # fmt: skip
LINKS = [(0, 0), (0, 1), (0, 2), (1, 3)]
PICTURES_TO_TEXTS = Relevance.of_pairs(LINKS, queries=3, items=4)
TEXTS_TO_PICTURES = PICTURES_TO_TEXTS.transposed()


def test_toy_matrix_gives_the_ranks_computed_by_hand() -> None:
    texts = rank_scores(TOY.T, TEXTS_TO_PICTURES)
    images = rank_scores(TOY, PICTURES_TO_TEXTS)

    # caption 0: image 0 leads. Caption 1: 0.8 for image 2, then images 0 and 1 tie at 0.5.
    # caption 2: 0.3, 0.2, 0.1. Caption 3: 0.9, 0.5, 0.2.
    assert texts.exact.ranks.tolist() == [1, 2, 3, 3]
    assert texts.best.ranks.tolist() == [1, 2, 3, 3]
    assert texts.worst.ranks.tolist() == [1, 3, 3, 3]
    # image 0: captions 0 | 1 and 3 tie at 0.5 | 2. Image 1: 0 and 1 tie at 0.5, 2, then 3.
    assert images.exact.ranks.tolist() == [1, 2, 4, 4]
    assert images.worst.ranks.tolist() == [1, 3, 4, 4]
    assert images.rows.tolist() == [0, 1, 2, 3]
    assert images.tied_pairs == 1


def test_toy_matrix_gives_the_figures_computed_by_hand() -> None:
    texts = rank_scores(TOY.T, TEXTS_TO_PICTURES).exact
    images = rank_scores(TOY, PICTURES_TO_TEXTS).exact

    assert [hit_rate_at_k(texts, k) for k in (1, 2, 3)] == [Share(1, 4), Share(2, 4), Share(4, 4)]
    assert [hit_rate_at_k(images, k) for k in (1, 2, 4)] == [Share(1, 3), Share(1, 3), Share(2, 3)]
    assert found_at_k(images, 2).tolist() == [2, 0, 0]
    assert recall_at_k(images, 2).tolist() == pytest.approx([2 / 3, 0, 0])
    assert precision_at_k(images, 4).tolist() == pytest.approx([3 / 4, 1 / 4, 0])
    assert first_rank(images).tolist() == [1, 4, np.inf]
    assert reciprocal_rank(images).tolist() == pytest.approx([1, 1 / 4, 0])
    assert average_precision(images).tolist() == pytest.approx([(1 + 1 + 3 / 4) / 3, 1 / 4, 0])
    assert average_precision_at_r(images).tolist() == pytest.approx([(1 + 1 + 0) / 3, 0, 0])
    assert r_precision(images).tolist() == pytest.approx([2 / 3, 0, 0])


def test_a_query_without_a_relevant_item_is_a_miss_that_stays_in_the_denominator_unless_only_judged_count() -> (
    None
):
    ranks = rank_scores(TOY, PICTURES_TO_TEXTS).exact

    assert hit_rate_at_k(ranks, 4) == Share(2, 3)
    assert hit_rate_at_k(ranks.judged(), 4) == Share(2, 2)


def test_hit_rate_and_recall_differ_where_a_query_has_several_answers() -> None:
    ranks = rank_scores(np.array([[3.0, 2.0, 1.0]]), Relevance.of_pairs([(0, 0), (0, 2)], 1, 3)).exact

    assert hit_rate_at_k(ranks, 1).value == 1.0
    assert recall_at_k(ranks, 1).tolist() == [0.5]


def test_ranks_count_from_1() -> None:
    ranks = rank_scores(np.array([[1.0, 0.0]]), Relevance.of_pairs([(0, 0)], 1, 2)).exact

    assert first_rank(ranks).tolist() == [1]
    assert reciprocal_rank(ranks).tolist() == [1]


def test_rsum_is_in_per_cent_and_mean_recall_a_share() -> None:
    rates = [Share(1, 4), Share(2, 4), Share(3, 4)]

    assert rsum(rates, rates) == pytest.approx(300)
    assert mean_recall(rates) == pytest.approx(0.5)


@pytest.mark.parametrize("k", [0, -1, 5])
def test_a_cut_outside_the_ranked_depth_is_refused(k: int) -> None:
    ranks = rank_scores(TOY, PICTURES_TO_TEXTS).exact

    with pytest.raises(EvaluationError, match=f"at {k} needs lists ranked to depth {k}, but they have 4"):
        hits_at_k(ranks, k)


def test_map_at_r_is_refused_where_r_exceeds_the_ranked_depth() -> None:
    relevance = Relevance.of_pairs([(0, 0), (0, 1), (0, 2)], 1, 10)
    ranks = rank_lists([np.array([0, 5])], relevance, depth=2)

    for figure in (average_precision_at_r, r_precision):
        with pytest.raises(EvaluationError, match="3 for query 0, but they end at 2; rank to depth 3"):
            figure(ranks)


def test_an_evaluation_without_queries_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no query"):
        hit_rate_at_k(Ranks(np.zeros(1, np.int64), np.zeros(0, np.int64), 5), 1)


def test_ranked_lists_give_the_same_ranks_as_the_matrix_down_to_their_depth() -> None:
    full = rank_scores(TOY, PICTURES_TO_TEXTS).exact
    lists = [np.array(sorting.order(row.tolist())[:2]) for row in TOY]

    cut = rank_lists(lists, PICTURES_TO_TEXTS, depth=2)

    assert cut.ranks.tolist() == [rank if rank <= 2 else UNRANKED for rank in full.ranks.tolist()]
    assert hit_rate_at_k(cut, 2) == hit_rate_at_k(full, 2)
    assert reciprocal_rank(cut).tolist() == [1, 0, 0]


def test_a_query_without_results_counts_0() -> None:
    cut = rank_lists([np.zeros(0, np.int64)], Relevance.of_pairs([(0, 0)], 1, 3), depth=3)

    assert hit_rate_at_k(cut, 1) == Share(0, 1)
    assert first_rank(cut).tolist() == [np.inf]
    assert ndcg_at_k(cut, 3).tolist() == [0]


def test_a_list_that_holds_an_item_twice_is_refused() -> None:
    with pytest.raises(EvaluationError, match="query 0 holds an item twice"):
        rank_lists([np.array([1, 1])], Relevance.of_pairs([(0, 0)], 1, 3), depth=2)


def test_a_score_that_is_not_a_number_is_refused_with_its_place() -> None:
    scores = TOY.copy()
    scores[1, 2] = np.nan

    with pytest.raises(EvaluationError, match="query 1 and item 2 is not a number"):
        rank_scores(scores, PICTURES_TO_TEXTS)


def test_relevance_outside_the_matrix_is_refused() -> None:
    with pytest.raises(
        EvaluationError, match="names query 0 and item 4, but there are 3 queries and 4 items"
    ):
        Relevance.of_pairs([(0, 4)], 3, 4)


Problem = tuple[NDArray[np.float64], list[set[int]], int]
"""Scores (queries, items), the relevant items of each query, and a cut-off k."""


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """A score matrix with many ties, and a relation with uneven, shared and missing answers."""
    queries, items = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    values = st.integers(0, draw(st.integers(1, 30)))
    matrix = draw(
        st.lists(st.lists(values, min_size=items, max_size=items), min_size=queries, max_size=queries)
    )
    relevant = draw(
        st.lists(st.sets(st.integers(0, items - 1), max_size=items), min_size=queries, max_size=queries)
    )
    return np.array(matrix, np.float64) / 30, relevant, draw(st.integers(1, items))


def relation(relevant: Sequence[set[int]], items: int) -> Relevance:
    return Relevance.of_pairs(
        [(q, i) for q, wanted in enumerate(relevant) for i in wanted], len(relevant), items
    )


@settings(max_examples=1500)
@given(problems())
def test_every_metric_equals_the_plain_implementation_that_sorts(problem: Problem) -> None:
    matrix, relevant, k = problem
    ranks = rank_scores(matrix, relation(relevant, matrix.shape[1])).exact

    plain = sorting.figures(matrix.tolist(), relevant, k)

    ours = {
        "hit": hits_at_k(ranks, k),
        "recall": recall_at_k(ranks, k),
        "precision": precision_at_k(ranks, k),
        "rr": reciprocal_rank(ranks),
        "first": first_rank(ranks),
        "ndcg": ndcg_at_k(ranks, k),
        "map": average_precision(ranks),
        "map@r": average_precision_at_r(ranks),
        "rprec": r_precision(ranks),
    }
    for name, values in plain.items():
        assert ours[name].tolist() == pytest.approx(values, abs=1e-12), name


@settings(max_examples=1500)
@given(problems())
def test_every_metric_equals_the_plain_implementation_that_counts(problem: Problem) -> None:
    matrix, relevant, k = problem
    ranks = rank_scores(matrix, relation(relevant, matrix.shape[1])).exact
    rows = matrix.tolist()

    rate = hit_rate_at_k(ranks, k)

    assert Fraction(rate.count, rate.of) == counting.hits(rows, relevant, k)
    assert rate.of == len(rows)
    for name, ours, plain in (
        ("recall", recall_at_k(ranks, k), lambda s, w: counting.recall(s, w, k)),
        ("precision", precision_at_k(ranks, k), lambda s, w: counting.precision(s, w, k)),
        ("rr", reciprocal_rank(ranks), counting.reciprocal_rank),
        ("ndcg", ndcg_at_k(ranks, k), lambda s, w: counting.ndcg(s, w, k)),
        ("map", average_precision(ranks), counting.average_precision),
        ("map@r", average_precision_at_r(ranks), counting.map_at_r),
    ):
        expected = [plain(scores, wanted) for scores, wanted in zip(rows, relevant, strict=True)]
        assert ours.tolist() == pytest.approx(expected, abs=1e-12), name


@settings(max_examples=400)
@given(problems())
def test_best_and_worst_case_are_the_extremes_over_every_way_to_break_ties(problem: Problem) -> None:
    matrix, relevant, k = problem
    ranking = rank_scores(matrix, relation(relevant, matrix.shape[1]))
    rows = matrix.tolist()
    answers = [[1.0 if item in wanted else 0.0 for item in range(matrix.shape[1])] for wanted in relevant]

    for ranks, sign in ((ranking.best, 1), (ranking.worst, -1)):
        nudged = [
            [s + sign * 1e-6 * a for s, a in zip(*row, strict=True)]
            for row in zip(rows, answers, strict=True)
        ]
        assert hits_at_k(ranks, k).tolist() == [bool(v) for v in sorting.figures(nudged, relevant, k)["hit"]]
        assert average_precision(ranks).tolist() == pytest.approx(sorting.figures(nudged, relevant, k)["map"])
