"""Photographs of the recipe of mini: which are kept out, and how they are viewed."""

from __future__ import annotations

import random

import numpy as np

from recipes.mini.photographs import is_kept_out, random_view
from tests.recipes.noise_photographs import picture


def test_about_one_in_five_labelled_photographs_is_kept_out() -> None:
    kept = sum(is_kept_out(coco_id) for coco_id in range(5000))

    assert 900 < kept < 1100


def test_a_view_depends_on_its_seed_alone() -> None:
    one, again, other = (random_view(picture(0), 32, random.Random(seed)) for seed in (1, 1, 2))

    assert one.shape == (32, 32, 3)
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_a_photograph_whose_caption_names_a_side_is_not_mirrored() -> None:
    assert not picture(0, ("a dog on the left",)).may_be_mirrored
    assert not picture(0, ("狗在右边",)).may_be_mirrored
    assert picture(0, ("a dog",)).may_be_mirrored
