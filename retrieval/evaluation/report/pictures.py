"""Pictures of a report: small JPEGs in data URIs, so that the page stands alone."""

from __future__ import annotations

import base64
import io

from retrieval.errors import ImageError
from retrieval.fetch import read_bytes
from retrieval.images import decode
from retrieval.types import Limits, Picture

HEIGHT = 132  # pixels: four stand side by side, and a report of 100 pictures stays near a megabyte
LIMITS = Limits()


def thumbnail(picture: Picture) -> str:
    """A picture as a JPEG data URI of :data:`HEIGHT` pixels, at most three times as wide.

    Raises:
        ImageError: it cannot be read any more.
    """
    image = decode(read_bytes(picture.location, LIMITS), LIMITS, HEIGHT)
    width = max(1, min(round(image.width * HEIGHT / image.height), 3 * HEIGHT))
    small = image.resize((width, HEIGHT))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


class Thumbnails:
    """Thumbnails by picture row, each made once; what has become unreadable is an empty string."""

    def __init__(self, pictures: tuple[Picture, ...]) -> None:
        self._pictures = pictures
        self._made: dict[int, str] = {}

    def __getitem__(self, row: int) -> str:
        if row not in self._made:
            try:
                self._made[row] = thumbnail(self._pictures[row])
            except ImageError:  # it was there when it was encoded: the page says "cannot be shown"
                self._made[row] = ""
        return self._made[row]
