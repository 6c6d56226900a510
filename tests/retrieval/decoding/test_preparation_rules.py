"""Preparations: pure rules that give an array of the promised shape for an image of any size and mode."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from retrieval.decoding.image_rule import ImageRule, resized_size
from retrieval.decoding.preparations import (
    Patches,
    Preparation,
    Shrink,
    Squeeze,
    Whole,
    from_json,
    is_preparation,
    middle,
    patch_grid,
    to_json,
)

SIDES = st.integers(1, 90)
UNIT = (1 / 255, 1 / 255, 1 / 255)
ZERO = (0.0, 0.0, 0.0)
FILTERS = st.integers(0, 5)
RULES: st.SearchStrategy[Preparation] = st.one_of(
    st.builds(
        ImageRule,
        st.integers(1, 40) | st.tuples(st.integers(1, 40), st.integers(1, 40)),
        FILTERS,
        st.tuples(st.integers(1, 40), st.integers(1, 40)),
        st.just(UNIT),
        st.just(ZERO),
    ),
    st.builds(Patches, st.integers(2, 8), st.integers(100, 150), FILTERS),
    st.builds(Squeeze, st.integers(1, 40), st.floats(1, 4), st.sampled_from([0, 20, 50])),
    st.builds(Shrink, st.integers(1, 40), st.floats(1, 4)),
    st.builds(Whole, st.integers(1, 40)),
)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels: NDArray[np.uint8] = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def shape_of(rule: Preparation, width: int, height: int) -> tuple[int, ...] | None:
    match rule:
        case ImageRule():
            return (*rule.crop, 3)
        case Patches():
            return (rule.patches + 1, rule.patch**2 * 3)
        case Squeeze():
            return (rule.size, rule.size, 3)
        case Whole():
            return (height, width, 3)
    return None


@settings(max_examples=60)
@given(RULES, SIDES, SIDES)
def test_an_image_of_any_size_becomes_an_array_of_the_promised_shape(
    rule: Preparation, width: int, height: int
) -> None:
    found = rule.prepare(noise(width, height))

    assert found.dtype == np.uint8
    expected = shape_of(rule, width, height)
    assert expected is None or found.shape == expected


@settings(max_examples=40)
@given(RULES, SIDES, SIDES)
def test_a_rule_is_pure_and_survives_json(rule: Preparation, width: int, height: int) -> None:
    image = noise(width, height)
    before = image.tobytes()

    found = rule.prepare(image)

    again = from_json(to_json(rule))
    assert again == rule
    assert is_preparation(again)
    assert np.array_equal(again.prepare(image), found)
    assert image.tobytes() == before


@settings(max_examples=40)
@given(st.integers(1, 40), st.floats(1, 4), SIDES, SIDES)
def test_shrinking_never_enlarges_and_keeps_the_short_side_at_most_as_asked(
    side: int, aspect: float, width: int, height: int
) -> None:
    found = Shrink(side, aspect).prepare(noise(width, height))

    assert found.shape[0] <= height
    assert found.shape[1] <= width
    assert min(found.shape[:2]) == min(side, width, height)
    assert max(found.shape[:2]) <= max(1.0, aspect) * min(found.shape[:2]) + aspect + 1


@settings(max_examples=60)
@given(SIDES, SIDES, st.integers(1, 100))
def test_the_middle_of_a_strip_is_cut_out_and_all_else_stays(width: int, height: int, longest: int) -> None:
    image = noise(width, height)

    found = middle(image, longest)

    if max(width, height) <= longest:
        assert found.size == image.size
    assert found.width <= max(longest, min(width, height))
    pixels, part = np.asarray(image), np.asarray(found)
    top, left = (height - part.shape[0]) // 2, (width - part.shape[1]) // 2
    assert np.array_equal(pixels[top : top + part.shape[0], left : left + part.shape[1]], part)


@settings(max_examples=100)
@given(st.integers(1, 3000), st.integers(1, 3000), st.integers(1, 500))
def test_the_short_side_is_as_asked_and_the_long_one_in_proportion_rounded_down(
    width: int, height: int, side: int
) -> None:
    high, wide = resized_size(height, width, side)

    assert min(high, wide) == side
    assert max(high, wide) == int(side * max(width, height) / min(width, height))
    assert resized_size(height, width, (7, 9)) == (7, 9)


@settings(max_examples=60)
@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(2, 32), st.integers(100, 1000))
def test_a_grid_of_patches_fits_and_could_not_be_larger_in_both_directions(
    height: int, width: int, patch: int, patches: int
) -> None:
    rows, columns = patch_grid(height, width, patch, patches)

    assert rows >= 1
    assert columns >= 1
    if max(height, width) <= patches * min(height, width):
        assert rows * columns <= patches
        assert (rows + 1) * (columns + 1) > patches or max(rows, columns) >= math.ceil(
            100 * max(height, width) / patch
        )


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK"])
def test_a_model_s_rule_takes_images_of_any_mode(mode: str) -> None:
    image = noise(20, 12).convert(mode)

    for rule in (ImageRule(8, 3, (8, 8), UNIT, ZERO), Patches(4, 16, 2)):
        assert rule.prepare(image).dtype == np.uint8


def test_what_a_small_image_lacks_is_black_and_stands_around_it() -> None:
    white = Image.new("RGB", (4, 4), "white")

    found = ImageRule(4, 3, (8, 8), UNIT, ZERO).prepare(white)

    assert found[2:6, 2:6].min() == 255
    assert found.sum() == 255 * 4 * 4 * 3


def test_what_is_not_a_rule_of_ours_is_told() -> None:
    assert not is_preparation(object())
    assert not is_preparation("Whole")
