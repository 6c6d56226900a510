"""A two-tower folder may say anything: it ends in vectors or in a sentence."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from indexer.training.trainable_two_tower import load_two_tower
from retrieval.encoders.registry import load_encoder
from retrieval.errors import ModelError
from tests.command_line import save_tiny_model

ANYTHING = ["x", -1, 0, None, [], {}, 10**12, 1.5, True, [1, "x", 2], [0, 0, 0]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("hostile") / "model")


def places(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from places(inner, (*path, key))


def changed(config: dict[str, Any], path: tuple[str, ...], value: object) -> str:
    copied = copy.deepcopy(config)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(copied)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_whatever_one_value_of_the_configuration_says_there_are_vectors_or_a_sentence(
    model: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    refused = 0
    for path in places(config):
        for value in ANYTHING:
            (folder / "config.json").write_text(changed(config, path, value))
            try:
                encoder = load_encoder(folder)
                encoder.encode_texts(["a red square"])
                encoder.encode_images([Image.new("RGB", (40, 30))])
            except ModelError:
                refused += 1

    assert refused > 100


def test_a_tokenizer_of_another_model_is_refused(model: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"] += [[f"piece{number}", -9.0] for number in range(100)]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ModelError, match="of different models"):
        load_encoder(folder)


@pytest.mark.parametrize("shape", [(1, 200_000), (200_000,), (1,), ()])
def test_scales_that_would_multiply_a_weight_into_more_memory_are_refused(
    model: Path, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    folder = Path(shutil.copytree(model, tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    for name in ("text.vectors", "image.more"):  # numpy reads the first, torch both
        bomb = {f"{name}.step": torch.ones(shape)}
        if name == "image.more":
            bomb["image.more.weight"] = torch.ones(200_000, 1)
        save_file(weights | bomb, folder / "model.safetensors")

        with pytest.raises(ModelError, match="holds no weights of this model"):
            load_encoder(folder).encode_images([Image.new("RGB", (40, 30))])
        with pytest.raises(ModelError, match="holds no weights of this model"):
            load_two_tower(folder, "bomb", "cpu")
