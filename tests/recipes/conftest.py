"""A model of mini's layout with random weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from indexer.training.vocabulary import fit_tokenizer
from recipes.mini.start import load_start
from recipes.mini.texts import TextEncoder
from retrieval.encoders.two_tower.config import ImageConfig, TextConfig, TwoTowerConfig
from retrieval.encoders.two_tower.folder import save
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.hub.tokenizer_files import load_tokenizer
from tests.recipes.noise_photographs import SIZE


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of mini's layout with random weights."""
    torch.manual_seed(0)
    tokenizer = fit_tokenizer(["a dog and a cat", "two people ride a red bus", "一只狗"], 60)
    image = ImageConfig(
        "efficientnet_lite2", SIZE, (0.5,) * 3, (0.5,) * 3, tf_padding=True, kept_from=6, aspect=1.3
    )
    text = TextConfig("bag", tokenizer.get_vocab_size(), 16, 32, attention_layers=1, attention_width=8)
    model = TwoTowerModel(TwoTowerConfig(16, image, text, (8, 8)))
    folder = tmp_path_factory.mktemp("start")
    save(folder, model, tokenizer)
    return folder


@pytest.fixture
def model(start: Path) -> TwoTowerModel:
    """That model, loaded anew."""
    return load_start(start, SIZE).requires_grad_(False)


@pytest.fixture
def encoder(model: TwoTowerModel, start: Path) -> TextEncoder:
    """Its text tower."""
    return TextEncoder(model, load_tokenizer(start / "tokenizer.json"))
