"""Windows of a larger pass: what they are of, what they cost nothing of, and that runtimes agree on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.decoding.preparations import CropGrid, Fit, Squeeze, from_json, to_json
from retrieval.encoders.regions import PlaceWindows, region_encoder
from retrieval.encoders.registry import BUNDLED
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.two_tower.encoder import load_two_tower_encoder
from retrieval.encoders.windows import enlarged, window_boxes, window_means, window_places
from retrieval.testing import HashEncoder
from tests.photographs import photograph


@given(places=st.integers(3, 64))
def test_three_windows_a_side_cover_all_places_and_overlap(places: int) -> None:
    count, step = window_places(places)

    assert count + 2 * step == places
    assert 0 < step <= count


def test_the_larger_pass_of_mini_has_384_pixels_a_side() -> None:
    assert enlarged(Squeeze(256, 1.3, 256)) == Squeeze(384, 1.3, 0)
    assert enlarged(Squeeze(8, 1.3, 0)).size == 128
    assert enlarged(Squeeze(4096, 1.3, 0)).size == 4096


@given(width=st.integers(1, 4000), height=st.integers(1, 4000))
def test_the_boxes_of_windows_lie_in_what_the_model_sees(width: int, height: int) -> None:
    rule = Squeeze(384, 1.3, 0)
    left, top, across, down = rule.seen(width, height)

    boxes = window_boxes(rule, width, height).astype(float) * [width, height, width, height]

    assert boxes.shape == (9, 4)
    near = pytest.approx
    assert (boxes[0, 0], boxes[0, 1]) == near((left, top), abs=1e-2)
    assert (boxes[-1, 0] + boxes[-1, 2], boxes[-1, 1] + boxes[-1, 3]) == near(
        (left + across, top + down), abs=1e-2
    )


def test_a_window_is_the_mean_of_its_places_with_parts_of_one_length() -> None:
    places = np.random.default_rng(0).standard_normal((2, 12, 12, 8)).astype(np.float32)

    rows = window_means(places, (3, 5))

    middle = places[1, 3:9, 3:9].mean((0, 1))
    wanted = np.concatenate(
        [middle[:3] / np.linalg.norm(middle[:3]), middle[3:] / np.linalg.norm(middle[3:])]
    )
    assert rows.shape == (2, 9, 8)
    assert np.allclose(rows[1, 4], wanted / 2**0.5, atol=1e-6)


def test_a_tiny_model_gives_the_same_rows_in_whatever_company(model: Path) -> None:
    encoder = region_encoder(load_two_tower_encoder(model))
    assert isinstance(encoder, PlaceWindows)
    noise = np.random.default_rng(0)
    images = [
        noise.integers(0, 256, (encoder.preparation.short_side,) * 2 + (3,), np.uint8) for _ in range(5)
    ]

    together = encoder.rows(images)

    assert together.shape[:2] == (5, 9)
    assert np.allclose(np.linalg.norm(together, axis=-1), 1, atol=1e-4)
    assert np.array_equal(together, np.concatenate([encoder.rows([image]) for image in images]))


@pytest.mark.slow
def test_openvino_and_torch_agree_on_the_windows_of_mini() -> None:
    pytest.importorskip("openvino")
    pytest.importorskip("torch")
    image = photograph(1)
    rows = []
    for asked in (Computation("torch", "float32"), Computation("openvino", "float32")):
        windows = region_encoder(load_two_tower_encoder(BUNDLED / "mini", asked=asked))
        rows.append(windows.rows([windows.preparation.prepare(image)]))

    assert np.abs(rows[0] - rows[1]).max() < 1e-3


def test_crops_of_an_image_are_its_parts() -> None:
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))
    rule = CropGrid(to_json(Fit(100)), 3, 0.5)

    assert from_json(to_json(rule)) == rule
    assert rule.short_side == 200
    crops = rule.prepare(image)
    assert crops.shape == (9, 20, 30, 3)
    assert np.array_equal(crops[4], np.asarray(image)[10:30, 15:45])
    assert np.array_equal(crops[-1], np.asarray(image)[20:, 30:])


def test_an_encoder_that_prepares_by_itself_gets_crops() -> None:
    encoder = region_encoder(HashEncoder())
    array = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)

    assert encoder.rows([array, array]).shape == (2, 9, 16)
    assert encoder.rule == '{"crops":3,"share":0.5}'
