"""What every implementation of ``Towers`` must do, and every ``TowerEncoder`` over it; one is added to ``TOWERS``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from indexer.training.vocabulary import fit_tokenizer
from retrieval import openvino_runtime
from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.runtimes.choice import Computation
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import (
    ImageConfig,
    TextConfig,
    TwoTowerConfig,
    TwoTowerModel,
    load_two_tower_encoder,
)
from retrieval.encoders.two_tower.encoder import add_ranges
from retrieval.encoders.two_tower.folder import save
from retrieval.types import Kind
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

TEXTS = [
    "a dog",
    "a cat on a mat",
    "雪地里的狗",
    "",
    "a very long story about a dog " * 20,
    "red ball",
    "snow",
]
Rows = NDArray[np.float32]


def hub(family: str, folder: Path, asked: Computation | None = None) -> TowerEncoder:
    BUILDERS[family](folder)
    return load_hub_encoder(folder, asked=asked)


def two_tower(text: TextConfig, image: ImageConfig, asked: Computation, folder: Path) -> TowerEncoder:
    tokenizer = fit_tokenizer(TEXTS, 100)
    torch.manual_seed(0)
    text = TextConfig(
        text.backbone, tokenizer.get_vocab_size(), 32, 64, 1, 2, 32, attention_layers=text.attention_layers
    )
    model = TwoTowerModel(TwoTowerConfig(16, image, text, image_parts=(6, 10))).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]  # tensors here
            torch.nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
    save(folder, model, tokenizer)
    if asked.precision == "int8":
        noise = np.random.default_rng(0).integers(0, 256, (5, image.size, image.size, 3), np.uint8)
        add_ranges(folder, noise)
    return load_two_tower_encoder(folder, asked=asked)


MOBILENET = ImageConfig("mobilenet_v2", 64, tf_padding=True, kept_from=16, aspect=1.5)
TOWERS: dict[str, Callable[[Path], TowerEncoder]] = {
    "clip": functools.partial(hub, "clip"),
    "siglip2-naflex": functools.partial(hub, "siglip2-naflex"),
    "chinese-clip": functools.partial(hub, "chinese-clip"),
    "clip-in-bfloat16": functools.partial(hub, "clip", asked=Computation("torch", "bfloat16")),
    "openvino-clip": functools.partial(hub, "clip", asked=Computation("openvino", "float32")),
    "openvino-clip-in-int8": functools.partial(hub, "clip", asked=Computation("openvino", "int8")),
    "openvino-chinese-clip": functools.partial(
        hub, "chinese-clip", asked=Computation("openvino", "bfloat16")
    ),
    "bag": functools.partial(two_tower, TextConfig("bag", attention_layers=2), MOBILENET, Computation()),
    "bert": functools.partial(two_tower, TextConfig("bert"), ImageConfig("tiny", 32), Computation()),
    "openvino": functools.partial(two_tower, TextConfig("bag"), MOBILENET, Computation("openvino")),
    "openvino-int8": functools.partial(
        two_tower, TextConfig("bag"), MOBILENET, Computation("openvino", "int8")
    ),
    "openvino-bfloat16": functools.partial(
        two_tower, TextConfig("bag"), MOBILENET, Computation("openvino", "bfloat16")
    ),
}


@pytest.fixture(scope="module", params=sorted(TOWERS))
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TowerEncoder:
    if request.param.startswith("openvino") and not openvino_runtime.is_installed():
        pytest.skip("OpenVINO is not installed")
    return TOWERS[request.param](tmp_path_factory.mktemp(request.param))


def images(count: int) -> list[Image.Image]:
    random = np.random.default_rng(0)
    return [Image.fromarray(random.integers(0, 256, (40, 50 + n, 3), np.uint8)) for n in range(count)]


def prepared(encoder: TowerEncoder, count: int) -> NDArray[np.uint8]:
    return np.stack([encoder.prepare_image(image) for image in images(count)])


def padded(encoder: TowerEncoder) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Short texts padded to one length."""
    ids = encoder.tokenization.encode(TEXTS[:3])
    length = max(encoder.tokenization.padded_length(row) for row in ids)
    return encoder.tokenization.pad(ids, length)


def one_pass(encoder: TowerEncoder, kind: Kind, order: list[int]) -> Rows:
    """Compute the rows of some of three images or texts in one pass, in an order."""
    if kind == "image":
        return encoder.towers.image_rows(prepared(encoder, 3)[order])
    ids, is_text = padded(encoder)
    return encoder.towers.text_rows(ids[order], is_text[order])


KINDS = pytest.mark.parametrize("kind", ["image", "text"])


@KINDS
def test_a_pass_gives_a_float32_unit_row_of_the_identitys_dimension_for_each_input(
    encoder: TowerEncoder, kind: Kind
) -> None:
    rows = one_pass(encoder, kind, [0, 1, 2])

    assert rows.dtype == np.float32
    assert rows.shape == (3, encoder.identity.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


@KINDS
def test_different_inputs_have_different_rows(encoder: TowerEncoder, kind: Kind) -> None:
    rows = one_pass(encoder, kind, [0, 1, 2])

    assert len(np.unique(rows, axis=0)) == 3


@KINDS
def test_a_row_has_the_same_bits_in_every_place_of_a_pass_unless_the_towers_say_otherwise(
    encoder: TowerEncoder, kind: Kind
) -> None:
    if encoder.towers.depends_on_place(kind):
        pytest.skip("these towers say that a row depends on its place")
    expected = one_pass(encoder, kind, [0, 1, 2, 0])

    for order in ([1, 2, 0, 1], [2, 2, 1, 2], [2, 1, 0, 0]):
        for place, row in zip(order, one_pass(encoder, kind, order), strict=True):
            assert np.array_equal(row, expected[place])


@KINDS
def test_rows_of_passes_of_other_sizes_agree_within_the_tolerance(encoder: TowerEncoder, kind: Kind) -> None:
    together = one_pass(encoder, kind, [0, 1, 2])

    alone = np.concatenate([one_pass(encoder, kind, [place]) for place in range(3)])

    assert np.abs(together - alone).max() <= encoder.towers.tolerance


def test_a_limit_of_images_a_pass_and_passes_at_once_are_positive_numbers(encoder: TowerEncoder) -> None:
    assert encoder.towers.image_passes_at_once >= 1
    assert encoder.towers.largest_image_pass is None or encoder.towers.largest_image_pass >= 1


@pytest.mark.parametrize("size", [1, 4, 8])
def test_with_a_fixed_batch_size_a_rows_bits_depend_on_its_own_content_alone(
    encoder: TowerEncoder, size: int
) -> None:
    pictures, texts = images(6), TEXTS
    of_images, of_texts = encoder.encode_images(pictures, size), encoder.encode_texts(texts, size)

    for order in ([5, 3, 1], [2], [4, 4, 0, 5, 2, 1, 3]):
        assert np.array_equal(encoder.encode_images([pictures[n] for n in order], size), of_images[order])
        assert np.array_equal(encoder.encode_texts([texts[n] for n in order], size), of_texts[order])


def test_texts_that_are_asked_together_have_the_bits_that_each_has_alone(encoder: TowerEncoder) -> None:
    alone = np.stack([encoder.encode_asked_text(text) for text in TEXTS])

    for order in ([0, 1, 2], [2], [1, 1, 0, 3, 2], []):
        texts = [TEXTS[number] for number in order]
        assert np.array_equal(encoder.encode_asked_texts(texts), alone[order])


def test_an_encoder_gives_no_rows_for_no_images_and_no_texts(encoder: TowerEncoder) -> None:
    for rows in (encoder.encode_images([]), encoder.encode_texts([])):
        assert rows.shape == (0, encoder.identity.dimension)
        assert rows.dtype == np.float32
