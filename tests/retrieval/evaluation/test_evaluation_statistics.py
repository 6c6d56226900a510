from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.errors import EvaluationError
from retrieval.evaluation.intervals import bootstrap_intervals
from retrieval.evaluation.relevance import Relevance, linked_groups
from retrieval.evaluation.significance import holm, sign_flip_p


def test_captions_of_one_image_are_drawn_together() -> None:
    # ten images whose five captions all hit or all miss: the interval must be that of ten draws, not of
    # fifty
    values = np.repeat(np.arange(10) % 2, 5).astype(float)[:, None]

    by_image = bootstrap_intervals(values, np.repeat(np.arange(10), 5), seed=1)[0]
    by_caption = bootstrap_intervals(values, np.arange(50), seed=1)[0]

    assert by_image.low == pytest.approx(0.2)
    assert by_image.high == pytest.approx(0.8)
    assert by_caption.high - by_caption.low < 0.3


def test_an_interval_of_equal_values_has_no_width() -> None:
    interval = bootstrap_intervals(np.full((20, 1), 0.25), np.arange(20) // 4)[0]

    assert (interval.low, interval.high) == (0.25, 0.25)


def test_equal_seeds_give_equal_intervals_and_other_seeds_others() -> None:
    values, group = np.random.default_rng(0).random((60, 2)), np.arange(60) // 3

    first, again, other = (bootstrap_intervals(values, group, seed=seed) for seed in (3, 3, 4))

    assert first == again
    assert first != other


def test_bootstrap_by_image_has_the_spread_that_theory_gives() -> None:
    values = np.random.default_rng(2).random((400, 1))

    interval = bootstrap_intervals(values, np.arange(400), resamples=4000)[0]

    expected = 2 * 1.96 * values.std() / 20  # a mean of 400 draws
    assert interval.high - interval.low == pytest.approx(
        expected, rel=0.1
    )  # 4,000 resamples: about 4 % spread


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_outside_0_to_1_is_refused(level: float) -> None:
    with pytest.raises(EvaluationError, match="between 0 and 1"):
        bootstrap_intervals(np.ones((2, 1)), np.arange(2), level=level)


def test_images_that_share_a_caption_are_one_group() -> None:
    # captions 0, 1 of image 0; caption 2 of images 1 and 2; caption 3 of nothing; image 3 without
    # caption
    queries, items = linked_groups(Relevance.of_pairs([(0, 0), (1, 0), (2, 1), (2, 2)], 4, 4))

    assert items[1] == items[2]
    assert len(set(items.tolist())) == 3
    assert queries[0] == queries[1] == items[0]
    assert queries[2] == items[1]
    assert queries[3] not in items.tolist()


@settings(max_examples=25)
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=8))
def test_the_p_value_is_that_of_all_sign_flips(differences: list[int]) -> None:
    sums = np.array(differences, float)
    group = np.arange(len(sums))

    p = sign_flip_p(np.zeros((len(sums), 1)), sums[:, None], group, flips=20_000)[0]

    all_flips = [abs(sums @ signs) for signs in itertools.product([-1, 1], repeat=len(sums))]
    exact = np.mean([flip >= abs(sums.sum()) - 1e-9 for flip in all_flips])
    assert p == pytest.approx(exact, abs=0.02)  # six standard errors of 20,000 tosses


def test_a_model_against_itself_is_never_significant() -> None:
    values = np.random.default_rng(0).random((50, 3))

    assert sign_flip_p(values, values, np.arange(50) // 5).tolist() == [1, 1, 1]


def test_captions_of_one_image_change_sign_together() -> None:
    # one image wins with all its 20 captions: by caption that looks certain, by image it is one
    # observation
    first, second = np.zeros((20, 1)), np.ones((20, 1))

    assert sign_flip_p(first, second, np.zeros(20, np.int64))[0] == 1.0
    assert sign_flip_p(first, second, np.arange(20))[0] < 0.001


def test_holm_multiplies_the_smallest_by_all_and_never_decreases() -> None:
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.8])).tolist() == [1.0, 1.0]


def test_models_on_other_queries_are_not_compared() -> None:
    with pytest.raises(EvaluationError, match="same queries"):
        sign_flip_p(np.zeros((3, 1)), np.zeros((4, 1)), np.arange(3))
