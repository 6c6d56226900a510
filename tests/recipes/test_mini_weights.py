"""Averaged weights, and the figures that choose among them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recipes.mini.figures import average_precision
from recipes.mini.start import mean_of


def test_the_mean_of_models_is_that_of_their_weights() -> None:
    one, other = {"w": torch.zeros(3), "n": torch.tensor(1)}, {"w": torch.ones(3), "n": torch.tensor(2)}

    found = mean_of([one, other])

    assert found["w"].tolist() == [0.5] * 3
    assert found["n"] == 1


def test_average_precision_is_the_mean_of_precisions_at_right_items() -> None:
    scores = np.array([0.9, 0.8, 0.7, 0.1], np.float32)

    assert average_precision(scores, np.array([True, False, True, False])) == pytest.approx((1 + 2 / 3) / 2)
