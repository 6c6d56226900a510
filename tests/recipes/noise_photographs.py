"""Photographs of noise, and the names that the recipe of mini knows: what its tests share."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from recipes.mini.names import Names
from recipes.mini.photographs import Photograph

SIZE = 64
NAMES = Names.read()


def picture(seed: int, captions: tuple[str, ...] = (), labels: tuple[str, ...] = ()) -> Photograph:
    """A photograph of noise, which its seed decides."""
    noise = np.random.default_rng(seed).integers(0, 256, (40, 52, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    return Photograph(file.getvalue(), captions, captions, labels)
