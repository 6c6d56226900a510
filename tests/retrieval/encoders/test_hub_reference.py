"""Every family's vectors equal those of the library's own path: its processor, its features, normalised."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from tests.retrieval.encoders.library_path import TEXTS, Library, cosines
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS


@pytest.fixture(params=sorted(BUILDERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(family: str, tiny: Callable[[str], Path]) -> tuple[TowerEncoder, Library]:
    return load_hub_encoder(tiny(family)), Library(family, tiny(family))


def test_text_vectors_equal_the_librarys_batched_and_single(pair: tuple[TowerEncoder, Library]) -> None:
    ours, library = pair

    expected = library.texts(TEXTS)

    assert cosines(ours.encode_texts(TEXTS), expected).min() > 0.999999
    single = np.concatenate([ours.encode_texts([text]) for text in TEXTS])
    assert cosines(single, expected).min() > 0.999999
    alone = np.concatenate([library.texts([text]) for text in TEXTS])
    assert cosines(single, alone).min() > 0.999999
    assert cosines(expected[:1], expected[2:3]).max() < 0.99  # different texts do differ


def test_image_vectors_equal_the_librarys_batched_and_single(
    pair: tuple[TowerEncoder, Library], pictures: dict[str, Image.Image]
) -> None:
    ours, library = pair
    images = list(pictures.values())

    expected = np.concatenate([library.images([image]) for image in images])

    assert cosines(ours.encode_images(images), expected).min() > 0.9999
    single = np.concatenate([ours.encode_images([image]) for image in images])
    assert cosines(single, expected).min() > 0.9999
    assert cosines(expected[:1], expected[1:2]).max() < 0.999  # different pictures do differ


def test_vectors_are_float32_unit_rows_of_the_stated_dimension(pair: tuple[TowerEncoder, Library]) -> None:
    ours, _ = pair

    rows = ours.encode_texts(TEXTS)

    assert rows.dtype == np.float32
    assert rows.shape == (len(TEXTS), ours.identity.dimension)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() < 1e-5


def test_no_texts_and_no_pictures_give_no_rows(pair: tuple[TowerEncoder, Library]) -> None:
    ours, _ = pair

    assert ours.encode_texts([]).shape == ours.encode_images([]).shape == (0, ours.identity.dimension)


def test_a_caption_beyond_the_context_is_cut_where_the_library_cuts_it(
    pair: tuple[TowerEncoder, Library], family: str
) -> None:
    ours, library = pair
    words = ["dog", "snow", "red"] * 60

    long, same, shorter = (ours.encode_texts([" ".join(words[:count])]) for count in (180, 150, 5))

    assert np.array_equal(long, same)
    assert cosines(long, library.texts([" ".join(words)])).min() > 0.999999
    assert cosines(long, shorter).max() < 0.9999
