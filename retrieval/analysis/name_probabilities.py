"""Probabilities of a vocabulary's names for pictures, by whatever the model at hand has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis.tag_probabilities import calibrated_probabilities, softmax_shares
from retrieval.analysis.vocabulary import Vocabulary, find_vocabulary
from retrieval.encoders.calibrations import calibration_of

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


def name_probabilities(
    vocabulary: Vocabulary, images: NDArray[np.float32], encoder: Encoder
) -> Iterator[NDArray[np.float32]]:
    """Give the probabilities in [0, 1] of all names, (m, names) float32, for some pictures after the other.

    By the model's calibration, or without one by a softmax over the names and the bundled ones.

    Args:
        vocabulary: the names, encoded now.
        images: (n, d) float32 unit rows by the encoder.
        encoder: of both.
    """
    identity = encoder.identity
    calibration = calibration_of(identity)
    names = vocabulary.vectors(
        encoder, vocabulary.languages_for(identity, is_calibrated=calibration is not None)
    )
    if calibration is not None:
        return calibrated_probabilities(names, images, calibration)
    bundled = find_vocabulary(None)
    others = bundled.without(vocabulary).vectors(
        encoder, bundled.languages_for(identity, is_calibrated=False)
    )
    rows = np.concatenate(names)
    return softmax_shares(rows, np.concatenate([rows[:0], *others]), images)
