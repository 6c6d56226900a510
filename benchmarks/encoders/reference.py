"""How far vlsearch's vectors are from those of transformers alone, for each family of hub checkpoints.

    python -m benchmarks.encoders.reference

Tiny checkpoints of the true architectures with random weights (those of the tests), in float32. Each row is the worst
cosine over ten texts (empty, Chinese, and three longer than any context among them) and thirteen pictures (strips,
one pixel, grey, palette, CMYK, transparent), each encoded together, alone, and in fixed batches of 4. The reference
is transformers with its PIL image processors; the last column has its torchvision ones, which resize with other
arithmetic. Rewrites reference.md.
"""

from __future__ import annotations

import io
import tempfile
import warnings
from pathlib import Path

import numpy as np
import torch
import transformers
from PIL import Image

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.encoders.hub_encoder import load_hub_encoder
from tests.retrieval.encoders.library_path import TEXTS, Library, cosines, unit
from tests.retrieval.encoders.tiny_checkpoints import BUILDERS

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("family", "texts together", "texts alone", "images together", "images alone", "torchvision")

SHAPES = [(64, 48), (37, 211), (640, 480), (32, 32), (1, 1), (3, 2), (900, 2), (2, 700)]
MODES = [("L", (50, 40)), ("RGBA", (60, 41)), ("LA", (41, 60)), ("P", (40, 50)), ("CMYK", (45, 45))]


def main() -> None:
    """Rewrite the table."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    rows = []
    for family in BUILDERS:
        with tempfile.TemporaryDirectory() as folder:
            BUILDERS[family](Path(folder))
            rows.append((family, *(f"{worst:.7f}" for worst in measure(family, Path(folder)))))
    command = "python -m benchmarks.encoders.reference"
    head = provenance(command, packages=("torch", "transformers", "pillow"), note="worst cosine, float32")
    write_table(
        TABLE, ["# Vectors against the library's own path", "", *head, "", *markdown_table(HEAD, rows)]
    )


def measure(family: str, folder: Path) -> list[float]:
    """Compare our rows with the library's: the worst cosine of each column of the table."""
    ours, library = load_hub_encoder(folder), Library(family, folder)
    images = pictures()
    texts, shown = library.texts(TEXTS), np.concatenate([library.images([image]) for image in images])
    found = [
        min(cosines(ours.encode_texts(TEXTS, size), texts).min() for size in (None, 4)),
        cosines(
            np.concatenate([ours.encode_texts([text]) for text in TEXTS]),
            np.concatenate([library.texts([text]) for text in TEXTS]),
        ).min(),
        min(cosines(ours.encode_images(images, size), shown).min() for size in (None, 4)),
        cosines(np.concatenate([ours.encode_images([image]) for image in images]), shown).min(),
        cosines(ours.encode_images(images), through_torchvision(library, images)).min(),
    ]
    return [float(worst) for worst in found]


def through_torchvision(library: Library, images: list[Image.Image]) -> np.ndarray:
    """The pictures as transformers prepares them by default, made RGB first: it refuses the other modes."""
    processor = transformers.AutoImageProcessor.from_pretrained(library.folder)
    rows = []
    for image in images:
        with torch.inference_mode():
            inputs = processor([image.convert("RGB")], return_tensors="pt")
            rows.append(unit(library.model.get_image_features(**inputs).pooler_output))
    return np.concatenate(rows)


def pictures() -> list[Image.Image]:
    """Make images of odd shapes and modes."""
    random = np.random.default_rng(0)
    made = [_picture(width, height, random) for width, height in SHAPES]
    return made + [_picture(width, height, random).convert(mode) for mode, (width, height) in MODES]


def _picture(width: int, height: int, random: np.random.Generator) -> Image.Image:
    rows, columns = np.mgrid[0:height, 0:width]
    slope = np.stack([rows * 3 % 256, columns * 5 % 256, (rows + columns) * 2 % 256], axis=-1)
    pixels = (slope * 0.6 + random.integers(0, 100, slope.shape)).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return Image.open(buffer).copy()


if __name__ == "__main__":
    main()
