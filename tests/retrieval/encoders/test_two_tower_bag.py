"""The bag text tower in numpy is the one in torch, and needs no torch."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from retrieval.encoders.registry import load_encoder
from retrieval.encoders.tower_encoder import TowerEncoder
from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
from retrieval.encoders.two_tower.numpy_bag import NumpyBag, weight_shapes
from tests.command_line import save_tiny_model


@given(
    ids=st.lists(st.lists(st.integers(0, 49), min_size=8, max_size=8), min_size=1, max_size=5),
    seed=st.integers(0, 3),
    spread=st.sampled_from([0.1, 1.0, 10.0]),
    layers=st.integers(0, 2),
)
@example(
    ids=[[0] * 8, [31, 0, 0, 0, 4, 0, 0, 8]], seed=0, spread=1.0, layers=2
)  # in float32 off by 8e-6 with AMX
@example(ids=[[13, 0, 15, 14, 32, 20, 17, 12]], seed=2, spread=10.0, layers=2)  # in float32 off by 7e-4
@settings(max_examples=60)
def test_the_bag_in_numpy_gives_the_rows_of_the_bag_in_torch(
    ids: list[list[int]], seed: int, spread: float, layers: int
) -> None:
    torch.manual_seed(seed)
    text = TextConfig("bag", 50, 32, 64, context=8, attention_layers=layers, attention_width=16)
    model = TwoTowerModel(TwoTowerConfig(16, ImageConfig("tiny", 32), text)).eval()
    with torch.inference_mode():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * spread)
        weights = {name: value.numpy().copy() for name, value in model.state_dict().items()}
        exact = model.double().encode_texts(torch.tensor(ids)).numpy()
    bag = NumpyBag(weights, text)

    rows = bag.encode(np.array(ids))

    assert rows.dtype == np.float32
    if spread <= 1:
        np.testing.assert_allclose(rows, exact, rtol=0, atol=5e-5)
    # Weights of ten make scores of two millions, which float32 knows to a tenth: a softmax of near ties then says
    # little. The formula is held to in float64.
    vars(bag).update({name: doubled(value) for name, value in vars(bag).items()})
    np.testing.assert_allclose(bag.encode(np.array(ids)), exact, rtol=0, atol=5e-6)


def test_a_few_texts_are_cut_into_the_tokens_that_they_have_among_many() -> None:
    mini = bundled()
    texts = [f"A {word} 狗 {number}!" for number, word in enumerate(["dog", "", "ünïcode", "BEACH\n"] * 6)]

    many = mini.tokenization.encode(texts)

    assert [mini.tokenization.encode([text])[0] for text in texts] == many


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=9), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_texts_together_have_the_bits_that_mini_gives_each_alone(lengths: list[int], seed: int) -> None:
    mini = bundled()
    random = np.random.default_rng(seed)
    texts = [" ".join(random.choice(WORDS, length)) for length in lengths]

    together = mini.encode_asked_texts(texts)

    for text, row in zip(texts, together, strict=True):
        assert row.tobytes() == mini.encode_asked_text(text).tobytes()


@cache
def bundled() -> TowerEncoder:
    found = load_encoder("mini")
    assert isinstance(found, TowerEncoder)
    return found


WORDS = ["dog", "a", "beach", "mountains", "running", "of", "red", "天空", "extraordinarily", "17"]


def doubled(value: Any) -> Any:
    """Arrays in float64, in lists and tuples too."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64)
    return type(value)(map(doubled, value)) if isinstance(value, (list, tuple)) else value


def test_a_text_is_encoded_by_mini_without_torch_torchvision_or_transformers() -> None:
    code = (
        "import sys; from retrieval.encoders.registry import load_encoder;"
        "print(load_encoder('mini').encode_texts(['a dog']).shape);"
        "print(sorted({'torch', 'torchvision', 'transformers'} & set(sys.modules)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:2] == ["(1, 512)", "[]"]


@pytest.mark.parametrize("encoded_before", [True, False])
def test_weights_that_are_cut_short_after_loading_end_in_vectors_or_in_a_sentence(
    tmp_path: Path, encoded_before: bool
) -> None:
    # In a process of its own: reading a mapping beyond its file's end kills it.
    save_tiny_model(tmp_path / "model")
    code = (
        "import sys; from pathlib import Path; from retrieval.encoders.registry import load_encoder;"
        "folder = Path(sys.argv[1]); encoder = load_encoder(folder);"
        f"{encoded_before} and encoder.encode_texts(['red']);"
        "(folder / 'model.safetensors').open('r+b').truncate(0);"
        "print(encoder.encode_texts(['red']).shape)"
    )

    done = subprocess.run([sys.executable, "-c", code, tmp_path / "model"], capture_output=True, text=True)

    if encoded_before:
        assert done.stdout == "(1, 16)\n"
    else:
        assert done.returncode == 1
        assert "ModelError" in done.stderr.splitlines()[-1]


def test_a_text_has_the_same_bits_alone_and_among_many() -> None:
    text = TextConfig("bag", 50, 32, 64, heads=2, context=32, attention_layers=2, attention_width=16)
    rng = np.random.default_rng(3)
    weights = {
        name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in weight_shapes(text, 16).items()
    }
    bag = NumpyBag(weights, text)
    ids = rng.integers(1, text.vocabulary, (67, 8)) * (np.arange(8) < rng.integers(1, 9, (67, 1)))

    alone = np.concatenate([bag.encode(one[None]) for one in ids])

    assert np.array_equal(bag.encode(ids), alone)
    assert np.array_equal(bag.encode(ids[:5]), alone[:5])
