"""Pictures with the statistics of photographs, made in no time, copies of them, and an encoder that knows them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from retrieval.testing import HashEncoder


def photograph(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """Draw random shapes over noise of all sizes: like a photograph, it has more power in its coarse structure."""
    rng = np.random.default_rng(seed)
    width, height = size
    pixels = np.zeros((height, width, 3), np.float32)
    for cells in (3, 6, 12, 40):
        noise = rng.uniform(-1, 1, (cells, cells, 3)).astype(np.float32)
        for channel in range(3):
            layer = Image.fromarray(noise[..., channel]).resize(size, Image.Resampling.BICUBIC)
            pixels[..., channel] += np.asarray(layer) * 150 / cells**0.6
    y, x = np.mgrid[:height, :width]
    for _ in range(6):
        cx, cy, rx, ry = rng.uniform(0.1, 0.9, 4) * (width, height, width / 4, height / 4)
        pixels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1] += rng.uniform(-90, 90, 3)
    return Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8))


def save_photograph(image: Image.Image, path: Path, taken: str = "") -> None:
    """Save a picture as JPEG, with the time when it was taken, as a camera writes it."""
    exif = Image.Exif()
    if taken:
        exif[0x0132] = exif[0x9003] = taken
    image.save(path, quality=90, exif=exif)


def fill_with_copies(folder: Path) -> Path:
    """a.jpg with an equal file and a mirrored one; two frames of one moment; and a picture of its own."""
    folder.mkdir()
    save_photograph(photograph(1), folder / "a.jpg")
    shutil.copy(folder / "a.jpg", folder / "a (1).jpg")
    save_photograph(ImageOps.mirror(photograph(1)).resize((160, 120)), folder / "mirrored.jpg")
    frame = photograph(2)
    save_photograph(frame, folder / "frame1.jpg", "2021:05:03 10:20:30")
    frame.paste(Image.new("RGB", (60, 50), "white"), (100, 100))
    save_photograph(frame, folder / "frame2.jpg", "2021:05:03 10:20:33")
    save_photograph(photograph(3), folder / "alone.jpg", "2021:05:03 10:20:31")
    return folder


class PixelEncoder(HashEncoder):
    """Encode an image as its pixels and its mirror image's, less their mean: copies that are not turned are near."""

    def __init__(self) -> None:
        super().__init__(name="pixels", dimension=8 * 8 * 3)

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Give the rows of prepared images, (n, dimension) float32."""
        self.encoded += prepared
        both = [array.astype(np.float64) + array[:, ::-1] for array in prepared]
        rows = np.stack([array.ravel() for array in both])
        rows -= rows.mean(1, keepdims=True)
        unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit
