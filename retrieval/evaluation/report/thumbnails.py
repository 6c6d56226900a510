"""Pictures of a report: small JPEGs in data URIs, so that the page stands alone."""

from __future__ import annotations

import base64
import io

from PIL import Image

from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Shrink
from retrieval.errors import ImageError
from retrieval.types import CorpusImage, Location

HEIGHT = 132  # pixels: four stand side by side, and a report of 100 images stays near a megabyte
_TWICE = Shrink(2 * HEIGHT, 20.0)


def thumbnail(source: CorpusImage, pool: DecodePool) -> str:
    """An image as a JPEG data URI of :data:`HEIGHT` pixels, at most three times as wide.

    Raises:
        ImageError: it cannot be read any more.
    """
    return thumbnail_of(source.location, pool)


def thumbnail_of(location: Location, pool: DecodePool) -> str:
    """Make the thumbnail of the image at a location, as :func:`thumbnail` does."""
    return jpeg_uri(jpeg_of(location, pool))


def jpeg_of(location: Location, pool: DecodePool, height: int = HEIGHT) -> bytes:
    """Make the thumbnail of the image at a location, as the bytes of a JPEG of a height of at most 264 pixels.

    Raises:
        ImageError: it cannot be read any more.
    """
    array = pool.prepare(location, _TWICE).array
    assert array is not None, "every image is wanted"
    image = Image.fromarray(array)
    width = max(1, min(round(image.width * height / image.height), 3 * height))
    file = io.BytesIO()
    image.resize((width, height)).save(file, "JPEG", quality=80)
    return file.getvalue()


def jpeg_uri(jpeg: bytes) -> str:
    """Write the bytes of a JPEG as a data URI."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


class Thumbnails:
    """Thumbnails by image row, each made once; what has become unreadable is an empty string."""

    def __init__(self, images: tuple[CorpusImage, ...], pool: DecodePool) -> None:
        self._images, self._pool = images, pool
        self._made: dict[int, str] = {}

    def __getitem__(self, row: int) -> str:
        if row not in self._made:
            try:
                self._made[row] = thumbnail(self._images[row], self._pool)
            except ImageError:  # it was there when it was encoded: the page says "cannot be shown"
                self._made[row] = ""
        return self._made[row]
