"""Builders of the training tests: pictures of two colours, their captions, and a model small enough to learn them."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from indexer.training.augment import Augmentation
from indexer.training.image_cache import ImageCache
from indexer.training.listing import Caption
from indexer.training.loop import Data, Outcome, RunObserver, Saving, fit
from indexer.training.objective import Teacher
from indexer.training.recipe import Recipe
from indexer.training.record import MetricsLog
from indexer.training.trainable import Trainable
from indexer.training.trainable_two_tower import TrainableTwoTower
from indexer.training.vocabulary import fit_tokenizer
from retrieval.encoders.two_tower import ImageConfig, TextConfig, TwoTowerConfig, TwoTowerModel
from retrieval.types import Progress

ABOVE = {
    "red": (220, 30, 30),
    "blue": (30, 40, 220),
    "green": (30, 200, 50),
    "white": (250, 250, 250),
    "yellow": (230, 220, 40),
    "black": (10, 10, 10),
}
BELOW = {
    "rose": (250, 150, 170),
    "sea": (20, 120, 140),
    "leaf": (100, 140, 30),
    "stone": (128, 128, 128),
    "sand": (200, 170, 110),
    "wine": (110, 20, 60),
}
NAMES = [f"{above} {below}" for above in ABOVE for below in BELOW]
"""No two have the same words: neither the small towers' texts nor their pictures know any order."""

STILL = Augmentation(area=1.0, aspect=1.0, flip=0.0, colour=0.0, soft=0.0)
"""No variation: for what must be learned by heart."""


def picture(name: str, side: int = 16) -> NDArray[np.uint8]:
    """Two colours, one above the other."""
    above, below = name.split()
    pixels = np.empty((side, side, 3), np.uint8)
    pixels[: side // 2], pixels[side // 2 :] = ABOVE[above], BELOW[below]
    return pixels


def cached(names: list[str] = NAMES[:32], lang: str = "en") -> ImageCache:
    pixels = np.stack([picture(name) for name in names])
    count = len(names)
    return ImageCache(
        pixels.reshape(-1),
        np.arange(count, dtype=np.int64) * pixels[0].size,
        np.tile(np.array(pixels.shape[1:], np.int64), (count, 1)),
        tuple((Caption(lang, name, row),) for row, name in enumerate(names)),
        tuple((row,) for row in range(count)),
        tuple(f"{row:064x}" for row in range(count)),
        (),
    )


def tiny_two_tower(frozen_stages: int = 0, image_parts: tuple[int, ...] = ()) -> TrainableTwoTower:
    tokenizer = fit_tokenizer(NAMES, 200)
    torch.manual_seed(0)
    text = TextConfig("bag", tokenizer.get_vocab_size(), 32, 64, context=16)
    model = TwoTowerModel(TwoTowerConfig(32, ImageConfig("tiny", 16), text, image_parts))
    return TrainableTwoTower(model, tokenizer, "tiny", "cpu", frozen_stages)


def train(
    out: Path,
    recipe: Recipe,
    model: Trainable | None = None,
    *,
    stop_after: int | None = None,
    teacher: Teacher | None = None,
    saving: Saving | None = None,
    run: str = "this run",
) -> tuple[Trainable, Outcome, list[dict[str, object]]]:
    """Train on the 32 pairs; the model, how it ended, and the metrics. ``stop_after`` counts steps of this call."""
    out.mkdir(exist_ok=True)
    model = model or tiny_two_tower()
    stop, seen = Event(), []

    def show(progress: Progress) -> None:
        seen.append(progress)
        if stop_after is not None and len(seen) >= stop_after:
            stop.set()

    log = MetricsLog(out / "metrics.jsonl")
    data = Data(cached(), cached(), teacher or Teacher())
    outcome = fit(model, data, recipe, run, out, saving or Saving(), RunObserver(log, show, stop))
    return model, outcome, list(log.lines())


def write_corpus(folder: Path, names: list[str] = NAMES, side: int = 40) -> Path:
    """A JSONL corpus of real PNG files, with captions in two languages."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number, name in enumerate(names):
        Image.fromarray(picture(name, side)).save(folder / f"{number}.png")
        lines.append({"image": f"{number}.png", "caption": name, "caption_zh": f"颜色 {name}"})
    table = folder / "pairs.jsonl"
    table.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return table
