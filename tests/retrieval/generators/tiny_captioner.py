"""A captioner with random weights, on the features of ``mini``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from retrieval.encoders.registry import BUNDLED
from retrieval.encoders.two_tower.features import ImageFeatures
from retrieval.generators.captioner.config import CaptionerConfig, Decoding, Language

WORDS = ["</s>", "<unk>", "<en>", "<zh>", "a", "dog", "runs", "red", "on", "一只", "狗", "红", "在"]


def tiny_config(digest: str) -> CaptionerConfig:
    languages = {"en": Language(2, 4, 9, " "), "zh": Language(3, 9, 13, "")}
    return CaptionerConfig(
        "mini", digest, 2560, 64, len(WORDS), 16, 2, 24, 1, 2, 8, languages, Decoding(3, 6, 0.7, 0.5)
    )


def save_tiny_captioner(folder: Path) -> Path:
    """Write a captioner folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = tiny_config(ImageFeatures(BUNDLED / "mini").digest)
    random = np.random.default_rng(3)
    weights = {
        name: random.normal(0, 0.3, shape).astype(np.float32)
        for name, shape in config.weight_shapes().items()
    }
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(config.to_json(), encoding="utf-8")
    (folder / "vocabulary.json").write_text(
        json.dumps({"words": WORDS}, ensure_ascii=False), encoding="utf-8"
    )
    return folder
