"""How much memory an image takes to decode, from its header alone."""

from __future__ import annotations

from PIL import ExifTags, Image

# Bytes a pixel in Pillow's own storage; all other modes take four.
_HELD = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2}

# Bytes a pixel that the decoder holds beside the image, measured at 40 megapixels and rounded up:
# tests/retrieval/images/test_memory.py holds these figures against the process's own peak.
_DECODER = {"WEBP": 17, "AVIF": 20, "HEIF": 16, "GIF": 5, "BMP": 2, "TIFF": 9, "PNG": 1, "JPEG": 1, "MPO": 1}

# A progressive JPEG keeps all coefficients, 16 bits each, of the image as it is stored, whatever scale is asked for.
_COEFFICIENTS = {1: 2, 3: 6, 4: 8}

_CROPPED = 4  # bytes a pixel: a preparation may cut its part out, which is a copy of up to all
_FIXED = 24 * 2**20  # strips in conversion, tables, rows


def bytes_needed(image: Image.Image, stored_pixels: int, encoded_bytes: int) -> int:
    """Estimate from above the bytes that it takes to load this image and to make it upright and RGB.

    Args:
        image: opened, a reduced scale already asked for, and not loaded.
        stored_pixels: of the image as it is stored.
        encoded_bytes: of the file.
    """
    held = _HELD.get(image.mode, 4)
    rgb = 0 if image.mode == "RGB" and "icc_profile" not in image.info else 4
    turned = held if _may_be_turned(image) else 0
    pixels = image.width * image.height
    needed = pixels * (held + max(_DECODER.get(image.format or "", 8), rgb, turned, _CROPPED))
    if image.info.get("progressive"):
        needed += stored_pixels * _COEFFICIENTS.get(len(image.getbands()), 8)
    return needed + 2 * encoded_bytes + _FIXED


def webp_bytes_needed(size: tuple[int, int], encoded_bytes: int) -> int:
    """Estimate likewise for a WebP of (width, height) pixels that is not opened yet."""
    return size[0] * size[1] * (4 + _DECODER["WEBP"]) + 2 * encoded_bytes + _FIXED


def _may_be_turned(image: Image.Image) -> bool:
    try:
        return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)
    except Exception:  # broken EXIF turns nothing
        return False
