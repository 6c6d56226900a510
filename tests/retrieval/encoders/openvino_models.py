"""Small two-tower models that OpenVINO knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from indexer.training.vocabulary import fit_tokenizer
from retrieval import openvino_runtime
from retrieval.encoders.two_tower import (
    ImageConfig,
    TextConfig,
    TwoTowerConfig,
    TwoTowerModel,
)
from retrieval.encoders.two_tower.folder import save

needs_openvino = pytest.mark.skipif(not openvino_runtime.is_installed(), reason="OpenVINO is not installed")


def write_model(folder: Path, image: ImageConfig, parts: tuple[int, ...] = ()) -> Path:
    tokenizer = fit_tokenizer(["a dog", "a cat on a mat"], 50)
    torch.manual_seed(0)
    text = TextConfig("bag", tokenizer.get_vocab_size(), 8, 8)
    model = TwoTowerModel(TwoTowerConfig(16, image, text, parts)).eval()
    for name, value in model.named_buffers():
        if name.endswith("running_mean"):
            value.uniform_(-0.5, 0.5)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2)
    save(folder, model, tokenizer, quantised=("image.kept.",))
    return folder


def write_small_model(folder: Path) -> Path:
    """A MobileNet whose rows come of two parts."""
    image = ImageConfig("mobilenet_v2", 64, tf_padding=True, kept_from=17)
    return write_model(folder, image, (6, 10))


def pixels(size: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, size, size, 3), np.uint8)
