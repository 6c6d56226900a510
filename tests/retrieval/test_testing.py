"""The encoder without a model that programs may test with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.testing import HashEncoder
from tests.builders import draw


def test_equal_inputs_have_equal_unit_rows_and_others_have_nothing_in_common() -> None:
    encoder = HashEncoder(dimension=64)

    rows = encoder.encode_texts(["a dog", "a cat", "a dog"])

    assert rows.shape == (3, 64)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1.0)
    assert (rows[0] == rows[2]).all()
    assert abs(float(rows[0] @ rows[1])) < 0.5


def test_a_row_does_not_depend_on_the_others_encoded_with_it() -> None:
    encoder, image = HashEncoder(), Image.new("RGB", (20, 10), "red")

    together = encoder.encode_images([Image.new("RGB", (20, 10), "blue"), image])

    assert (together[1] == encoder.encode_images([image])[0]).all()


def test_encoders_of_other_weights_cannot_share_a_collection(tmp_path: Path) -> None:
    draw(tmp_path / "photos" / "red.png", (255, 0, 0))
    indexer.build(tmp_path / "photos", tmp_path / "collection", model=HashEncoder())

    with pytest.raises(retrieval.IdentityMismatch):
        indexer.build(tmp_path / "photos", tmp_path / "collection", model=HashEncoder(weights="1" * 64))


def test_nothing_to_encode_gives_no_rows() -> None:
    assert HashEncoder().encode_texts([]).shape == (0, 16)
