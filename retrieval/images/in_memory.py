"""Pictures that a program has in memory, brought to what the same picture has as a file: upright, in RGB."""

from __future__ import annotations

from PIL import Image

from retrieval.errors import ImageError
from retrieval.images.colour import to_rgb
from retrieval.images.upright import clause_of, orientation_of, turned


def upright_rgb(image: Image.Image) -> Image.Image:
    """Turn a PIL image as its EXIF says, and convert it to RGB: alpha over white, 16 bits scaled, colours by profile.

    An image that is that already is given as it is.

    Raises:
        ImageError: it is cut short, damaged or closed, or has no pixels; with the reason, in one clause.
    """
    if not image.width or not image.height:
        raise ImageError("it has no pixels")
    try:
        image.load()
        upright = turned(image, orientation_of(image))
        rgb = to_rgb(upright)
    except (
        Exception
    ) as error:  # Pillow's plug-ins raise anything at all, and only now that the pixels are needed
        raise ImageError(f"damaged, cut short or closed ({clause_of(error)})") from error
    if rgb is not image:
        rgb.info = {}  # what was applied once is not to be applied again
    return rgb
