"""The recipe of the calibration: quantile regression, and nonsense that is not asked twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from recipes.mini.calibration.nonsense import much_nonsense, nonsense
from recipes.mini.calibration.quantiles import quantile_regression
from recipes.mini.calibration.sense import fit_sense
from recipes.mini.photographs import Photograph
from retrieval.testing import HashEncoder


@pytest.mark.parametrize("share", [0.03, 0.5])
def test_quantile_regression_leaves_a_share_of_each_group_below(share: float) -> None:
    rng = np.random.default_rng(3)
    group = (rng.random(20_000) < 0.3).astype(float)
    values = rng.normal(2 * group, 1 + group)

    found = quantile_regression(np.c_[group, np.ones(len(group))], values, np.ones(len(group)), share)

    below = values < group * found[0] + found[1]
    for own in (0, 1):
        assert below[group == own].mean() == pytest.approx(share, abs=0.01)


def test_quantile_regression_counts_values_by_their_weights() -> None:
    rng = np.random.default_rng(4)
    values, heavy = rng.normal(size=9_000), rng.random(9_000) < 0.5
    values[heavy] += 4

    [found] = quantile_regression(np.ones((9_000, 1)), values, np.where(heavy, 1.9, 0.1), 0.5)

    assert found == pytest.approx(np.median(values[heavy]), abs=0.15)


@pytest.mark.parametrize("half", [0, 1])
def test_what_is_asked_says_nothing_of_what_nonsense_is_like(half: int) -> None:
    asked = [{text for _, text in nonsense(own)} for own in (0, 1)]

    assert len(much_nonsense(half)) > 1_500
    assert asked[half].isdisjoint(much_nonsense(half))
    assert much_nonsense(half) == much_nonsense(half)
    assert len(asked[0] & asked[1]) < 3


def test_sense_tells_names_from_nonsense_and_is_told_no_label_that_was_held_out() -> None:
    encoder, told = HashEncoder(dimension=64), list[str]()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        told.extend(texts)
        rows: NDArray[np.float32] = 0.3 * encoder.encode_texts(list(texts))
        rows[:, 0] += 1.0 if "anvil" in texts else -1.0  # names, or else captions and nonsense
        return rows

    captioned = [Photograph(b"", ("two dogs",), ("两只狗",))] * 4
    sense, bias = fit_sense(captioned, ["anvil", "zebra"], encode, 0)

    assert {"anvil", "two dogs", "两只狗"} <= set(told)
    assert "zebra" not in told
    assert float(sense[0]) + bias > 0.5
    assert float(-sense[0]) + bias < -0.3
