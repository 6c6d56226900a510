"""Decode bytes to an upright image of 8 bits a channel, in RGB.

Pillow warns of odd metadata; whoever runs the process decides what becomes of that. (Silencing it here, in several
threads, would now and then silence every warning of the process for good.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import ExifTags, Image, JpegImagePlugin

from retrieval.errors import ImageError, ImageTooLarge
from retrieval.images.colour import to_rgb
from retrieval.images.decoders.decoder import Source, Wanted, check_size
from retrieval.images.decoders.table import open_source
from retrieval.images.formats import webp_size
from retrieval.images.memory import bytes_needed, webp_bytes_needed

if TYPE_CHECKING:
    from retrieval.types import Limits

MAX_ASPECT = 20.0  # a longer strip keeps its middle: scaling 30000x2 to a short side of 224 would take 2 GB
# A JPEG is decoded at a scale that keeps its short side at least this many times the encoder's.
DRAFT_SHARE = 2
_FED_BYTES = 4 * 2**20
"""Of a JPEG, that its decoder is given at once: each time that it runs short it does a row of blocks twice.

Pillow's 64 KiB took a 16th more of 12 megapixels' time.
"""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ACROSS = (5, 6, 7, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """An upright RGB image, which may be reduced or cropped to the middle of a strip, and its full size.

    Attributes:
        image: the pixels.
        width: of the whole image, upright, in pixels.
        height: likewise.
    """

    image: Image.Image
    width: int
    height: int


def decode(data: bytes, limits: Limits, short_side: int | None = None) -> Image.Image:
    """Decode as :func:`decode_whole` does, and give the image alone."""
    return decode_whole(data, limits, short_side).image


def decode_whole(
    data: bytes | Source, limits: Limits, short_side: int | None = None, memory: int | None = None
) -> Decoded:
    """Decode to upright RGB: turned as its EXIF says, alpha over white, 16 bits scaled, the first frame of several.

    An image more than 20 times as long as it is wide keeps its middle only.

    Args:
        data: the encoded image, or a file that holds it.
        limits: ``pixels`` is checked before anything is decoded.
        short_side: the encoder's ``image_size``; a JPEG may then come smaller than it is stored (its short side at
            least twice that), which makes a 12-megapixel photograph several times as fast.
        memory: bytes that decoding may take, by an estimate from the header; unlimited by default.

    Raises:
        ImageTooLarge: decoding would take more than ``memory``.
        ImageError: with the reason, in one clause.
    """
    source = data if isinstance(data, Source) else Source(data)
    data = source.data
    if not data:
        raise ImageError("the file is empty")
    if data[0] == 0 and data.count(0) == len(data):
        raise ImageError("the file holds nothing but zeros")
    try:
        return _decode(source, limits, short_side, memory)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(None) from error
    except Image.DecompressionBombError as error:
        raise ImageError(f"too large to decode ({error})") from error
    except Exception as error:  # Pillow's plug-ins raise anything at all on hostile bytes
        raise ImageError(f"damaged or cut short ({clause_of(error)})") from error


def _decode(source: Source, limits: Limits, short_side: int | None, memory: int | None) -> Decoded:
    data = source.data
    canvas = webp_size(data)
    if canvas is not None:  # libwebp allocates it when the image is opened, and calls a want of memory damage
        check_size(canvas, limits.pixels)
        if memory is not None and (needed := webp_bytes_needed(canvas, len(data))) > memory:
            raise ImageTooLarge(needed)
    opened = open_source(source, Wanted(short_side, limits.pixels, memory))
    with opened.image as image:
        stored = opened.size or image.size
        check_size(stored, limits.pixels)
        if short_side is not None and image.format in ("JPEG", "MPO"):
            scale = max(1.0, min(stored) / (short_side * DRAFT_SHARE))
            image.draft(None, (int(stored[0] / scale), int(stored[1] / scale)))
        if isinstance(image, JpegImagePlugin.JpegImageFile):
            image.decodermaxblock = min(_FED_BYTES, max(len(data), image.decodermaxblock))
        needed = bytes_needed(image, stored[0] * stored[1], len(data))
        if memory is not None and needed > memory:
            raise ImageTooLarge(needed)
        image.load()
        orientation = orientation_of(image) if opened.turn is None else opened.turn
        upright = turned(image, orientation)
        whole = stored[::-1] if orientation in _ACROSS else stored
    del image, opened  # with the decoder's own buffers, before anything more is allocated
    return Decoded(to_rgb(_crop_strip(upright)), *whole)


def orientation_of(image: Image.Image) -> int:
    """Read which way is up, 1 to 8, as EXIF has it; 1 where nothing that can be read says so."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # broken EXIF says nothing about which way is up, in as many ways as Pillow has parsers
        return 1
    return found if isinstance(found, int) else 1


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Turn or mirror an image that was stored in an orientation of EXIF."""
    turn = _TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def _crop_strip(image: Image.Image) -> Image.Image:
    width, height = image.size
    longest = int(min(width, height) * MAX_ASPECT)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, min(width, left + longest), min(height, top + longest)))


def clause_of(error: Exception) -> str:
    """Shorten what a library says to a clause."""
    said = " ".join(str(error).split()) or type(error).__name__
    return said[:200].rstrip(".")
