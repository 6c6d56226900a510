import contextlib
import json

import numpy as np
import pytest
import torch

from indexer.training.data import Pairs, is_sided
from indexer.training.loop import Recipe, train_all
from indexer.training.validation import hit_rates, validate
from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
from retrieval.encoders.two_tower.text import train_tokenizer
from retrieval.errors import TrainingError

NAMES = [
    f"{colour} {thing}"
    for colour in ("red", "blue", "green", "grey")
    for thing in ("dog", "cat", "hat", "car", "bus", "cup", "pen", "box")
]


def pairs():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 1, 1, 3), np.uint8).repeat(16, 1).repeat(16, 2)
    pixels = pixels.copy()
    pixels[:, :8] = 255 - pixels[:, :8] // 2
    return Pairs(pixels, [[("en", name)] for name in NAMES])


TOKENIZER = train_tokenizer(NAMES, 200)  # once: two fits of it may differ in the order of equal pieces


def model_and_tokenizer():
    torch.manual_seed(0)
    tokenizer = TOKENIZER
    text = TextConfig("bag", tokenizer.get_vocab_size(), 32, 64, context=16)
    return TwoTowerModel(TwoTowerConfig(32, ImageConfig("tiny", 16), text)), tokenizer


def run(out, epochs, stop_after=None):
    class Killed(Exception):
        pass

    def report(line):
        lines.append(line)
        json.dumps(line)
        if stop_after is not None and line["epoch"] > stop_after:
            raise Killed

    lines = []
    model, tokenizer = model_and_tokenizer()
    out.mkdir(exist_ok=True)
    recipe = Recipe(
        epochs=epochs, batch_size=16, train_size=16, image_rate=3e-3, text_rate=3e-3, head_rate=3e-3
    )
    with contextlib.suppress(Killed):
        train_all(model, tokenizer, pairs(), pairs(), recipe, out, report)
    return model, tokenizer


def test_thirty_two_pairs_are_learned_by_heart(tmp_path):
    model, tokenizer = run(tmp_path / "a", 150)
    figures = validate(model, tokenizer, pairs())["en"]
    assert (figures["t2i_r1"], figures["i2t_r1"]) == (100, 100)


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(tmp_path):
    whole, _ = run(tmp_path / "whole", 4)
    run(tmp_path / "cut", 4, stop_after=2)
    resumed, _ = run(tmp_path / "cut", 4)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_checkpoint_of_other_settings_is_refused(tmp_path):
    run(tmp_path / "a", 1)
    with pytest.raises(TrainingError, match="other settings"):
        run(tmp_path / "a", 2)


def test_hit_rates_of_a_perfect_and_of_a_constant_model():
    owners = np.arange(3)
    assert set(hit_rates(np.eye(3, dtype=np.float32), np.eye(3, dtype=np.float32), owners).values()) == {100}
    same = np.ones((3, 3), np.float32)
    assert hit_rates(same, same, owners)["t2i_r1"] == 0


def test_captions_about_a_side_forbid_mirroring():
    assert is_sided("a man on the Left")
    assert is_sided("左边的狗")
    assert not is_sided("leftover food")
