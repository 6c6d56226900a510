"""Probabilities of names: by the calibration of the model, or by a softmax over names."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.analysis import tag_probabilities
from retrieval.analysis.tag_probabilities import (
    BACKGROUND,
    EXPECTED,
    INTERCEPT,
    SCALE,
    SCORE,
    calibrated_probabilities,
    softmax_shares,
)
from retrieval.calibration import TERMS, Calibration
from tests.builders import unit_rows

CALIBRATION = Calibration(
    weights="",
    expected=unit_rows(1, seed=7)[0],
    expected_bias=0.25,
    background=0.1 * unit_rows(1, seed=8)[0],
    deviation=0.06,
    sense=0.1 * unit_rows(1, seed=9)[0],
    sense_bias=1.0,
    counts=(5.0, 1000.0),
    centres=(0.1, 0.1, 4.0, 0.3, 0.1),
    spreads=(0.05, 0.02, 1.0, 0.1, 0.05),
    coefficients=(19.0, 3.0, 7.0, -0.5, -9.0, -10.0, 0.3, 1.0, *[0.1] * (len(TERMS) - 8)),
    intercept=-2.0,
    nothing=(19.0, *[0.0] * (len(TERMS) - 1)),
    nothing_intercept=-3.0,
)
NAMES = [unit_rows(2, seed=1), unit_rows(1, seed=2), unit_rows(2, seed=3)]
IMAGES = unit_rows(9, seed=4)


def test_a_calibrated_probability_is_a_logistic_function_of_score_and_calibration_of_two_languages_the_mean() -> (
    None
):
    found = np.concatenate(list(calibrated_probabilities(NAMES, IMAGES, CALIBRATION)))

    for image, row in zip(IMAGES, found, strict=True):
        for texts, probability in zip(NAMES, row, strict=True):
            log_odds = [
                SCORE * float(text @ image)
                + EXPECTED * (float(text @ CALIBRATION.expected) + CALIBRATION.expected_bias)
                + BACKGROUND * float(text @ CALIBRATION.background)
                + INTERCEPT
                for text in texts
            ]
            assert probability == pytest.approx(1 / (1 + np.exp(-np.mean(log_odds))), abs=1e-4)


def test_shares_are_those_of_a_softmax_over_the_names_and_the_others() -> None:
    names, others = unit_rows(3, seed=1), unit_rows(4, seed=2)
    scores = np.exp(SCALE * (IMAGES @ np.concatenate([names, others]).T).astype(np.float64))

    found = np.concatenate(list(softmax_shares(names, others, IMAGES)))

    assert found == pytest.approx(scores[:, :3] / scores.sum(axis=1, keepdims=True), abs=1e-4)


def test_chunks_are_the_whole_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    calibrated = np.concatenate(list(calibrated_probabilities(NAMES, IMAGES, CALIBRATION)))
    shares = np.concatenate(list(softmax_shares(NAMES[0], NAMES[2], IMAGES)))
    monkeypatch.setattr(tag_probabilities, "_CHUNK", 4)

    again = np.concatenate(list(calibrated_probabilities(NAMES, IMAGES, CALIBRATION)))
    assert again == pytest.approx(calibrated, abs=1e-6)
    assert np.concatenate(list(softmax_shares(NAMES[0], NAMES[2], IMAGES))) == pytest.approx(shares, abs=1e-6)
