"""Where in an image a score comes from: contributions of places add up to it, and maps point at what is alike."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

import retrieval
from retrieval.decoding.preparations import Squeeze
from retrieval.encoders.relevance import (
    ExplainingTowers,
    PlacesExplainer,
    place_contributions,
    positive_shares,
    relevance_of,
    window_scores,
)
from retrieval.encoders.tower_encoder import TowerEncoder
from tests.builders import unit_rows

PARTS = [(16,), (8, 8), (4, 4, 8)]


def unit(vector: NDArray[np.float64], parts: tuple[int, ...]) -> NDArray[np.float64]:
    cuts = np.split(vector, np.cumsum(parts)[:-1])
    return np.concatenate([cut / np.linalg.norm(cut) / len(parts) ** 0.5 for cut in cuts])


def places_of(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(rows, columns, 16)).astype(np.float32)


@given(
    rows=st.integers(1, 9), columns=st.integers(1, 9), seed=st.integers(0, 99), parts=st.sampled_from(PARTS)
)
def test_contributions_of_places_add_up_to_the_score(
    rows: int, columns: int, seed: int, parts: tuple[int, ...]
) -> None:
    places, query = places_of(rows, columns, seed), unit_rows(1, seed=seed)[0]
    score = unit(places.astype(np.float64).mean((0, 1)), parts) @ query

    assert place_contributions(places, parts, query).sum() == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("parts", PARTS)
def test_window_scores_are_those_of_a_plain_loop(parts: tuple[int, ...]) -> None:
    places, query = places_of(5, 7), unit_rows(1)[0]
    found: list[list[list[float]]] = [[[] for _ in range(7)] for _ in range(5)]
    for top in range(3):
        for left in range(5):
            window = places[top : top + 3, left : left + 3].astype(np.float64).sum((0, 1))
            score = unit(window, parts) @ query * len(parts) ** 0.5
            for row in range(top, top + 3):
                for column in range(left, left + 3):
                    found[row][column].append(float(score))

    expected = [[np.mean(scores) for scores in row] for row in found]
    assert window_scores(places, parts, query) == pytest.approx(np.array(expected), abs=1e-9)


@given(row=st.integers(0, 7), column=st.integers(0, 7))
def test_the_place_that_is_most_like_the_query_is_the_most_relevant(row: int, column: int) -> None:
    places, query = places_of(8, 8) * np.float32(0.1), unit_rows(1)[0]
    places[row, column] += 5 * query

    relevance = relevance_of(places, (16,), query)

    assert relevance.argmax() == 8 * row + column
    assert relevance.max() == 1
    assert relevance.min() >= 0


def test_an_image_that_is_the_same_everywhere_has_no_relevant_place() -> None:
    places = np.ones((4, 4, 16), np.float32)

    assert not relevance_of(places, (16,), unit_rows(1)[0]).any()
    assert not positive_shares(np.zeros((2, 2))).any()


def test_an_explainer_sees_what_the_tower_sees() -> None:
    explainer = PlacesExplainer(Squeeze(256, 1.3, 256), (16,), lambda image: places_of(8, 8))

    assert explainer.seen(100, 100) == (0, 0, 100, 100)
    assert explainer.seen(200, 100) == (35, 0, 130, 100)
    assert [rule.short_side for rule in explainer.preparations] == [256, 512]


@pytest.mark.parametrize(("size", "larger"), [(32, 64), (600, 1024), (1024, 1024), (4096, 4096)])
def test_the_larger_pass_is_bounded(size: int, larger: int) -> None:
    explainer = PlacesExplainer(Squeeze(size, 1.3, 0), (16,), lambda image: places_of(8, 8))

    assert [rule.short_side for rule in explainer.preparations] == [size, larger]


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((400, 300), Image.Resampling.BICUBIC)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_contributions_of_mini_add_up_to_the_score_of_the_vector_that_is_indexed(
    photograph: Image.Image, precision: Literal["float32", "bfloat16", "int8"]
) -> None:
    encoder = retrieval.load_encoder("mini", runtime="openvino", precision=precision)
    query = encoder.encode_texts(["a dog on a beach"], batch_size=1)[0]
    alone = encoder.encode_images([photograph], batch_size=1)[0].astype(np.float64)
    among_others = encoder.encode_images([photograph] * 8, batch_size=8)[5].astype(np.float64)

    contributions = explained(encoder, photograph, query)

    assert contributions.shape == (8, 8)
    assert abs(contributions.sum() - float(alone @ query)) <= 1e-6
    assert abs(contributions.sum() - float(among_others @ query)) <= (
        1e-6 if precision == "float32" else 1e-2
    )


@pytest.mark.slow
def test_torch_and_openvino_tell_the_same_places(photograph: Image.Image) -> None:
    pytest.importorskip("torch", reason="the extra models is not installed")
    encoders = [
        retrieval.load_encoder("mini", runtime=runtime, precision="float32")
        for runtime in ("openvino", "torch")
    ]
    query = encoders[0].encode_texts(["a dog on a beach"], batch_size=1)[0]

    first, second = (explained(encoder, photograph, query) for encoder in encoders)

    assert np.abs(first - second).max() <= 1e-6


def test_a_model_without_parts_tells_places_too(model: Path, photograph: Image.Image) -> None:
    encoder = retrieval.load_encoder(str(model))
    query = encoder.encode_texts(["red"], batch_size=1)[0]
    score = float(encoder.encode_images([photograph], batch_size=1)[0].astype(np.float64) @ query)

    assert abs(explained(encoder, photograph, query).sum() - score) <= 1e-5


def explained(
    encoder: retrieval.Encoder, image: Image.Image, query: NDArray[np.float32]
) -> NDArray[np.float64]:
    assert isinstance(encoder, TowerEncoder)
    assert isinstance(encoder.towers, ExplainingTowers)
    explainer = encoder.towers.image_explainer()
    assert explainer is not None
    found = explainer.explain([rule.prepare(image) for rule in explainer.preparations], query)
    assert found.contributions is not None
    return found.contributions
