"""Plans of a run: how rates rise and fall, what a setting may be, and which texts are right for which images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import indexer
from indexer.training.batches import positives_of, steps_an_epoch
from indexer.training.listing import Caption
from indexer.training.ranges import check_choice, check_ranges
from indexer.training.schedule import Plan, parameter_groups, warmup_cosine
from retrieval.errors import UsageError

STEPS = st.integers(1, 500)


@given(STEPS, st.integers(0, 200))
def test_a_rate_lies_between_nothing_and_its_peak_rises_first_and_then_falls(total: int, warmup: int) -> None:
    warmup = min(warmup, total)
    shares = [warmup_cosine(step, warmup, total) for step in range(total + 1)]

    assert all(0 <= share <= 1 for share in shares)
    assert shares[:warmup] == sorted(shares[:warmup])
    assert shares[warmup:] == sorted(shares[warmup:], reverse=True)
    assert shares[max(0, warmup - 1)] == 1.0 if warmup else shares[0] == 1.0
    if warmup < total:
        assert shares[total] == pytest.approx(0, abs=1e-12)


@given(STEPS, st.integers(0, 100), st.integers(0, 400), st.floats(1e-6, 1))
def test_a_locked_part_has_no_rate_and_then_a_plan_of_its_own(
    total: int, warmup: int, start: int, peak: float
) -> None:
    start, warmup = min(start, total), min(warmup, total - min(start, total))
    plan, alone = Plan(start, warmup, total, peak), Plan(0, warmup, total - start, peak)

    for step in range(0, total, max(1, total // 20)):
        assert plan.is_locked(step) == (step < start)
        assert plan.rate(step) == (0.0 if step < start else alone.rate(step - start))
        assert 0 <= plan.rate(step) <= peak


def test_groups_hold_every_parameter_once_and_only_matrices_decay() -> None:
    image, head = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 2)

    groups = parameter_groups(
        [("image", image.parameters()), ("head", head.parameters()), ("scale", [])], 0.1
    )

    held = [parameter for group in groups for parameter in group["params"]]  # type: ignore[attr-defined]
    assert len(held) == len({id(parameter) for parameter in held}) == 4
    for group in groups:
        decays = {parameter.ndim >= 2 for parameter in group["params"]}  # type: ignore[attr-defined]
        assert decays == {group["weight_decay"] == 0.1}
        assert group["lr"] == 0.0
    assert [group["part"] for group in groups] == ["image", "image", "head", "head"]


@given(st.integers(1, 1000), st.integers(1, 300))
def test_an_epoch_has_whole_batches_and_at_least_one(images: int, batch_size: int) -> None:
    steps = steps_an_epoch(images, batch_size)

    assert steps >= 1
    assert steps * min(batch_size, images) <= images
    assert (steps + 1) * batch_size > images


WORDS = st.sampled_from(["a dog", "a cat", "snow"])


@given(st.lists(st.lists(WORDS, max_size=3), max_size=5), st.lists(WORDS, max_size=5))
def test_a_text_is_right_for_every_image_that_has_its_words_among_its_captions(
    images: list[list[str]], texts: list[str]
) -> None:
    captions = [[Caption("en", words, row) for words in own] for row, own in enumerate(images)]

    found = positives_of(captions, [Caption("zh", words, 99) for words in texts])

    assert found.shape == (len(images), len(texts))
    assert found.tolist() == [[words in own for words in texts] for own in images]


@dataclass(frozen=True)
class Setting:
    """One number."""

    some_rate: float | None


@given(st.none() | st.floats() | st.integers(-5, 5), st.floats(-2, 0), st.floats(0, 2))
def test_a_number_is_within_its_range_or_is_named_with_it(
    value: float | None, low: float, high: float
) -> None:
    if value is None or (math.isfinite(value) and low <= value <= high):
        check_ranges(Setting(value), {"some_rate": (low, high)})
    else:
        with pytest.raises(UsageError, match=f"some-rate is .*, and must be a number from {low} to {high}"):
            check_ranges(Setting(value), {"some_rate": (low, high)})


def test_a_range_without_an_end_has_none_in_its_sentence() -> None:
    with pytest.raises(UsageError, match=r"must be a number from 1$"):
        check_ranges(Setting(0.5), {"some_rate": (1, math.inf)})


@given(st.sampled_from(["infonce", "sigmoid", "hinge", "", None]))
def test_a_choice_is_on_its_list_or_is_named_with_it(value: str | None) -> None:
    if value in ("infonce", "sigmoid"):
        check_choice("loss", value, ["infonce", "sigmoid"])
    else:
        with pytest.raises(UsageError, match="must be one of infonce, sigmoid"):
            check_choice("loss", value, ["infonce", "sigmoid"])


@settings(max_examples=60)
@given(
    st.sampled_from(["area", "aspect", "flip", "colour", "soft", "token_dropout"]),
    st.floats(-2, 3) | st.just(math.nan) | st.just(math.inf),
)
def test_an_augmentation_takes_shares_and_factors_and_nothing_else(name: str, value: float) -> None:
    low, high = (1.0, math.inf) if name == "aspect" else (0.0, 1.0)
    arguments = {name: value}

    if math.isfinite(value) and low <= value <= high:
        assert getattr(indexer.Augmentation(**arguments), name) == value
    else:
        with pytest.raises(UsageError, match=name.replace("_", "-")):
            indexer.Augmentation(**arguments)
