"""Pictures for the image tower: whole ones, and varied ones; and the features of all of them."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor
from torchvision.transforms.functional import resize

from recipes.mini.from_imagenet.checkpoint import write
from recipes.mini.from_imagenet.opinion import FEATURES
from recipes.mini.from_imagenet.student import SIZE, Student

SIDED = re.compile(r"\b(left|right)\b|左|右", re.IGNORECASE)
_BATCH = 32

Pixels = NDArray[np.uint8]
"""(n, 256, 256, 3), squeezed squares; memory-mapped."""


def load_pixels(folder: Path) -> dict[str, Pixels]:
    """What ``data.py`` wrote."""
    return {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("train", "val", "classes")}


def may_mirror(captions: dict[str, list[str]]) -> bool:
    """Whether no human caption says left or right."""
    return not any(SIDED.search(text) for text in [*captions["en"], *captions["zh"]])


def crop(picture: Pixels, smallest: float, stretch: float, rng: random.Random) -> Tensor:
    """(3, h, w): a part with an area from ``smallest`` to 1 of the whole, stretched by up to exp(``stretch``)."""
    full = len(picture)
    area, aspect = rng.uniform(smallest, 1.0), math.exp(rng.uniform(-stretch, stretch))
    height = min(full, round(full * math.sqrt(area / aspect)))
    width = min(full, round(full * math.sqrt(area * aspect)))
    top, left = rng.randint(0, full - height), rng.randint(0, full - width)
    part = np.array(picture[top : top + height, left : left + width])
    return torch.from_numpy(part).permute(2, 0, 1)


def vary(pixels: Pixels, size: int, smallest: float, mirrors: Sequence[bool], rng: random.Random) -> Tensor:
    """(B, 3, size, size) uint8, varied in scale, aspect, sharpness, colour, light and, where allowed, side."""
    out = torch.empty((len(pixels), 3, size, size), dtype=torch.uint8)
    for row, picture in enumerate(pixels):
        part = crop(picture, smallest if rng.random() < 0.85 else 1.0, 0.25, rng)
        if rng.random() < 0.15:  # a soft picture: detail thrown away first
            part = resize(part, [round(size * 0.6)] * 2, antialias=True)
        part = resize(part, [size, size], antialias=True)
        if mirrors[row] and rng.random() < 0.5:
            part = part.flip(2)
        out[row] = recolour(part.float(), rng).clamp(0, 255).to(torch.uint8)
    return out


def recolour(values: Tensor, rng: random.Random) -> Tensor:
    """The picture (3, h, w), sometimes paler, with other contrast and light, sometimes under coloured light."""
    if rng.random() < 0.15:
        values = values.mean(0, keepdim=True) * 0.7 + values * 0.3
    middle = values.mean()
    values = (values - middle) * rng.uniform(0.7, 1.3) + middle * rng.uniform(0.75, 1.25)
    if rng.random() < 0.3:
        values = values * torch.tensor([rng.uniform(0.9, 1.1) for _ in range(3)])[:, None, None]
    return values


def all_features(student: Student, pixels: Pixels, crops: random.Random | None = None) -> Tensor:
    """(n, 2560): of the pictures as they are, or of a crop of each."""
    return torch.cat([student.features(batch) for batch in _batches(pixels, crops)])


def _batches(pixels: Pixels, crops: random.Random | None) -> Iterable[Tensor]:
    for start in range(0, len(pixels), _BATCH):
        parts = [
            torch.from_numpy(np.array(picture)).permute(2, 0, 1)
            if crops is None
            else crop(picture, 0.6, 0.2, crops)
            for picture in pixels[start : start + _BATCH]
        ]
        yield torch.stack([resize(part, [SIZE, SIZE], antialias=True) for part in parts])


@dataclass(frozen=True)
class Features:
    """Features of all pictures, (n, 2560): tuned, then kept ones.

    Attributes:
        train: of Flickr8k's train pictures, as often as there are views: whole first, then of crops.
        val: of its val pictures, for watching.
        classes: of the labelled photographs.
    """

    train: tuple[Tensor, ...]
    val: Tensor
    classes: Tensor

    @classmethod
    def of(cls, student: Student, pixels: dict[str, Pixels], views: int) -> Features:
        """As the image tower is now."""
        train = [
            all_features(student, pixels["train"], random.Random(view) if view else None)
            for view in range(views)
        ]
        val, classes = (all_features(student, pixels[name]) for name in ("val", "classes"))
        return cls(tuple(train), val, classes)

    @classmethod
    def load(cls, path: Path) -> Features:
        """What :meth:`keep` wrote."""
        kept = load_file(path)
        views = sorted(name for name in kept if name.startswith("train."))
        return cls(tuple(kept[name] for name in views), kept["val"], kept["classes"])

    def keep(self, path: Path) -> None:
        """Write them: minutes of work for every process that needs them."""
        views = {f"train.{place}": view for place, view in enumerate(self.train)}
        write(path, views | {"val": self.val, "classes": self.classes})

    def tuned(self) -> Features:
        """The first half alone, (n, 1280)."""
        train = tuple(view[:, :FEATURES] for view in self.train)
        return Features(train, self.val[:, :FEATURES], self.classes[:, :FEATURES])

    def kept(self) -> Tensor:
        """(n, 1280): kept features of whole train pictures and labelled photographs."""
        return torch.cat([self.train[0], self.classes])[:, FEATURES:]
