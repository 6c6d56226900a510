"""Interpolated weights, and the figures that choose among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.mini.figures import average_precision
from recipes.mini.interpolation import interpolate, interpolate_towers, mean


def test_interpolation_ends_at_both_models() -> None:
    start, end = {"w": torch.zeros(3), "n": torch.tensor(1)}, {"w": torch.ones(3), "n": torch.tensor(2)}

    assert interpolate(start, end, 0.0)["w"].tolist() == [0] * 3
    assert interpolate(start, end, 1.0)["w"].tolist() == [1] * 3
    assert interpolate(start, end, 0.25)["n"] == 1
    assert mean([start, end])["w"].tolist() == [0.5] * 3


def test_each_tower_goes_its_own_share_of_the_way() -> None:
    names = ("image.features", "image_projection.weight", "text.vectors", "text_projection.weight")
    start, end = ({name: torch.full((2,), value) for name in names} for value in (0.0, 1.0))

    found = interpolate_towers(start, end, images=0.25, texts=0.5)

    assert [found[name][0].item() for name in names] == [0.25, 0.25, 0.5, 0.5]


def test_average_precision_is_the_mean_of_precisions_at_right_items() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)

    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
