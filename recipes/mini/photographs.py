"""Read the photographs and what is known of them, and make the views of them that training sees."""

from __future__ import annotations

import hashlib
import io
import json
import math
import random
import re
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from retrieval.encoders.two_tower.config import ImageConfig

KEPT_OUT = 5
"""One in so many photographs of ``coco_labels`` is kept out of training."""
SETS = ("flickr_train", "flickr_val", "coco_train", "coco_kept", "classes", "coco_mini")
_SIDES = re.compile(r"\b(left|right)\b|左|右", re.IGNORECASE)
_SHAPE = (4, 3)  # most photographs of COCO have it; the copies in coco_labels are squashed to squares


@dataclass(frozen=True)
class Photograph:
    """One photograph and what people said of it.

    Attributes:
        data: the encoded file.
        english: its captions.
        chinese: its human Chinese captions.
        labels: names of the things in it.
        squashed: whether the file is a square copy of a photograph that was none.
    """

    data: bytes = field(repr=False)
    english: tuple[str, ...] = ()
    chinese: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    squashed: bool = False

    @property
    def may_be_mirrored(self) -> bool:
        """Whether no caption says left or right."""
        return not any(_SIDES.search(text) for text in (*self.english, *self.chinese))

    def open(self) -> Image.Image:
        """The photograph in RGB, a squashed one brought to the shape that most of its kind have."""
        image = Image.open(io.BytesIO(self.data)).convert("RGB")
        if self.squashed:
            wide, high = _SHAPE
            image = image.resize((image.height * wide // high, image.height), Image.Resampling.BICUBIC)
        return image


def is_kept_out(coco_id: int) -> bool:
    """Whether a photograph of ``coco_labels`` belongs to the part that is never trained on."""
    return hashlib.sha256(str(coco_id).encode()).digest()[0] % KEPT_OUT == 0


def read_set(name: str, data: Path) -> list[Photograph]:
    """All photographs of one of ``SETS``, in a fixed order.

    Args:
        name: which.
        data: the folder with ``flickr8k``, ``coco_labels``, ``classes`` and ``coco_mini``.
    """
    if name.startswith("flickr"):
        pattern = "train-*.tar" if name == "flickr_train" else "val-*.tar"
        return [
            Photograph(picture, _stripped(about["captions"]), _stripped(about["captions_zh"]))
            for picture, about in _samples(sorted((data / "flickr8k").glob(pattern)))
        ]
    if name.startswith("coco_") and name != "coco_mini":
        found = _samples(sorted((data / "coco_labels").glob("*.tar")))
        return [
            Photograph(
                picture,
                (),
                _stripped(about.get("captions_zh", ())),
                tuple(about["labels"]),
                squashed=True,
            )
            for picture, about in found
            if is_kept_out(about["coco_id"]) == (name == "coco_kept")
        ]
    if name == "classes":
        tars = [data / "classes" / f"{tar}.tar" for tar in ("caltech101", "grocery", "clothing")]
        return [Photograph(picture, labels=(about["label"],)) for picture, about in _samples(tars)]
    lines = (data / "coco_mini" / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    known = [json.loads(line) for line in lines]
    return [
        Photograph((data / "coco_mini" / one["image"]).read_bytes(), _stripped(one["captions"]))
        for one in known
    ]


def _stripped(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(text.strip() for text in texts)


def _samples(tars: Sequence[Path]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """(JPEG, JSON) of each sample of WebDataset archives; the JSON follows its photograph."""
    for path in tars:
        with tarfile.open(path) as tar:
            picture = b""
            for member in tar:
                file = tar.extractfile(member)
                if file is not None and member.name.endswith(".jpg"):
                    picture = file.read()
                elif file is not None and member.name.endswith(".json"):
                    yield picture, json.loads(file.read())


def plain_view(photograph: Photograph, config: ImageConfig) -> NDArray[np.uint8]:
    """(size, size, 3) RGB as the product prepares it."""
    return config.preparation.prepare(photograph.open())


def random_view(photograph: Photograph, size: int, rng: random.Random) -> NDArray[np.uint8]:
    """(size, size, 3) RGB: a random crop, squeezed into the square, with other light, sometimes soft or mirrored."""
    image = photograph.open()
    if rng.random() < 0.15:
        small = round(size * rng.uniform(0.4, 0.7))
        image = image.resize((small, small), Image.Resampling.BILINEAR)
    square = image.resize((size, size), Image.Resampling.BICUBIC, box=_crop_box(image.size, rng))
    if photograph.may_be_mirrored and rng.random() < 0.5:
        square = square.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _relit(np.asarray(square, np.float32), rng)


def _crop_box(size: tuple[int, int], rng: random.Random) -> tuple[float, float, float, float]:
    """A box with half to all of the area, its shape up to exp(0.25) away from that of the whole."""
    area = rng.uniform(0.5, 1.0) if rng.random() < 0.85 else 1.0
    stretch = math.exp(rng.uniform(-0.25, 0.25))
    width = size[0] * min(1.0, math.sqrt(area * stretch))
    height = size[1] * min(1.0, math.sqrt(area / stretch))
    left, top = rng.uniform(0, size[0] - width), rng.uniform(0, size[1] - height)
    return left, top, left + width, top + height


def _relit(pixels: NDArray[np.float32], rng: random.Random) -> NDArray[np.uint8]:
    """Pixels with other contrast, brightness and sometimes colour."""
    if rng.random() < 0.15:
        pixels = 0.7 * pixels.mean(2, keepdims=True) + 0.3 * pixels
    middle = pixels.mean()
    pixels = (pixels - middle) * rng.uniform(0.7, 1.3) + middle * rng.uniform(0.75, 1.25)
    if rng.random() < 0.3:
        pixels = pixels * np.array([rng.uniform(0.9, 1.1) for _ in range(3)], np.float32)
    return pixels.clip(0, 255).astype(np.uint8)
