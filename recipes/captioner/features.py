"""What the encoder's image tower sees in each place of each photograph, computed once.

Features are between 0 and 6 (ReLU6), and nine in ten are 0: as bytes they take 164 kB a photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray
from PIL import Image

from recipes.mini.photographs import Photograph
from retrieval.encoders.two_tower.features import ImageFeatures

HIGHEST = 6.0
STEP = HIGHEST / 255
_AT_ONCE = 64


def cache_features(
    tower: ImageFeatures, photographs: Sequence[Photograph], file: Path, mirrored: bool = False
) -> NDArray[np.uint8]:
    """Map the features of photographs, (n, places, features) uint8 in steps of :data:`STEP`; computed if need be."""
    if not file.exists():
        new = file.with_suffix(".new.npy")
        side = round(_places(tower) ** 0.5)
        out = open_memmap(new, "w+", np.uint8, (len(photographs), side * side, tower.size))
        for start in range(0, len(photographs), _AT_ONCE):
            views = [_view(tower, one, mirrored) for one in photographs[start : start + _AT_ONCE]]
            out[start : start + _AT_ONCE] = quantised(tower.places(np.stack(views)))
        out.flush()
        new.rename(file)
    mapped: NDArray[np.uint8] = np.load(file, mmap_mode="r")
    return mapped


def quantised(places: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Round features to bytes."""
    return np.rint(places.clip(0, HIGHEST) / STEP).astype(np.uint8)


def _places(tower: ImageFeatures) -> int:
    side = tower.preparation.size
    return int(tower.places(np.zeros((1, side, side, 3), np.uint8)).shape[1])


def _view(tower: ImageFeatures, photograph: Photograph, mirrored: bool) -> NDArray[np.uint8]:
    image = photograph.open()
    if mirrored and photograph.may_be_mirrored:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return tower.preparation.prepare(image)
