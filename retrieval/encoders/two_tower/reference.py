"""A model's vector of one made-up image, kept beside its weights: what another runtime must reproduce.

So a runtime is held to torch's arithmetic at every start, without importing torch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.config import TwoTowerConfig
from retrieval.json_files import read_object

FILE = "reference.json"
_BYTES = 2**22
LARGEST_DEVIATION = 1e-5
"""Largest difference of an element from torch's in float32."""
LEAST_COSINE = 0.99
"""Least cosine between a row in bfloat16 and torch's in float32; ``mini`` has 0.9998 at the made-up image."""

Rows = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def reference_image(size: int) -> NDArray[np.uint8]:
    """Make an image, (1, size, size, 3) uint8, with slopes, edges and detail in all channels."""
    y, x = np.mgrid[0:size, 0:size]
    slopes = np.stack([3 * x + y, 5 * y, x * y // 7], axis=-1)
    edges = 96 * ((x // 24 + y // 24) % 2)[..., None]
    image: NDArray[np.uint8] = ((slopes + edges) % 256).astype(np.uint8)[None]
    return image


def read_reference(folder: Path, config: TwoTowerConfig) -> NDArray[np.float32] | None:
    """Read a folder's reference row, (dimension,) float32; None where it has none that is whole."""
    try:
        row = np.array(read_object(folder / FILE, _BYTES)["image_row"], np.float32)
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return row if row.shape == (config.dimension,) and np.isfinite(row).all() else None


def write_reference(folder: Path, config: TwoTowerConfig, rows: Rows) -> None:
    """Write the reference row that torch in float32 gives.

    Args:
        folder: of the model.
        config: of the model.
        rows: computes unit rows of prepared images through torch.
    """
    row = rows(reference_image(config.image.size))[0]
    facts = {"image_row": [round(float(value), 8) for value in row]}
    (folder / FILE).write_text(json.dumps(facts) + "\n", encoding="utf-8")


def check_row(row: NDArray[np.float32], config: TwoTowerConfig, rows: Rows, precision: str) -> None:
    """Compare a reference row with a runtime's.

    Args:
        row: the reference.
        config: of the model.
        rows: computes unit rows of prepared images through the runtime.
        precision: that it computes in; float32 is held to each element, a lower one to the whole.

    Raises:
        ValueError: the runtime's differs by more than its precision explains; the message is a clause.
    """
    found = rows(reference_image(config.image.size))[0]
    finite = bool(np.isfinite(found).all())
    if precision == "float32":
        deviation = float(np.abs(found - row).max()) if finite else float("inf")
        if not deviation <= LARGEST_DEVIATION:
            raise ValueError(
                f"differ from the model's reference by {deviation:.1e}, more than {LARGEST_DEVIATION}"
            )
        return
    cosine = float(found @ row) if finite else float("nan")
    if not cosine >= LEAST_COSINE:
        raise ValueError(f"have a cosine of {cosine:.4f} to the model's reference, less than {LEAST_COSINE}")
