"""Untrusted bytes to an upright RGB picture, within limits; the content decides the format, never the name.

Pillow warns of odd metadata; whoever runs the process decides what becomes of that. (Silencing it here, in several
threads, would now and then silence every warning of the process for good.)
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, ImageOps

from retrieval.errors import ImageError

if TYPE_CHECKING:
    from retrieval.types import Limits

# Nothing else is ever tried: Pillow also knows formats that start other programs (EPS) or have no place here.
# MPO (two JPEGs in a file) has no opener of its own: JPEG's finds it, and its name here would be a KeyError.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_ASPECT = 20.0  # a longer strip keeps its middle: scaling 30000x2 to a short side of 224 would take 2 GB
DRAFT_SHARE = (
    2  # a JPEG is decoded at a scale that keeps its short side at least this many times the encoder's
)


def decode(data: bytes, limits: Limits, short_side: int | None = None) -> Image.Image:
    """An upright RGB picture: turned as its EXIF says, alpha over white, 16 bits scaled, the first frame of several.

    A picture more than 20 times as long as it is wide keeps its middle only.

    Args:
        data: the encoded picture.
        limits: ``pixels`` is checked before anything is decoded.
        short_side: the encoder's ``image_size``; a JPEG may then come smaller than it is stored (its short side at
            least twice that), which makes a 12-megapixel photograph several times as fast.

    Raises:
        ImageError: with the reason, in one clause.
    """
    if not data:
        raise ImageError("the file is empty")
    if not any(data):
        raise ImageError("the file holds nothing but zeros")
    try:
        with _open(data) as image:
            pixels = image.width * image.height
            if pixels > limits.pixels:
                raise ImageError(
                    f"{image.width}x{image.height} pixels, over the limit of "
                    f"{limits.pixels / 1e6:g} megapixels (--max-pixels)"
                )
            if short_side is not None and image.format in ("JPEG", "MPO"):
                least = short_side * DRAFT_SHARE
                scale = max(1.0, min(image.size) / least)
                image.draft(None, (int(image.width / scale), int(image.height / scale)))
            image.load()
            return _rgb(_crop_strip(_upright(image)))
    except ImageError:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise ImageError(f"too large to decode ({error})") from error
    except Exception as error:  # Pillow's plug-ins raise anything at all on hostile bytes
        raise ImageError(f"damaged or cut short ({_clause(error)})") from error


def shown_size(data: bytes) -> tuple[int, int]:
    """Width and height of a picture that :func:`decode` has accepted: whole, and upright.

    What ``decode`` returns may be smaller (a JPEG at a reduced scale) or cropped (a strip).
    """
    with _open(data) as image:
        width, height = image.size
        try:
            turned = image.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        except Exception:  # broken EXIF says nothing, in as many ways as there are parsers in Pillow
            turned = False
    return (height, width) if turned else (width, height)


def _open(data: bytes) -> Image.Image:
    """The picture, its header read; what Image.open does, but for the limit on pixels, which is ours alone.

    Image.open refuses what is twice its process-wide ``MAX_IMAGE_PIXELS``, whatever a caller allows.
    """
    formats: tuple[str, ...] = FORMATS
    if data[4:8] == b"ftyp" and data[8:12] not in (b"avif", b"avis"):
        formats = (*FORMATS, _heif(data))
    Image.preinit()
    for name in formats:
        if name not in Image.OPEN:
            Image.init()
        factory, accept = Image.OPEN[name]
        if accept is not None and accept(data[:16]) is True:
            return factory(io.BytesIO(data), "")
    raise ImageError("not a picture in a format that is read here (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF)")


def _heif(data: bytes) -> str:
    try:
        import pillow_heif
    except ImportError as error:
        raise ImageError("HEIC needs an optional package (pip install 'vlsearch[heic]')") from error
    pillow_heif.register_heif_opener()
    return "HEIF"


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (
        ValueError,
        TypeError,
        KeyError,
        OSError,
        SyntaxError,
        struct.error,
        ZeroDivisionError,
        OverflowError,
    ):
        return image  # broken EXIF says nothing about which way is up


def _crop_strip(image: Image.Image) -> Image.Image:
    width, height = image.size
    longest = int(min(width, height) * MAX_ASPECT)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def _rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _eight_bit(image).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return _to_srgb(Image.alpha_composite(white, rgba).convert("RGB"), profile, "RGB")
    if image.mode == "CMYK":
        return _to_srgb(image, profile, "CMYK")
    return _to_srgb(image.convert("RGB"), profile, "RGB")


def _eight_bit(image: Image.Image) -> Image.Image:
    """16-bit and float greyscale scaled to 8 bits; Pillow's own conversion clips everything above 255 to white."""
    import numpy as np

    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    low, high = float(values.min(initial=0.0)), float(values.max(initial=0.0))
    if image.mode == "F":
        scale = 255.0 if low >= 0.0 and high <= 1.0 else 255.0 / max(high, 255.0)
    else:
        scale = 255.0 / (65535.0 if high > 255 or image.mode.startswith("I;16") else 255.0)
    return Image.fromarray(np.clip(values * scale, 0, 255).round().astype(np.uint8))


def _to_srgb(image: Image.Image, profile: bytes | None, mode: str) -> Image.Image:
    if not profile or b"sRGB" in profile[:1024]:
        return image if image.mode == "RGB" else image.convert("RGB")
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != mode:
            return image.convert("RGB")
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return image.convert("RGB")  # a broken profile is no reason to lose the picture
    return converted if converted is not None else image.convert("RGB")


def _clause(error: Exception) -> str:
    said = " ".join(str(error).split()) or type(error).__name__
    return said[:200].rstrip(".")
