"""How likely a name says what a picture shows, from vectors alone: pure functions.

A raw score does not tell: names differ in what they score at any picture. A calibration of the model
(:mod:`retrieval.calibration`) knows what a right hit of a name usually scores, and what it scores at foreign pictures;
a logistic function (Platt 1999) of these and of the score is the probability. Its figures were fitted on photographs
that ``mini`` was not trained on (benchmarks/search/tags.md). Of two languages the mean of the log odds counts.
Without a calibration, it is the name's share of a softmax over the names and the bundled ones (Radford et al., ICML
2021), of which at most one is above a half. Either way a picture's tags do not depend on what else the collection
holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.calibration import Calibration

SCORE, EXPECTED, BACKGROUND, INTERCEPT = 20.73, -9.66, -7.13, -2.06
"""Figures of the logistic function: of queries of names, classes and captions over foreign pictures, which were fitted
first, and then scaled on names of things in half of the photographs."""

SCALE = 100.0  # of scores in the softmax: what CLIP and its kin are trained with

_CHUNK = 4096  # pictures a product

Rows = NDArray[np.float32]


def calibrated_probabilities(names: Sequence[Rows], images: Rows, calibration: Calibration) -> Iterator[Rows]:
    """Give the probabilities in [0, 1] of all names, (m, names) float32, for some pictures after the other.

    Args:
        names: for each name, (texts, d) float32 unit rows of it in one language or several.
        images: (n, d) float32 unit rows of the pictures.
        calibration: of the model.
    """
    # log odds are linear in a name's row, so that their mean over languages is that of the mean row
    means = np.stack([rows.mean(axis=0) for rows in names])
    expected = means @ calibration.expected + np.float32(calibration.expected_bias)
    offset = EXPECTED * expected + BACKGROUND * (means @ calibration.background) + INTERCEPT
    for start in range(0, len(images), _CHUNK):
        log_odds = SCORE * (images[start : start + _CHUNK] @ means.T) + offset
        yield (1 / (1 + np.exp(-np.clip(log_odds, -50, 50)))).astype(np.float32)


def softmax_shares(names: Rows, others: Rows, images: Rows) -> Iterator[Rows]:
    """Give the shares in [0, 1] of all names, (m, names) float32, for some pictures after the other.

    Args:
        names: (names, d) float32 unit rows.
        others: (k, d) float32 unit rows of names that take a part of the whole, and are not given.
        images: (n, d) float32 unit rows of the pictures.
    """
    texts = np.concatenate([names, others])
    for start in range(0, len(images), _CHUNK):
        scores = np.float32(SCALE) * (images[start : start + _CHUNK] @ texts.T)
        parts = np.exp(scores - scores.max(axis=1, keepdims=True))
        yield parts[:, : len(names)] / parts.sum(axis=1, keepdims=True)
