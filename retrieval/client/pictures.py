"""Decoded pictures of a query, as a client sends them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


def png_of(image: Image) -> bytes:
    """Write a PIL image of a query's part, which is upright and in RGB, as PNG: the server reads the same pixels."""
    file = io.BytesIO()
    image.save(file, "PNG", icc_profile=None)  # of a profile use was made
    return file.getvalue()
