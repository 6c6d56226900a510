"""A row's bits depend on its own text or picture, never on what is encoded beside it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from retrieval.encoders.families.tokens import Tokens
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

SHORT = ["dog", "a dog in the snow", "", "two cats", "一只狗", "man on the beach"]
LONG = [
    "the red ball " * 3,
    "a dog in the snow and a man on the beach with two red balls",
    "dog " * 90,
    "一只狗" * 40,
]


@pytest.fixture(params=sorted(BUILDERS))
def encoder(request: pytest.FixtureRequest, tiny: Callable[[str], Path]) -> TowerEncoder:
    return load_hub_encoder(tiny(request.param))


def test_a_texts_bits_do_not_depend_on_its_neighbours_in_a_fixed_batch(encoder: TowerEncoder) -> None:
    texts = SHORT + LONG

    together = encoder.encode_texts(texts, batch_size=4)

    for shuffled in (texts[::-1], texts[3:] + texts[:3], SHORT[:1] * 5 + texts):
        rows = dict(zip(shuffled, encoder.encode_texts(shuffled, batch_size=4), strict=True))
        for text, row in zip(texts, together, strict=True):
            assert np.array_equal(rows[text], row), text


def test_a_text_alone_has_the_same_bits_as_in_company(encoder: TowerEncoder) -> None:
    texts = SHORT + LONG

    together = encoder.encode_texts(texts, batch_size=8)

    for text, row in zip(texts, together, strict=True):
        assert np.array_equal(encoder.encode_texts([text], batch_size=8)[0], row), text


def test_a_pictures_bits_do_not_depend_on_its_neighbours_in_a_fixed_batch(
    encoder: TowerEncoder, pictures: dict[str, Image.Image]
) -> None:
    names = list(pictures)
    prepared = {name: encoder.prepare_image(image) for name, image in pictures.items()}

    together = dict(zip(names, encoder.encode_prepared(list(prepared.values()), batch_size=4), strict=True))

    for order in (names[::-1], names[5:] + names[:5], ["square"]):
        rows = encoder.encode_prepared([prepared[name] for name in order], batch_size=4)
        for name, row in zip(order, rows, strict=True):
            assert np.array_equal(row, together[name]), name


def test_prepared_pictures_all_have_one_shape(
    encoder: TowerEncoder, pictures: dict[str, Image.Image]
) -> None:
    prepared = [encoder.prepare_image(image) for image in pictures.values()]

    assert len({array.shape for array in prepared}) == 1
    assert {array.dtype for array in prepared} == {np.dtype(np.uint8)}


def test_without_a_batch_size_rows_agree_to_rounding(encoder: TowerEncoder) -> None:
    texts = SHORT + LONG

    assert np.abs(encoder.encode_texts(texts) - encoder.encode_texts(texts, batch_size=3)).max() < 1e-5


@pytest.mark.parametrize("family", ["clip", "metaclip-2"])
def test_a_causal_tower_gives_the_same_vector_at_any_padded_length(
    family: str, tiny: Callable[[str], Path]
) -> None:
    encoder = load_hub_encoder(tiny(family))
    texts = ["dog", "a red ball", "man"]
    rows = encoder.tokenization.encode(texts)

    vectors = [encoder.towers.text_rows(*encoder.tokenization.pad(rows, length)) for length in (16, 32, 77)]

    assert encoder.tokenization.padded_length(rows[0]) < 77
    for longer in vectors[1:]:
        assert np.abs(longer - vectors[0]).max() < 2e-6
    assert np.abs(encoder.encode_texts(texts) - vectors[-1]).max() < 2e-6


@pytest.mark.parametrize("family", ["clip", "chinese-clip", "siglip"])
def test_a_padded_length_is_the_shortest_allowed_that_holds_the_text(
    family: str, tiny: Callable[[str], Path]
) -> None:
    tokens = load_hub_encoder(tiny(family)).tokenization
    allowed = {"clip": (8, 16, 32, 77), "chinese-clip": (8, 16, 32, 52), "siglip": (64,)}[family]

    assert isinstance(tokens, Tokens)
    assert tokens.lengths == allowed
    for count in (1, allowed[0], allowed[-1]):
        assert tokens.padded_length([0] * count) == min(length for length in allowed if length >= count)


def test_many_threads_get_what_one_thread_gets(
    tiny: Callable[[str], Path], pictures: dict[str, Image.Image]
) -> None:
    encoder = load_hub_encoder(tiny("clip"))
    images, texts = list(pictures.values()), SHORT + LONG
    expected = encoder.encode_images(images, 4), encoder.encode_texts(texts, 4)
    found, faults = [], []

    def work() -> None:
        try:
            for _ in range(5):
                found.append((encoder.encode_images(images, 4), encoder.encode_texts(texts, 4)))
        except Exception as exc:  # an exception in a thread would otherwise be lost
            faults.append(exc)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(found) == 20
    assert all(np.array_equal(a, b) for pair in found for a, b in zip(pair, expected, strict=True))


def test_encoding_leaves_torchs_settings_alone(tiny: Callable[[str], Path]) -> None:
    before = torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()

    load_hub_encoder(tiny("clip")).encode_texts(SHORT)

    assert (torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled()) == before
