"""Laws that hold between figures, whatever was ranked, and relations of queries and items turned, cut and grouped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.errors import EvaluationError
from retrieval.evaluation.intervals import bootstrap_intervals, group_sums
from retrieval.evaluation.metrics import (
    Share,
    average_precision,
    average_precision_at_r,
    first_rank,
    found_at_k,
    hits_at_k,
    mean_recall,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
    rsum,
)
from retrieval.evaluation.ranks import Ranks, rank_lists, rank_scores
from retrieval.evaluation.relevance import Relevance, linked_groups
from retrieval.evaluation.significance import holm, sign_flip_p

Pairs = list[tuple[int, int]]
Problem = tuple[NDArray[np.float64], Pairs]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    """Scores with ties, (queries, items), and which items answer which queries."""
    queries, items = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    row = st.lists(st.integers(0, 5), min_size=items, max_size=items)
    matrix = np.array(draw(st.lists(row, min_size=queries, max_size=queries)), np.float64) / 5
    pairs = draw(st.lists(st.tuples(st.integers(0, queries - 1), st.integers(0, items - 1)), max_size=12))
    return matrix, pairs


def ranked(problem: Problem) -> Ranks:
    matrix, pairs = problem
    return rank_scores(matrix, Relevance.of_pairs(pairs, *matrix.shape)).exact


@given(problems())
def test_more_hits_never_find_fewer_answers_and_at_full_depth_all_are_found(problem: Problem) -> None:
    ranks = ranked(problem)
    before = np.zeros(ranks.queries, np.int64)
    for k in range(1, ranks.depth + 1):
        found = found_at_k(ranks, k)
        assert (before <= found).all()
        assert (found <= np.minimum(ranks.relevant, k)).all()
        before = found
    assert np.array_equal(before, ranks.relevant)


@given(problems(), st.integers(1, 8))
def test_every_figure_is_a_share_and_a_perfect_list_has_1(problem: Problem, k: int) -> None:
    matrix, pairs = problem
    k = min(k, matrix.shape[1])
    perfect = np.zeros_like(matrix)
    for query, item in pairs:
        perfect[query, item] = 1.0

    for metric in (
        average_precision,
        average_precision_at_r,
        r_precision,
        reciprocal_rank,
        lambda r: ndcg_at_k(r, k),
    ):
        values = metric(ranked(problem))
        best = metric(ranked((perfect, pairs)))
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert best == pytest.approx((ranked(problem).relevant > 0).astype(float))
        assert (values <= best + 1e-12).all()


@given(problems(), st.integers(1, 8))
def test_recall_precision_and_hits_count_the_same_answers(problem: Problem, k: int) -> None:
    ranks = ranked(problem)
    k = min(k, ranks.depth)

    found = found_at_k(ranks, k)

    assert recall_at_k(ranks, k) * ranks.relevant == pytest.approx(found)
    assert precision_at_k(ranks, k) * k == pytest.approx(found)
    assert np.array_equal(hits_at_k(ranks, k), first_rank(ranks) <= k)
    assert reciprocal_rank(ranks) == pytest.approx(
        np.where(found > 0, 1 / first_rank(ranks), reciprocal_rank(ranks))
    )


@given(problems(), st.randoms(use_true_random=False))
def test_the_order_of_the_queries_is_the_order_of_their_values(problem: Problem, random: object) -> None:
    matrix, pairs = problem
    order = list(range(len(matrix)))
    random.shuffle(order)  # type: ignore[attr-defined]  # random.Random
    place = {query: at for at, query in enumerate(order)}

    moved = ranked((matrix[order], [(place[query], item) for query, item in pairs]))

    assert np.array_equal(average_precision(moved), average_precision(ranked(problem))[order])


@given(problems(), st.floats(0.1, 9), st.floats(-3, 3))
def test_only_the_order_of_scores_counts(problem: Problem, factor: float, shift: float) -> None:
    matrix, pairs = problem

    assert np.array_equal(ranked((matrix * factor + shift, pairs)).ranks, ranked(problem).ranks)


@given(problems(), st.integers(1, 8))
def test_lists_that_are_cut_off_have_the_figures_of_whole_ones_up_to_their_depth(
    problem: Problem, depth: int
) -> None:
    matrix, pairs = problem
    depth = min(depth, matrix.shape[1])
    lists = [np.argsort(-row, kind="stable")[:depth].astype(np.int64) for row in matrix]

    cut = rank_lists(lists, Relevance.of_pairs(pairs, *matrix.shape), depth)

    for k in range(1, depth + 1):
        assert np.array_equal(recall_at_k(cut, k), recall_at_k(ranked(problem), k))
        assert np.array_equal(ndcg_at_k(cut, k), ndcg_at_k(ranked(problem), k))
    with pytest.raises(EvaluationError, match=f"choose a k from 1 to {depth}"):
        hits_at_k(cut, depth + 1)


@given(problems())
def test_folds_that_are_joined_have_the_values_of_each(problem: Problem) -> None:
    ranks = ranked(problem)

    joined = Ranks.joined([ranks, ranks.select(np.arange(ranks.queries)[::-1])])

    values = average_precision(ranks)
    assert np.array_equal(average_precision(joined), np.concatenate([values, values[::-1]]))
    assert (ranks.judged().relevant > 0).all()


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=3, max_size=3))
def test_sums_of_rates_are_in_per_cent_and_their_mean_is_a_share(counts: list[tuple[int, int]]) -> None:
    shares = [Share(min(count, of), of) for count, of in counts]

    assert mean_recall(shares) == pytest.approx(np.mean([share.value for share in shares]))
    assert rsum(shares, shares) == pytest.approx(600 * mean_recall(shares))


# Relations


@given(problems())
def test_turning_a_relation_twice_gives_it_back(problem: Problem) -> None:
    matrix, pairs = problem
    relevance = Relevance.of_pairs(pairs, *matrix.shape)

    turned = relevance.transposed()

    assert {(int(q), int(i)) for q, i in zip(turned.query_of_pair, turned.rows, strict=True)} == {
        (item, query) for query, item in pairs
    }
    again = turned.transposed()
    assert np.array_equal(again.rows, relevance.rows)
    assert np.array_equal(again.offsets, relevance.offsets)


@given(problems(), st.data())
def test_a_restricted_relation_keeps_the_pairs_of_what_is_left_under_new_numbers(
    problem: Problem, data: st.DataObject
) -> None:
    matrix, pairs = problem
    queries, items = (
        np.array(sorted(data.draw(st.sets(st.integers(0, count - 1)))), np.int64) for count in matrix.shape
    )

    cut = Relevance.of_pairs(pairs, *matrix.shape).restricted(queries, items)

    kept = {(queries[q], items[i]) for q, i in zip(cut.query_of_pair, cut.rows, strict=True)}
    assert kept == {(q, i) for q, i in pairs if q in queries and i in items}


@given(problems())
def test_groups_are_what_links_connect(problem: Problem) -> None:
    matrix, pairs = problem
    of_query, of_item = linked_groups(Relevance.of_pairs(pairs, *matrix.shape))

    naive = {("q", q): {("q", q)} for q in range(matrix.shape[0])} | {
        ("i", i): {("i", i)} for i in range(matrix.shape[1])
    }
    for query, item in pairs:
        united = naive["q", query] | naive["i", item]
        for node in united:
            naive[node] = united
    group = {("q", q): g for q, g in enumerate(of_query.tolist())} | {
        ("i", i): g for i, g in enumerate(of_item.tolist())
    }
    for one in naive:
        for other in naive:
            assert (group[one] == group[other]) == (other in naive[one])


# Statistics


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1)), min_size=1, max_size=12), st.floats(0.5, 0.99)
)
def test_an_interval_holds_the_mean_of_a_figure_and_lies_within_its_values(
    pairs: list[tuple[int, int]], level: float
) -> None:
    group, values = np.array([g for g, _ in pairs]), np.array([[float(v)] for _, v in pairs])

    (interval,) = bootstrap_intervals(values, group, level=level, resamples=200)

    assert values.min() <= interval.low <= interval.high <= values.max()
    (wider,) = bootstrap_intervals(values, group, level=(1 + level) / 2, resamples=200)
    assert wider.low <= interval.low
    assert interval.high <= wider.high


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 9)), min_size=1, max_size=12))
def test_sums_of_groups_are_those_of_their_queries(pairs: list[tuple[int, int]]) -> None:
    group, values = np.array([g for g, _ in pairs]), np.array([[float(v), 1.0] for _, v in pairs])

    sums, sizes = group_sums(values, group)

    for at, name in enumerate(sorted(set(group.tolist()))):
        assert sums[at].tolist() == pytest.approx(values[group == name].sum(axis=0))
        assert sizes[at] == (group == name).sum()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_corrected_p_values_are_larger_keep_their_order_and_stay_below_bonferroni(
    values: list[float],
) -> None:
    p = np.array(values)

    corrected = holm(p)

    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, p * len(p)) + 1e-12).all()
    assert np.array_equal(np.argsort(p, kind="stable"), np.lexsort((np.arange(len(p)), p)))
    assert (np.diff(corrected[np.argsort(p, kind="stable")]) >= 0).all()


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=10))
def test_who_comes_first_makes_no_difference_to_a_p_value(rows: list[tuple[int, int, int]]) -> None:
    group = np.array([g for g, _, _ in rows])
    first, second = (np.array([[float(row[at])] for row in rows]) for at in (1, 2))

    one, other = sign_flip_p(first, second, group, flips=200), sign_flip_p(second, first, group, flips=200)

    assert one.tolist() == other.tolist()
    assert 0 < one[0] <= 1
