"""A captioner's folder comes from strangers: what does not fit is a sentence, before anything is computed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from retrieval.errors import ModelError
from retrieval.generators.registry import load_generator
from tests.retrieval.generators.tiny_captioner import save_tiny_captioner


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captioner with random weights."""
    return save_tiny_captioner(tmp_path_factory.mktemp("captioner"))


@pytest.fixture
def folder(sound: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(sound, tmp_path / "copy"))


def change_config(folder: Path, **values: Any) -> None:
    facts = json.loads((folder / "config.json").read_text())
    for name, value in values.items():
        inside, _, field = name.rpartition("__")
        (facts[inside] if inside else facts)[field] = value
    (folder / "config.json").write_text(json.dumps(facts))


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        ({"width": 2**40}, "width is 1099511627776, not a whole number"),
        ({"width": 15}, "not divisible by 2 heads"),
        ({"heads": True}, "heads is True, not a whole number"),
        ({"word_layers": 10**9}, "word_layers is 1000000000"),
        ({"languages": {}}, "0 languages"),
        ({"languages": {"en": {"begin": 2, "first": 4, "stop": 99, "joiner": " "}}}, "stop of 'en' is 99"),
        ({"languages": {"en": {"begin": 2, "first": 4, "stop": 9, "joiner": "\n"}}}, "neither a space nor"),
        ({"languages": 7}, "is damaged"),
        ({"decoding__beams": 10**9}, "beams is 1000000000"),
        ({"decoding__most": 9}, "most is 9, not a whole number from 1 to 8"),
        ({"decoding__agreement": float("nan")}, "agreement is nan"),
        ({"more": 1}, "is damaged"),
        ({"encoder": "siglip2-base"}, "does not come with vlsearch"),
        ({"encoder_weights": "0" * 64}, "was trained on other weights of mini"),
        ({"features": 16}, "places.weight has the shape"),
    ],
)
def test_a_configuration_out_of_range_is_a_sentence(
    folder: Path, change: dict[str, Any], clause: str
) -> None:
    change_config(folder, **change)

    with pytest.raises(ModelError, match=clause):
        load_generator(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "vocabulary.json"])
@pytest.mark.parametrize("damage", ["gone", "cut", "empty", "noise"])
def test_a_damaged_file_is_a_sentence(folder: Path, name: str, damage: str) -> None:
    file = folder / name
    data = file.read_bytes()
    file.unlink()
    if damage != "gone":
        file.write_bytes(
            {"cut": data[: len(data) // 2], "empty": b"", "noise": bytes(reversed(data))}[damage]
        )

    with pytest.raises(ModelError):
        load_generator(folder)


def not_finite(weights: dict[str, Any]) -> None:
    weights["word_bias"][0] = np.inf


def one_missing(weights: dict[str, Any]) -> None:
    del weights["word_norm.bias"]


def one_more(weights: dict[str, Any]) -> None:
    weights["word_layers.9.feed.norm.bias"] = np.zeros(3, np.float32)


def another_shape(weights: dict[str, Any]) -> None:
    weights["words.weight"] = weights["words.weight"][:-1]


@pytest.mark.parametrize(
    ("change", "clause"),
    [
        (not_finite, "word_bias holds numbers that are not finite"),
        (one_missing, "word_norm.bias is missing"),
        (one_more, "word_layers.9.feed.norm.bias is missing or not part of the model"),
        (another_shape, "words.weight has the shape"),
    ],
)
def test_weights_that_are_not_the_models_are_a_sentence(
    folder: Path, change: Callable[[dict[str, Any]], None], clause: str
) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")

    with pytest.raises(ModelError, match=clause):
        load_generator(folder)


@pytest.mark.parametrize(
    "words", [["a"], ["a b"] * 13, ["\x1b[31m"] * 13, [""] * 13, [7] * 13, ["x" * 101] * 13]
)
def test_a_vocabulary_of_what_are_no_words_is_a_sentence(folder: Path, words: list[Any]) -> None:
    (folder / "vocabulary.json").write_text(json.dumps({"words": words}))

    with pytest.raises(ModelError, match=r"vocabulary\.json is damaged"):
        load_generator(folder)


def test_weights_that_overflow_while_they_are_computed_are_a_sentence(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["word_layers.0.feed.narrow.weight"][:] = 1e38
    save_file(weights, folder / "model.safetensors")
    captioner = load_generator(folder)
    side = captioner.preparation.short_side

    with pytest.raises(ModelError, match="its weights are damaged"):
        captioner.describe_prepared([np.full((side, side, 3), 99, np.uint8)])
