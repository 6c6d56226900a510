"""A corpus of small pictures with captions, some of them broken or copies, the same for one seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

BROKEN_EVERY, COPY_EVERY = 50, 97


def make_corpus(folder: Path, pictures: int) -> Path:
    """Draw JPEG pictures of 96x96 pixels, a hundred a folder; every 50th is cut short, every 97th a copy."""
    rng = np.random.default_rng(26)
    last = b""
    for number in range(pictures):
        path = folder / f"{number // 100:05}" / f"{number:08}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 256, (12, 12, 3), np.uint8)
        Image.fromarray(pixels).resize((96, 96)).save(path, quality=90)
        if number % COPY_EVERY == COPY_EVERY - 1:
            path.write_bytes(last)
        last = path.read_bytes()
        if number % BROKEN_EVERY == BROKEN_EVERY - 1:
            path.write_bytes(last[:300])
        path.with_suffix(".txt").write_text(f"picture {number % 1000}", encoding="utf-8")
    return folder
