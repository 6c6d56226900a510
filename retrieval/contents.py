"""How contents are named: equal bytes of an image, or equal words, are one content with one vector."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


def text_digest(normalised: str) -> bytes:
    """Compute the sha256 that names a text content."""
    return hashlib.sha256(normalised.encode("utf-8", "surrogatepass")).digest()


def image_digest(data: bytes) -> bytes:
    """Compute the sha256 that names an image: that of its encoded bytes."""
    return hashlib.sha256(data).digest()


def part_digest(file_digest: bytes, part: str) -> bytes:
    """Compute the sha256 that names one of the pictures in a file, from that of the file's bytes.

    The picture that the file's uri names alone (``part`` is empty) has the file's own.
    """
    if not part:
        return file_digest
    return hashlib.sha256(b"vlsearch part\0" + file_digest + part.encode()).digest()


def pixel_digest(image: Image) -> bytes:
    """Compute the sha256 that names a PIL image, upright and in RGB: that of its pixels and their arrangement."""
    rgb = image.convert("RGB")
    return hashlib.sha256(b"vlsearch pixels %d %d\0" % rgb.size + rgb.tobytes()).digest()


def vector_digest(vector: NDArray[np.float32]) -> bytes:
    """Compute the sha256 that names an image of which only the vector is known."""
    return hashlib.sha256(b"vlsearch vector\0" + vector.astype("<f4").tobytes()).digest()
