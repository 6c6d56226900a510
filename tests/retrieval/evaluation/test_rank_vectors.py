from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError
from retrieval.evaluation import ranks as ranks_module
from retrieval.evaluation.ranks import rank_scores, rank_vectors, top_items
from retrieval.evaluation.relevance import Relevance


def unit_rows(
    random: np.random.Generator, count: int, dimension: int, copies: float = 0.0, nudge: float = 0.0
) -> NDArray[np.float32]:
    """Random unit rows, a share of which are copies of others, or lie within ``nudge`` of them."""
    rows = random.standard_normal((count, dimension))
    for row in np.flatnonzero(random.random(count) < copies):
        rows[row] = rows[random.integers(count)] + nudge * random.standard_normal(dimension)
    return np.ascontiguousarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def engine_scores(queries: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """The matrix of the engine's own scores, one query after another."""
    return np.stack([exact_scores(items, query) for query in queries])


def random_relevance(random: np.random.Generator, queries: int, items: int) -> Relevance:
    pairs = [
        (q, i) for q in range(queries) for i in random.integers(0, items, random.integers(0, 4)).tolist()
    ]
    return Relevance.of_pairs(pairs, queries, items)


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**32),
    dimension=st.sampled_from([2, 3, 17, 64, 512]),
    copies=st.sampled_from([0.0, 0.5, 0.9]),
    nudge=st.sampled_from([0.0, 1e-8, 1e-6, 1e-5]),
    block_bytes=st.sampled_from([1, 2000, 2**26]),
)
def test_ranks_from_vectors_are_those_of_the_engines_score_matrix(
    seed: int, dimension: int, copies: float, nudge: float, block_bytes: int
) -> None:
    random = np.random.default_rng(seed)
    queries, items = (unit_rows(random, count, dimension, copies, nudge) for count in (13, 60))
    relevance = random_relevance(random, 13, 60)

    fast = rank_vectors(queries, items, relevance, block_bytes)

    plain = rank_scores(engine_scores(queries, items), relevance)
    for case in ("exact", "best", "worst"):
        assert getattr(fast, case).ranks.tolist() == getattr(plain, case).ranks.tolist()
    assert (fast.rows.tolist(), fast.tied_pairs) == (plain.rows.tolist(), plain.tied_pairs)


@settings(max_examples=100)
@given(
    seed=st.integers(0, 2**32),
    dimension=st.sampled_from([2, 17, 512]),
    copies=st.sampled_from([0.0, 0.9]),
    nudge=st.sampled_from([0.0, 1e-8, 1e-5]),
    depth=st.integers(1, 60),
)
def test_top_items_are_in_the_engines_exact_order_with_its_scores(
    seed: int, dimension: int, copies: float, nudge: float, depth: int
) -> None:
    random = np.random.default_rng(seed)
    queries, items = (unit_rows(random, count, dimension, copies, nudge) for count in (7, 50))

    rows, scores = top_items(queries, items, depth, block_bytes=1000)

    for query, (row, score) in enumerate(zip(rows, scores, strict=True)):
        exact = exact_scores(items, queries[query])
        expected = np.lexsort((np.arange(50), -exact))[:depth]
        assert row.tolist() == expected.tolist()
        assert score.tolist() == exact[expected].tolist()


def test_a_pair_has_the_same_score_whichever_side_asks_and_whatever_it_is_scored_with() -> None:
    random = np.random.default_rng(5)
    queries, items = unit_rows(random, 40, 512), unit_rows(random, 300, 512)
    matrix = engine_scores(queries, items)

    assert np.array_equal(matrix, engine_scores(items, queries).T)
    query, item = np.repeat(np.arange(40), 300), np.tile(np.arange(300), 40)
    assert np.array_equal(matrix.ravel(), ranks_module._pair_scores(queries, items, query, item))


def test_identical_vectors_put_every_comparison_to_the_exact_score_and_rank_by_row() -> None:
    rows = np.zeros((3000, 8), np.float32)
    rows[:, 0] = 1
    relevance = Relevance.of_pairs([(q, q) for q in range(3000)], 3000, 3000)

    ranking = rank_vectors(rows, rows, relevance)

    assert ranking.exact.ranks.tolist() == list(range(1, 3001))
    assert set(ranking.best.ranks.tolist()) == {1}
    assert set(ranking.worst.ranks.tolist()) == {3000}
    assert ranking.tied_pairs == 3000


def test_vectors_that_are_not_unit_are_refused_with_their_row() -> None:
    rows = unit_rows(np.random.default_rng(0), 4, 8)
    bad = rows.copy()
    bad[2] *= 1.001

    with pytest.raises(EvaluationError, match=r"item vector 2 has length 1\.001"):
        rank_vectors(rows, bad, Relevance.of_pairs([(0, 0)], 4, 4))
    bad[2] = np.nan
    with pytest.raises(EvaluationError, match="query vector 2 has length nan"):
        rank_vectors(bad, rows, Relevance.of_pairs([(0, 0)], 4, 4))


def test_vectors_of_two_spaces_are_refused() -> None:
    random = np.random.default_rng(0)

    with pytest.raises(EvaluationError, match="one space"):
        rank_vectors(unit_rows(random, 2, 8), unit_rows(random, 2, 9), Relevance.of_pairs([], 2, 2))


def test_coco_like_captions_give_25010_as_the_denominator() -> None:
    from retrieval.evaluation.metrics import hit_rate_at_k

    random = np.random.default_rng(1)
    owner = np.sort(np.concatenate([np.repeat(np.arange(5000), 5), np.arange(10)]))
    relevance = Relevance.of_pairs(zip(range(25010), owner.tolist(), strict=True), 25010, 5000)
    texts, images = unit_rows(random, 25010, 16), unit_rows(random, 5000, 16)

    assert hit_rate_at_k(rank_vectors(texts, images, relevance).exact, 10).of == 25010
