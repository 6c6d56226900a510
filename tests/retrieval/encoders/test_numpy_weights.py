"""Weights decoded one at a time in numpy are the state that torch loads; damaged bytes are refused."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.encoders.registry import BUNDLED, load_encoder
from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.encoders.two_tower.folder import TwoTowerFolder, module_state
from retrieval.encoders.two_tower.numpy_bag import VECTORS, weight_shapes
from retrieval.encoders.two_tower.numpy_weights import NumpyWeights, QuantisedRows

MINI = BUNDLED / "mini"


@pytest.fixture(scope="module")
def data() -> bytes:
    return (MINI / "model.safetensors").read_bytes()


@pytest.mark.parametrize("tower", ["text", "image"])
def test_weights_of_mini_are_those_that_torch_loads(data: bytes, tower: str) -> None:
    state = module_state(safetensors.torch.load(data))

    weights = NumpyWeights(data, tower)

    assert set(weights) == {name for name in state if name.startswith(tower)}
    assert len(weights) == len(list(weights))
    for name, value in weights.items():
        assert value.dtype == np.float32
        assert value.shape == weights.shape(name)
        np.testing.assert_array_equal(value, state[name].float().numpy())


def test_rows_of_int8_are_those_of_the_whole_matrix(data: bytes) -> None:
    weights = NumpyWeights(data, "text")
    ids = np.array([[0, 7], [12_259, 7]])

    rows = weights.rows(VECTORS)

    assert isinstance(rows, QuantisedRows)
    np.testing.assert_array_equal(rows[ids], weights[VECTORS][ids])


def test_the_bag_of_mini_has_the_weights_that_its_configuration_calls_for(data: bytes) -> None:
    config = TwoTowerConfig.load(MINI / "config.json")
    weights = NumpyWeights(data, "text")

    assert {name: weights.shape(name) for name in weights} == weight_shapes(config.text, config.dimension)


@pytest.mark.skipif(find_spec("openvino") is None, reason="no wheel of OpenVINO for this platform")
def test_the_first_tower_is_built_of_the_bytes_that_were_hashed_and_the_second_of_bytes_hashed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: list[Path] = []
    again = TwoTowerFolder.read_again

    def count(folder: TwoTowerFolder) -> bytes:
        read.append(folder.path)
        return again(folder)

    monkeypatch.setattr(TwoTowerFolder, "read_again", count)

    encoder = load_encoder("mini")
    encoder.encode_texts(["a dog"])
    assert read == []

    size = encoder.image_size
    encoder.encode_prepared([np.zeros((size, size, 3), np.uint8)])
    assert read == [MINI]


def stored(header: dict[str, object], size: int) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(size)


@given(shape=st.lists(st.integers(0, 4), max_size=3), begin=st.integers(0, 8), end=st.integers(0, 64))
@settings(max_examples=100)
def test_a_header_that_is_not_true_to_the_bytes_is_refused(shape: list[int], begin: int, end: int) -> None:
    size = 4 * int(np.prod(shape))
    data = stored({"text.a": {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}}, size)

    if (begin, end) == (0, size):
        assert NumpyWeights(data, "text")["text.a"].shape == tuple(shape)
    else:
        with pytest.raises(ValueError, match=r"offsets|bytes|overlap"):
            NumpyWeights(data, "text")


def test_a_header_that_goes_beyond_the_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        NumpyWeights((1000).to_bytes(8, "little") + b"{}", "text")


def test_a_type_that_numpy_does_not_know_is_named() -> None:
    facts = {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}

    with pytest.raises(TypeError, match="BF16"):
        NumpyWeights(stored({"text.a": facts}, 4), "text")
