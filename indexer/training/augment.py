"""Data augmentation: crops, mirroring, light and sharpness of images; tokens left out of texts.

Everything is drawn from a generator that the caller made for this one image or text, so that a resumed run draws
what an uninterrupted run draws, in any thread.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from indexer.training.ranges import check_ranges

if TYPE_CHECKING:
    from PIL.Image import Image

    from indexer.training.listing import Caption

_SIDED = re.compile(r"\b(left|right)\b|左|右", re.IGNORECASE)

_RANGES = {
    "area": (0.0, 1.0),
    "aspect": (1.0, math.inf),
    "flip": (0.0, 1.0),
    "colour": (0.0, 1.0),
    "soft": (0.0, 1.0),
    "token_dropout": (0.0, 1.0),
}


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Strength of the augmentation of images and texts.

    Attributes:
        area: least share of an image's area that a crop keeps; 1 keeps all of it.
        aspect: a crop's shape varies by up to this factor either way; 1 keeps it.
        flip: chance of mirroring an image, unless a drawn caption speaks of left or right.
        colour: light and contrast vary by up to this share.
        soft: chance of halving a crop's resolution first, since small or blurred images have no fine detail.
        token_dropout: chance of each token to be left out, the first and the last ones excepted.
    """

    area: float = 0.45
    aspect: float = 1.25
    flip: float = 0.5
    colour: float = 0.2
    soft: float = 0.15
    token_dropout: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is out of its range.

        Raises:
            UsageError: says which.
        """
        check_ranges(self, _RANGES)


def is_sided(text: str) -> bool:
    """Whether a caption speaks of left or right, so that its image must not be mirrored."""
    return _SIDED.search(text) is not None


def augment_image(
    pixels: NDArray[np.uint8], whole: bool, may_flip: bool, by: Augmentation, rng: np.random.Generator
) -> Image:
    """Draw a random view of an image, (h, w, 3) uint8, which the model's own preparation then resizes.

    Args:
        pixels: the image.
        whole: crops keep the image's shape, for models that see all of it; else they are near to square.
        may_flip: no caption that goes with it speaks of a side.
        by: how much.
        rng: drawn from in a fixed order.
    """
    from PIL import Image

    crop = _crop(pixels, whole, by, rng)
    mirrored, soft = rng.random() < by.flip, rng.random() < by.soft
    light, contrast = rng.uniform(1 - by.colour, 1 + by.colour, 2)
    if mirrored and may_flip:
        crop = crop[:, ::-1]
    image = Image.fromarray(_relight(crop, light, contrast))
    if soft:
        half = (max(1, image.width // 2), max(1, image.height // 2))
        image = image.resize(half, Image.Resampling.BOX)
    return image


def draw_captions(captions: Sequence[Caption], count: int, rng: np.random.Generator) -> list[Caption]:
    """Draw ``count`` different captions of each language of an image, or all where there are fewer."""
    languages: dict[str, list[Caption]] = {}
    for caption in captions:
        languages.setdefault(caption.lang, []).append(caption)
    return [own[place] for own in languages.values() for place in rng.permutation(len(own))[:count].tolist()]


def drop_tokens(ids: Sequence[int], share: float, rng: np.random.Generator) -> list[int]:
    """Leave out each token id with a chance of ``share``; the first and the last always stay."""
    if share <= 0 or len(ids) <= 2:
        return list(ids)
    kept = rng.random(len(ids)) >= share
    kept[0] = kept[-1] = True
    return [token for token, stays in zip(ids, kept.tolist(), strict=True) if stays]


def _crop(
    pixels: NDArray[np.uint8], whole: bool, by: Augmentation, rng: np.random.Generator
) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    area = rng.uniform(by.area, 1.0)
    aspect = np.exp(
        rng.uniform(-np.log(by.aspect), np.log(by.aspect))
    )  # width over height, beside the shape kept
    side = min(height, width)
    base_height, base_width = (height, width) if whole else (side, side)
    high = min(height, max(1, round(base_height * np.sqrt(area / aspect))))
    wide = min(width, max(1, round(base_width * np.sqrt(area * aspect))))
    top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
    return pixels[top : top + high, left : left + wide]


def _relight(crop: NDArray[np.uint8], light: float, contrast: float) -> NDArray[np.uint8]:
    """Scale the mean by ``light`` and the differences from it by ``contrast``, through one table of 256 values."""
    middle = float(crop.mean())
    table = (np.arange(256) - middle) * contrast + middle * light
    return np.take(np.clip(table, 0, 255).astype(np.uint8), crop)
