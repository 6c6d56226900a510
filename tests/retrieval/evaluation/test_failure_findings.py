"""Where a model fails: misses, hubs, caption lengths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.collection.score import exact_scores
from retrieval.evaluation.evaluation_set import with_folds
from retrieval.evaluation.findings import by_length, caption_length, hubness, worst_misses
from retrieval.evaluation.run import Evaluation
from tests.retrieval.evaluation import plain_by_counting as counting
from tests.retrieval.evaluation.small_sets import evaluation_of, five_each, random_units, set_of, unit


def random_evaluation(images: int = 12, seed: int = 0, folds: int = 0) -> Evaluation:
    evaluated = five_each(images)
    vectors = random_units(images, seed=seed), random_units(5 * images, seed=seed + 1)
    return evaluation_of(with_folds(evaluated, folds) if folds else evaluated, {"m": vectors})


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0, 2]))
def test_the_worst_misses_are_the_queries_of_the_deepest_ranks_with_what_stands_before_them(
    seed: int, folds: int
) -> None:
    evaluation = random_evaluation(seed=seed, folds=folds)
    evaluated, model = evaluation.evaluated, evaluation.models[0]
    half = 12 // folds if folds else 12

    misses = worst_misses(evaluated, model.embedded, model.figures.directions["text to image"], count=5)

    deepest = sorted(model.figures.directions["text to image"].ranks.ranks.tolist(), reverse=True)[:5]
    assert [miss.rank for miss in misses] == deepest
    for miss in misses:
        first = miss.query // 5 // half * half
        scores = exact_scores(model.embedded.images[first:][:half], model.embedded.texts[miss.query]).tolist()
        ranks = [counting.rank(scores, row) for row in range(half)]
        ranked = sorted(range(half), key=ranks.__getitem__)
        assert miss.answer.row == miss.query // 5
        assert counting.rank(scores, miss.answer.row - first) == miss.rank
        assert [item.row - first for item in miss.ahead] == ranked[: min(3, miss.rank - 1)]
        assert all(item.score >= miss.answer.score for item in miss.ahead)


def test_a_model_that_never_misses_has_no_misses() -> None:
    images = random_units(12)
    evaluation = evaluation_of(five_each(12), {"m": (images, images.repeat(5, axis=0))})
    model = evaluation.models[0]

    for measured in model.figures.directions.values():
        assert worst_misses(evaluation.evaluated, model.embedded, measured) == []


@pytest.mark.parametrize("folds", [0, 2])
def test_hubs_are_counted_over_the_first_ten_of_all_queries(folds: int) -> None:
    evaluation = random_evaluation(images=40, folds=folds)
    texts, images = evaluation.models[0].embedded.texts, evaluation.models[0].embedded.images
    half = 40 // folds if folds else 40

    found = hubness(evaluation.evaluated, evaluation.models[0].embedded, "text to image", count=3)

    times, right = np.zeros(40, int), np.zeros(40, int)
    for query, vector in enumerate(texts):
        first = query // 5 // half * half
        for row in np.argsort(-exact_scores(images[first:][:half], vector), kind="stable")[:10] + first:
            times[row] += 1
            right[row] += row == query // 5
    best = np.argsort(-times, kind="stable")[:3]
    assert [(hub.row, hub.times) for hub in found.hubs] == list(
        zip(best.tolist(), times[best].tolist(), strict=True)
    )
    assert [hub.right for hub in found.hubs] == right[best].tolist()
    assert found.expected == pytest.approx(10 * 200 / 40)
    assert (found.never, found.items) == (int(np.count_nonzero(times == 0)), 40)
    assert found.skewness == pytest.approx(((times - times.mean()) ** 3).mean() / times.std() ** 3)


def test_a_image_near_every_text_is_the_hub_and_makes_the_distribution_skewed() -> None:
    texts = unit(np.random.default_rng(0).standard_normal((200, 8)) + 3)
    images = random_units(40, seed=3)
    images[17] = unit(np.ones((1, 8)))[0]
    evaluation = evaluation_of(five_each(40), {"m": (images, texts)})

    found = hubness(evaluation.evaluated, evaluation.models[0].embedded, "text to image")

    assert (found.hubs[0].row, found.hubs[0].times) == (17, 200)
    assert found.skewness > 1


def test_lengths_fall_into_bins_that_hold_every_query_once_with_its_hit_rate() -> None:
    words = [" ".join(["word"] * (1 + row % 13)) for row in range(60)]
    evaluated = five_each(12, words=words)
    evaluation = evaluation_of(evaluated, {"m": (random_units(12), random_units(60, seed=1))})
    measured = evaluation.models[0].figures.directions["text to image"]

    bins = by_length(evaluated, measured, (1, 5))

    assert sum(one.queries for one in bins) == 60
    assert [one.low for one in bins] == sorted({one.low for one in bins})
    assert all(a.high < b.low for a, b in itertools.pairwise(bins))
    for k, number in ((1, 0), (5, 1)):
        hits = sum(one.rates[k] * one.queries for one in bins)
        assert hits == pytest.approx(measured.hit_rates[number].rate.count)


def test_captions_of_one_length_are_one_bin() -> None:
    evaluation = random_evaluation()

    bins = by_length(evaluation.evaluated, evaluation.models[0].figures.directions["text to image"], (1,))

    assert [(one.low, one.high, one.queries) for one in bins] == [(2, 2, 60)]


@pytest.mark.parametrize(
    ("text", "length"),
    [("two dogs run", 3), ("两只狗在雪地里奔跑。", 9), ("", 0), ("a 狗", 2), ("犬が走る", 4)],
)
def test_the_length_of_a_caption_is_words_or_characters_where_none_are_set_apart(
    text: str, length: int
) -> None:
    assert caption_length(text) == length


def test_a_query_without_an_answer_is_no_miss_to_show() -> None:
    evaluation = evaluation_of(
        set_of([(0, 0)], 3, 1), {"m": (random_units(3), random_units(1, seed=2))}, (1,)
    )
    model = evaluation.models[0]

    assert worst_misses(evaluation.evaluated, model.embedded, model.figures.directions["image to text"]) == []
