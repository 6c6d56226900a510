"""All figures of one model: exact counts, folds, denominators, and the same from lists as from vectors."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import (
    DIRECTIONS,
    Direction,
    RetrievalDirection,
    assemble,
    with_first_captions,
    with_folds,
)
from retrieval.evaluation.figures import evaluate_lists, evaluate_vectors
from retrieval.evaluation.metrics import Share
from retrieval.evaluation.ranks import top_items
from tests.retrieval.evaluation import plain_by_counting as counting
from tests.retrieval.evaluation import plain_by_sorting as sorting
from tests.retrieval.evaluation.small_sets import five_each, random_units, set_of, unit

# Three images and four texts on a circle, by degrees: text 1 lies between images 0 and 1 and ties.
PICTURES = unit([[1, 0], [0, 1], [-1, 0]])
TEXTS = unit([[2, 1], [1, 1], [-2, 1], [1, 2]])
LINKS = [(0, 0), (1, 1), (0, 2), (1, 3)]  # image 2 has no text


def test_a_toy_set_gives_the_counts_computed_by_hand() -> None:
    figures = evaluate_vectors(set_of(LINKS, 3, 4), PICTURES, TEXTS, [1, 2, 3])

    texts, images = figures.directions["text to image"], figures.directions["image to text"]
    # text 0: image 0 first. Text 1 ties images 0 and 1, so its own (1) is second. Text 2: images 2, 1, 0.
    # text 3: image 1 first.
    assert [rate.rate for rate in texts.hit_rates] == [Share(2, 4), Share(3, 4), Share(4, 4)]
    assert [rate.best for rate in texts.hit_rates] == [Share(3, 4), Share(3, 4), Share(4, 4)]
    assert [rate.worst for rate in texts.hit_rates] == [Share(2, 4), Share(3, 4), Share(4, 4)]
    assert texts.tied_pairs == 1
    # image 0: texts 0, 1, 3, 2, so its two stand first and last. Image 1: texts 3, 1, then 0 and 2 tie.
    # image 2 has nothing to find, and stays in the denominator.
    assert [rate.rate for rate in images.hit_rates] == [Share(2, 3), Share(2, 3), Share(2, 3)]
    assert images.recall[1] == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert images.map_at_r == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert (texts.median_rank, texts.mean_rank) == (1.5, 1.75)
    assert images.mean_rank == np.inf
    assert figures.rsum is None  # hit rates at 10 need galleries of 10


def test_judged_queries_alone_count_where_the_protocol_says_so() -> None:
    figures = evaluate_vectors(replace(set_of(LINKS, 3, 4), counted="judged"), PICTURES, TEXTS, [1])

    assert figures.directions["image to text"].hit_rates[0].rate == Share(2, 2)


def test_queries_that_do_not_ask_still_fill_the_gallery() -> None:
    whole = set_of(LINKS, 3, 4)
    directions: dict[Direction, RetrievalDirection] = {
        "text to image": RetrievalDirection(np.array([0, 3]), whole.directions["text to image"].relevance)
    }

    figures = evaluate_vectors(replace(whole, directions=directions), PICTURES, TEXTS, [1])

    assert figures.directions["text to image"].hit_rates[0].rate == Share(2, 2)
    assert figures.directions["text to image"].gallery == 3


VectorProblem = tuple[NDArray[np.float32], NDArray[np.float32], list[tuple[int, int]], int]
"""Vectors of images and of texts, links (image, text), and a cut-off k."""


@st.composite
def vector_problems(draw: st.DrawFn) -> VectorProblem:
    """Few directions, so that scores tie often; links are uneven and may be missing."""
    images, texts = draw(st.integers(1, 6)), draw(st.integers(1, 8))
    coordinate = st.integers(-1, 1)
    directions = st.tuples(coordinate, coordinate, coordinate).filter(any)
    rows = [draw(st.lists(directions, min_size=n, max_size=n)) for n in (images, texts)]
    pair = st.tuples(st.integers(0, images - 1), st.integers(0, texts - 1))
    links = draw(st.lists(pair, min_size=1, max_size=12, unique=True))
    return unit(rows[0]), unit(rows[1]), links, draw(st.integers(1, min(images, texts)))


@settings(max_examples=500)
@given(vector_problems())
def test_figures_from_vectors_equal_both_plain_implementations_on_the_engines_scores(
    problem: VectorProblem,
) -> None:
    images, texts, links, k = problem
    figures = evaluate_vectors(set_of(links, len(images), len(texts)), images, texts, [k])

    for direction in DIRECTIONS:
        of_texts = direction == "text to image"
        queries, items = (texts, images) if of_texts else (images, texts)
        pairs = [(t, p) for p, t in links] if of_texts else links
        matrix = [exact_scores(items, query).tolist() for query in queries]
        wanted = [{item for query, item in pairs if query == row} for row in range(len(queries))]
        measured, plain = figures.directions[direction], sorting.figures(matrix, wanted, k)
        rate = measured.hit_rates[0].rate
        assert Fraction(rate.count, rate.of) == counting.hits(matrix, wanted, k)
        assert rate.of == len(queries)
        for name, value in (
            ("recall", measured.recall[k]),
            ("precision", measured.precision[k]),
            ("ndcg", measured.ndcg[k]),
            ("rr", measured.mrr),
            ("first", measured.mean_rank),
            ("map", measured.mean_average_precision),
            ("map@r", measured.map_at_r),
            ("rprec", measured.r_precision),
        ):
            assert value == pytest.approx(np.mean(plain[name])), name


@pytest.mark.slow
def test_data_like_coco_has_25010_as_the_denominator_of_every_text_figure() -> None:
    evaluated = five_each(5000, extra=10)

    figures = evaluate_vectors(evaluated, random_units(5000, 4), random_units(25010, 4, seed=1), [1, 5, 10])

    texts, images = figures.directions["text to image"], figures.directions["image to text"]
    assert (texts.queries, images.queries) == (25010, 5000)
    assert {rate.rate.of for rate in texts.hit_rates} == {25010}
    assert (texts.gallery, images.gallery) == (5000, 25010)
    assert evaluated.denominator("text to image") == 25010


def test_first5_leaves_sixth_captions_out_of_both_directions() -> None:
    first = with_first_captions(five_each(20, extra=3), 5)

    assert len(first.texts) == 100
    assert first.denominator("text to image") == 100
    assert "103" in first.notes[0]


def test_folds_are_evaluated_alone_and_averaged() -> None:
    whole, images, texts = five_each(20), random_units(20), random_units(100, seed=1)

    folded = evaluate_vectors(with_folds(whole, 2), images, texts, [1, 5])

    halves = [
        evaluate_vectors(five_each(10), images[10 * n :][:10], texts[50 * n :][:50], [1, 5]) for n in (0, 1)
    ]
    for direction, measured in folded.directions.items():
        for number, rate in enumerate(measured.hit_rates):
            parts = [half.directions[direction].hit_rates[number].rate for half in halves]
            assert rate.rate == Share(sum(p.count for p in parts), sum(p.of for p in parts))
        assert measured.gallery == halves[0].directions[direction].gallery


def test_folds_that_do_not_divide_are_refused() -> None:
    with pytest.raises(EvaluationError, match="20 pictures cannot be cut into 3 equal folds"):
        with_folds(five_each(20), 3)
    with pytest.raises(EvaluationError, match="unequal numbers of texts; take equally many"):
        with_folds(five_each(20, extra=3), 2)


def test_ranked_lists_give_the_figures_that_vectors_give() -> None:
    evaluated, images, texts = five_each(12), random_units(12), random_units(60, seed=1)
    by_vectors = evaluate_vectors(evaluated, images, texts, [1, 5])
    lists: dict[Direction, list[NDArray[np.int64]]] = {
        "text to image": list(top_items(texts, images, 10)[0]),
        "image to text": list(top_items(images, texts, 10)[0]),
    }

    by_lists = evaluate_lists(evaluated, lists, 10, [1, 5])

    for direction, measured in by_lists.directions.items():
        other = by_vectors.directions[direction]
        assert [rate.rate for rate in measured.hit_rates] == [rate.rate for rate in other.hit_rates]
        assert [rate.interval for rate in measured.hit_rates] == [rate.interval for rate in other.hit_rates]
        assert measured.recall == other.recall
    assert by_lists.rsum == by_vectors.rsum


def test_a_figure_that_the_depth_does_not_cover_is_none_and_no_guess() -> None:
    evaluated = five_each(12)
    lists: dict[Direction, list[NDArray[np.int64]]] = {"image to text": [np.arange(3)] * 12}

    measured = evaluate_lists(evaluated, lists, 3, [1]).directions["image to text"]

    assert (measured.map_at_r, measured.r_precision, measured.mean_recall) == (None, None, None)


def test_rsum_is_the_sum_of_six_hit_rates_in_per_cent() -> None:
    figures = evaluate_vectors(five_each(12), random_units(12), random_units(60, seed=1), [1])

    perfect = evaluate_vectors(
        set_of([(row, row) for row in range(12)], 12, 12),
        np.eye(12, dtype=np.float32),
        np.eye(12, dtype=np.float32),
    )
    assert perfect.rsum == pytest.approx(600)
    assert figures.rsum is not None
    assert 0 < figures.rsum < 600


def test_a_k_beyond_the_gallery_is_refused_with_the_largest_that_goes() -> None:
    with pytest.raises(EvaluationError, match="a figure at 4 needs lists ranked to depth 4, but they have 3"):
        evaluate_vectors(set_of(LINKS, 3, 4), PICTURES, TEXTS, [4])


def test_vectors_of_another_set_are_refused() -> None:
    with pytest.raises(EvaluationError, match="2 picture and 4 text vectors were given for 3 pictures"):
        evaluate_vectors(set_of(LINKS, 3, 4), PICTURES[:2], TEXTS, [1])


def test_a_set_without_links_and_one_with_a_name_twice_are_refused() -> None:
    whole = set_of(LINKS, 3, 4)

    with pytest.raises(EvaluationError, match="3 pictures, 4 texts and 0 links"):
        set_of([], 3, 4)
    with pytest.raises(EvaluationError, match=r"names the text test:photos/t0 2 times"):
        assemble("toy", whole.images, (*whole.texts, whole.texts[0]), LINKS)
