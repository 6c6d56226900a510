"""Edited copies of a photograph, and burst-like negatives: pure functions of the picture and a seeded generator."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageOps

Rng = np.random.Generator
Edit = Callable[[Image.Image, Rng], Image.Image]


def _scaled(image: Image.Image, factor: float) -> Image.Image:
    size = (max(16, round(image.width * factor)), max(16, round(image.height * factor)))
    return image.resize(size, Image.Resampling.LANCZOS)


def recompressed(image: Image.Image, quality: int) -> Image.Image:
    """Save as JPEG and decode again."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image, share: float, rng: Rng) -> Image.Image:
    """Cut off ``share`` of the width and of the height, at a random place."""
    width, height = round(image.width * (1 - share)), round(image.height * (1 - share))
    left, top = rng.integers(image.width - width + 1), rng.integers(image.height - height + 1)
    return image.crop((int(left), int(top), int(left) + width, int(top) + height))


def bordered(image: Image.Image, rng: Rng) -> Image.Image:
    """Add a border of one colour, 2 to 10 % of the short side wide."""
    width = max(2, round(min(image.size) * rng.uniform(0.02, 0.10)))
    colours = [(255, 255, 255), (0, 0, 0), (236, 230, 220), (40, 60, 90)]
    return ImageOps.expand(image, width, colours[int(rng.integers(len(colours)))])


def burst(image: Image.Image, rng: Rng) -> Image.Image:
    """Make what the next frame of a burst could be: the hand has moved 2 %, and a third of the picture 6 to 12 %."""
    pixels = np.asarray(image.convert("RGB"), np.float32)
    height, width = pixels.shape[:2]
    distance, angle = rng.uniform(0.06, 0.12) * width, rng.uniform(0, 2 * np.pi)
    dx, dy = round(distance * np.cos(angle)), round(distance * np.sin(angle))
    moved = np.roll(pixels, (dy, dx), (0, 1))
    y, x = np.mgrid[:height, :width]
    cx, cy = width * rng.uniform(0.35, 0.65), height * rng.uniform(0.35, 0.65)
    inside = ((x - cx) / (0.22 * width)) ** 2 + ((y - cy) / (0.22 * height)) ** 2
    mask = np.clip(4 * (1.15 - inside), 0, 1)[..., None].astype(np.float32)
    frame = Image.fromarray(np.clip(pixels * (1 - mask) + moved * mask, 0, 255).astype(np.uint8))
    return recompressed(cropped(frame, 0.02, rng), 90)


EDITS: dict[str, Edit] = {
    "resized to half": lambda image, _: recompressed(_scaled(image, 0.5), 90),
    "enlarged by half": lambda image, _: recompressed(_scaled(image, 1.5), 90),
    "JPEG quality 30": lambda image, _: recompressed(image, 30),
    "cropped by up to 10 %": lambda image, rng: recompressed(cropped(image, rng.uniform(0.01, 0.1), rng), 90),
    "cropped by 10 %": lambda image, rng: recompressed(cropped(image, 0.1, rng), 90),
    "bordered": lambda image, rng: recompressed(bordered(image, rng), 90),
    "mirrored": lambda image, _: recompressed(ImageOps.mirror(image), 90),
    "turned by 90": lambda image, _: recompressed(image.transpose(Image.Transpose.ROTATE_90), 90),
    "turned by 180": lambda image, _: recompressed(image.transpose(Image.Transpose.ROTATE_180), 90),
    "turned by 270": lambda image, _: recompressed(image.transpose(Image.Transpose.ROTATE_270), 90),
    "mirrored, cropped, half, quality 50": lambda image, rng: recompressed(
        _scaled(cropped(ImageOps.mirror(image), rng.uniform(0.01, 0.1), rng), 0.5), 50
    ),
    "turned by 90, bordered": lambda image, rng: recompressed(
        bordered(image.transpose(Image.Transpose.ROTATE_90), rng), 80
    ),
}
"""The edits by name; each is saved as JPEG, which is what people have."""
