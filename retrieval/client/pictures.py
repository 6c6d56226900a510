"""Decoded pictures of a query, as a client sends them."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from retrieval.errors import ImageError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image


def png_of(image: Image) -> bytes:
    """Write a picture that the caller has decoded as PNG, which is read at the server as the picture is used here.

    It is RGB of 8 bits, as an encoder sees it (of Pillow's modes PNG has few), and its EXIF keeps which way is up.

    Raises:
        ImageError: it has no pixels, or its file is damaged, cut short or closed.
    """
    from PIL import ExifTags, Image

    from retrieval.images.colour import to_rgb  # late, as Pillow is: queries of words need neither

    if 0 in image.size:
        raise ImageError(
            f"the picture of the query has {image.width}x{image.height} pixels; pass one that has some"
        )
    exif, file = Image.Exif(), io.BytesIO()
    exif[ExifTags.Base.Orientation] = _orientation(image)
    try:
        # of the profile to_rgb has made use; one of CMYK would not belong to these pixels
        to_rgb(image).save(file, "PNG", exif=exif, icc_profile=None)
    except (
        Exception
    ) as error:  # Pillow's plug-ins raise anything at all on damaged files, of which they read late
        raise ImageError(
            f"the picture of the query cannot be read ({first_line(error).rstrip('.')}); pass another one"
        ) from error
    return file.getvalue()


def _orientation(image: Image) -> int:
    from PIL import ExifTags

    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # of broken EXIF, as of files: it says nothing about which way is up
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
