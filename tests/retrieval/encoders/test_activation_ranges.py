"""Image towers in int8: ranges of activations, and what is computed with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import retrieval.cli
from retrieval.encoders.registry import load_encoder
from retrieval.encoders.runtimes.openvino_images import OpenVinoImages
from retrieval.encoders.two_tower import ImageConfig, TwoTowerConfig
from retrieval.encoders.two_tower.activation_ranges import (
    FILE,
    measured_ranges,
    ranges_needed,
    read_ranges,
    with_ranges,
    write_ranges,
)
from retrieval.encoders.two_tower.encoder import add_ranges, add_reference
from retrieval.encoders.two_tower.image_layers import (
    FLOAT32_BLOCKS,
    Block,
    Convolution,
    ImageTower,
    Range,
    read_image_tower,
)
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights
from retrieval.errors import ModelError
from tests.retrieval.encoders.openvino_models import needs_openvino, pixels, write_model, write_small_model
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_small_model(tmp_path_factory.mktemp("mobilenet") / "model")
    add_reference(folder)
    add_ranges(folder, pixels(64))
    return folder


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(model, tmp_path / "model"))


def tower_of(folder: Path) -> ImageTower:
    weights = NumpyWeights((folder / "model.safetensors").read_bytes(), "image")
    return read_image_tower(TwoTowerConfig.load(folder / "config.json"), weights)


# --- an independent computation of the same layers in torch


def in_torch(tower: ImageTower, images: np.ndarray, seen: list[torch.Tensor] | None = None) -> np.ndarray:
    """Rows of (n, size, size, 3) uint8; what a range is of is put into ``seen``."""
    given = torch.from_numpy(images.astype(np.float32) * tower.scale + tower.shift).permute(0, 3, 1, 2)
    shared = run(given, tower.shared[:FLOAT32_BLOCKS], None)
    shared = run(shared, tower.shared[FLOAT32_BLOCKS:], seen)
    pooled = [run(shared, branch, seen).mean((2, 3)) for branch in tower.branches]
    rows = torch.cat(pooled, 1) @ torch.from_numpy(tower.weight).T + torch.from_numpy(tower.bias)
    parts = torch.split(rows, list(tower.parts), 1)
    unit = [torch.nn.functional.normalize(part) for part in parts]
    found: np.ndarray = (torch.cat(unit, 1) * len(unit) ** -0.5).numpy()
    return found


def run(given: torch.Tensor, blocks: Sequence[Block], seen: list[torch.Tensor] | None) -> torch.Tensor:
    for block in blocks:
        ranges = iter(block.ranges)

        def rounded(node: torch.Tensor, ranges: object = ranges, block: Block = block) -> torch.Tensor:
            if seen is not None:
                seen.append(node)
            return in_steps(node, next(ranges)) if block.ranges else node  # type: ignore[call-overload]

        node = given = rounded(given)
        for place, layer in enumerate(block.convolutions):
            node = convolved(rounded(node) if place else node, layer, bool(block.ranges))
        given = rounded(node) + given if block.residual else node
    return given


def in_steps(node: torch.Tensor, within: Range) -> torch.Tensor:
    low, high = within
    if low < 0:
        return torch.fake_quantize_per_tensor_affine(node, max(-low, high * 128 / 127) / 128, 0, -128, 127)
    return torch.fake_quantize_per_tensor_affine(node, high / 255, 0, 0, 255)


def convolved(node: torch.Tensor, layer: Convolution, in_bytes: bool) -> torch.Tensor:
    weight = torch.from_numpy(layer.weight)
    if in_bytes:
        scale = weight.flatten(1).abs().amax(1) / 127
        zeros = torch.zeros(len(scale), dtype=torch.int32)
        weight = torch.fake_quantize_per_channel_affine(weight, scale, zeros, 0, -127, 127)
    (top, left), (bottom, right) = layer.before, layer.after
    padded = torch.nn.functional.pad(node, (left, right, top, bottom))
    found = torch.nn.functional.conv2d(
        padded, weight, torch.from_numpy(layer.bias), layer.stride, groups=layer.groups
    )
    return found if layer.activation is None else found.clamp(0, 6)


# --- ranges


@pytest.mark.parametrize(("backbone", "kept_from"), [("mobilenet_v2", 5), ("efficientnet_lite2", 1)])
def test_ranges_are_those_of_the_activations_in_the_order_of_the_layers(
    backbone: str, kept_from: int, tmp_path: Path
) -> None:
    image = ImageConfig(backbone, 64, tf_padding=True, kept_from=kept_from)  # type: ignore[arg-type]
    tower = tower_of(write_model(tmp_path / "model", image))
    images, seen = pixels(64)[:1], []  # type: ignore[var-annotated]
    in_torch(tower, images, seen)

    found = measured_ranges(tower, images)

    assert len(found) == ranges_needed(tower) == len(seen)
    expected = [(min(0.0, float(one.min())), float(one.max())) for one in seen]
    assert np.allclose(found, expected, rtol=1e-3, atol=1e-4)
    ranged = with_ranges(tower, found)
    behind = [*ranged.shared[FLOAT32_BLOCKS:], *(block for branch in ranged.branches for block in branch)]
    assert [one for block in behind for one in block.ranges] == found
    assert not any(block.ranges for block in ranged.shared[:FLOAT32_BLOCKS])


def test_one_image_in_many_does_not_widen_a_range(model: Path) -> None:
    tower = tower_of(model)
    images = np.full((40, 64, 64, 3), 128, np.uint8)
    images[7] = pixels(64)[0]

    assert measured_ranges(tower, images) == measured_ranges(tower, images[:1])


def test_ranges_are_read_as_they_were_written(folder: Path) -> None:
    write_ranges(folder, [(-1.5, 2.0), (0.0, 1 / 3)])

    assert read_ranges(folder) == ((-1.5, 2.0), (0.0, 0.3333))


@pytest.mark.parametrize(
    "ranges",
    [
        7,
        None,
        [[0, 1, 2]],
        [["x", 1]],
        [[0, 0]],
        [[1, 2]],
        [[0, float("nan")]],
        [[0, 1e400]],
        [[-1e300, 1]],
        [[0, 10**400]],
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_a_damaged_file_of_ranges_is_refused_in_a_sentence(folder: Path, ranges: object, whole: bool) -> None:
    (folder / FILE).write_text(json.dumps({"ranges": ranges})[: None if whole else -1])

    with pytest.raises(ModelError, match=rf"{FILE} is damaged \(.+\); use float32 or bfloat16"):
        read_ranges(folder)


@needs_openvino
def test_a_model_without_ranges_or_with_another_s_is_refused_in_a_sentence(folder: Path) -> None:
    write_ranges(folder, [(0.0, 6.0)] * 3)
    with pytest.raises(ModelError, match=rf"{FILE} has 3 ranges, and the model needs \d\d; use float32"):
        load_encoder(folder, precision="int8").encode_images([Image.new("RGB", (40, 30))])

    (folder / FILE).unlink()
    with pytest.raises(ModelError, match=f"has no {FILE}, which int8 needs and vlsearch train writes"):
        load_encoder(folder, precision="int8")


def test_torch_computes_no_int8(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"torch computes .+ in float32 alone; use float32"):
        load_encoder(folder, runtime="torch", precision="int8")
    BUILDERS["clip"](tmp_path / "clip")
    with pytest.raises(ModelError, match="cannot be computed in int8: torch computes it; use float32"):
        load_encoder(tmp_path / "clip", runtime="torch", precision="int8")


# --- rows


@needs_openvino
@pytest.mark.parametrize("count", [1, 5])
def test_rows_are_those_of_layers_whose_numbers_are_clipped_and_rounded_in_torch(
    model: Path, count: int
) -> None:
    tower, images = tower_of(model), pixels(64)[:count]
    narrow = with_ranges(tower, [(low / 4, high / 4) for low, high in read_ranges(model)])

    found = OpenVinoImages(narrow, "int8", lambda _: None).rows(images)

    exact, expected = in_torch(tower, images), in_torch(narrow, images)
    assert np.abs(exact - expected).max() > 0.1  # most is clipped
    assert np.abs(found - expected).max() < 0.01  # numbers in the middle of two steps may go to either


@needs_openvino
def test_rows_that_are_far_from_the_reference_are_refused(folder: Path) -> None:
    write_ranges(folder, [(low / 50, high / 50) for low, high in read_ranges(folder)])

    with pytest.raises(ModelError, match=r"have a cosine of .+ to the model's.+VLSEARCH_PRECISION=float32"):
        load_encoder(folder, precision="int8").encode_images([Image.new("RGB", (40, 30))])


@needs_openvino
def test_int8_takes_some_thousandths_from_the_cosine_of_photographs() -> None:
    exact, fast = (load_encoder("mini", precision=precision) for precision in ("float32", "int8"))
    folder = Path(retrieval.cli.__file__).parent / "demo_photographs"
    photographs = [Image.open(path).convert("RGB") for path in sorted(folder.glob("*.jpg"))]

    cosines = (exact.encode_images(photographs) * fast.encode_images(photographs)).sum(axis=1)

    assert 1e-5 < 1 - cosines.mean() < 4e-3  # 2.1e-3 of 1,000 photographs
    assert fast.identity.precision == "images int8, texts float32"
    assert fast.identity.digest == exact.identity.digest
