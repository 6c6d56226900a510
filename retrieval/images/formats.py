"""Recognise the format of bytes by their content, and make files safe to parse before Pillow sees them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from importlib import import_module

from PIL import Image

from retrieval.errors import ImageError, MissingExtra
from retrieval.extras import require
from retrieval.signatures import (
    AVIF_BRANDS,
    HEIF_BRANDS,
    formats_by_signature,
    is_media_file,
    is_video_brand,
    media_brands,
)

# Nothing else is ever tried: Pillow also knows formats that start other programs (EPS) or have no place here.
_PLUGINS = {
    "JPEG": "PIL.JpegImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "AVIF": "PIL.AvifImagePlugin",
}
MOST_SCANS = 500  # of a progressive JPEG, as libjpeg-turbo's own tools limit it; encoders write ten or so
MOST_SEGMENTS = 512  # in front of a JPEG's pixels; a profile may take 255 of them
_KEPT_SEGMENTS = (0xE0, 0xE1, 0xE2, 0xEE)  # JFIF, EXIF and XMP, profile, Adobe's colours
_KEPT_OF_EACH = 255
MOST_METADATA = 16 * 2**20  # bytes that a PNG's profile or orientation may unpack to
_KEPT_CHUNKS = (b"tRNS", b"iCCP", b"eXIf")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
# where Pillow looks for the EXIF orientation
_KEPT_TEXTS = (b"XML:com.adobe.xmp\0", b"Raw profile type exif\0")
_DEFLATE_RATIO = 1032  # of deflate, at most


def open_image(data: bytes) -> Image.Image:
    """Open an image and read its header; the next decoder is asked where one refuses.

    Unlike Image.open it knows no limit on pixels (Pillow's is one for the whole process), and asks only for the
    decoders whose signature is there.

    Raises:
        ImageError: no decoder goes with the content, or it is not installed.
        Exception: what the last decoder raised.
    """
    formats = _formats(data)
    for place, name in enumerate(formats, start=1):
        try:
            return _open(name, data)
        except Exception:
            if place == len(formats):
                raise
    raise ImageError("not a picture in a format that is read here (JPEG, PNG, WebP, GIF, BMP, TIFF, AVIF)")


def _formats(data: bytes) -> list[str]:
    return _media_formats(data) if is_media_file(data) else formats_by_signature(data)


def _media_formats(data: bytes) -> list[str]:
    """Give the decoders of an ISO media file by all of its brands, the likelier first."""
    brands = media_brands(data)
    names = []
    if AVIF_BRANDS.intersection(brands):
        names.append("AVIF")
    if HEIF_BRANDS.intersection(brands):
        names.append("HEIF")
    if names:
        return names
    if any(map(is_video_brand, brands)):
        raise ImageError("a video, not a picture")
    return []


def _open(name: str, data: bytes) -> Image.Image:
    if name == "HEIF":
        return _open_heif(data)
    import_module(_PLUGINS[name])
    if name == "PNG":
        data = trimmed_png(data)
    elif name == "JPEG":
        data = trimmed_jpeg(data)
    factory, _ = Image.OPEN[name]
    image: Image.Image = factory(io.BytesIO(data), "")
    if name == "TIFF":
        for tag in (258, 339):  # bits, sample format: needed behind copies, which keep ``info`` alone
            value = getattr(image, "tag_v2", {}).get(tag)
            image.info[f"tiff {tag}"] = value[0] if isinstance(value, tuple) and value else value
    return image


def _open_heif(data: bytes) -> Image.Image:
    try:
        require("heic", "HEIC")
    except MissingExtra as error:
        raise ImageError(str(error)) from error
    import pillow_heif

    if "HEIF" not in Image.OPEN:
        pillow_heif.options.DECODE_THREADS = 1
        pillow_heif.register_heif_opener()
    image: Image.Image = Image.OPEN["HEIF"][0](io.BytesIO(data), "")
    return image


def webp_size(data: bytes) -> tuple[int, int] | None:
    """Read (width, height) from a WebP's header (RFC 9649, 2.5 to 2.7); None for other formats and broken headers."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None
    kind, body = data[12:16], data[20:30]
    if kind == b"VP8X" and len(body) == 10:
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if kind == b"VP8L" and len(body) >= 5:
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 " and len(body) == 10:
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return None


# PNG


def trimmed_png(data: bytes) -> bytes:
    """Remove the chunks of a PNG that do not affect its pixels, of which there may be millions.

    What is left has the same pixels, profile and orientation. What cannot be parsed stays as it is, for the
    decoder to name.
    """
    kept: list[tuple[int, int]] = []
    start, dropped = 0, False
    seen: set[bytes] = set()
    for at, kind, end in _chunks(data):
        if not kind[0] & 0x20:  # a critical chunk
            continue
        name = data[at + 8 : at + 40].partition(b"\0")[0] if kind in _TEXTS else kind
        if name not in seen and _is_kept(data, at, kind, end):
            seen.add(name)
            continue
        if start < at:
            kept.append((start, at))
        start, dropped = end, True
    if not dropped:
        return data
    view = memoryview(data)
    return b"".join([view[low:high] for low, high in kept] + [view[start:]])


def _chunks(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield (start, kind, end) of whole chunks up to IEND."""
    at, size = 8, len(data)
    while at + 12 <= size:
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > size:
            return
        yield at, kind, end
        if kind == b"IEND":
            return
        at = end


def _is_kept(data: bytes, at: int, kind: bytes, end: int) -> bool:
    if kind in _TEXTS:
        body = data[at + 8 : at + 8 + 64]
        return body.startswith(_KEPT_TEXTS) and _unpacks(data[at + 8 : end - 4])
    return kind in _KEPT_CHUNKS and (kind != b"iCCP" or _unpacks(data[at + 8 : end - 4]))


def _unpacks(body: bytes) -> bool:
    """Whether what is compressed in a chunk stays within :data:`MOST_METADATA`; what is not compressed always does."""
    if len(body) * _DEFLATE_RATIO <= MOST_METADATA:
        return True
    if len(body) > MOST_METADATA:
        return False
    start = body.find(b"\0") + 2
    try:
        unpacker = zlib.decompressobj()
        unpacker.decompress(body[start:], MOST_METADATA)
    except zlib.error:
        return True
    return not unpacker.unconsumed_tail


# JPEG


def trimmed_jpeg(data: bytes) -> bytes:
    """Remove the comments and notes of a JPEG, if there are more of them than any camera writes.

    Raises:
        ImageError: it is progressive in more steps than decode in any sensible time.
    """
    segments, scan = _segments(data)
    if scan and any(marker in (0xC2, 0xC6, 0xCA, 0xCE) for marker, _, _ in segments):
        end = data.find(b"\xff\xd9", scan)
        scans = data.count(b"\xff\xda", scan, end if end > 0 else len(data))
        if scans > MOST_SCANS:
            raise ImageError(f"a progressive JPEG in {scans:,} scans, over the limit of {MOST_SCANS}")
    if not scan or len(segments) <= MOST_SEGMENTS:
        return data
    counts: dict[int, int] = {}
    kept = [data[:2]]
    for marker, start, end in segments:
        counts[marker] = counts.get(marker, 0) + 1
        is_note = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_note or (marker in _KEPT_SEGMENTS and counts[marker] <= _KEPT_OF_EACH):
            kept.append(data[start:end])
    return b"".join([*kept, data[scan:]])


def _segments(data: bytes) -> tuple[list[tuple[int, int, int]], int]:
    """Find the segments before the first scan, as (marker, start, end), and its place; 0 where that is unclear."""
    found: list[tuple[int, int, int]] = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xDA:
            return found, at
        if marker == 0xFF or marker <= 0x01 or 0xD0 <= marker <= 0xD9:
            return found, 0
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((marker, at, end))
        at = end
    return found, 0
