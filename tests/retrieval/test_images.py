"""Untrusted bytes become upright RGB pictures, or a reason in one clause."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from retrieval.images import decode
from retrieval.types import Limits

LIMITS = Limits()


def encoded(image: Image.Image, format_: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize("format_", ["JPEG", "MPO", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_promised_format_is_decoded(format_: str) -> None:
    picture = decode(encoded(Image.new("RGB", (24, 16), (200, 40, 40)), format_), LIMITS)

    assert (picture.mode, picture.size) == ("RGB", (24, 16))
    red, green, blue = picture.getpixel((12, 8))
    assert abs(red - 200) < 12
    assert abs(green - 40) < 12
    assert abs(blue - 40) < 12
