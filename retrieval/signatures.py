"""How files of images begin, for whoever must tell them before they are decoded. Nothing heavy is imported."""

from __future__ import annotations

import os
import stat

HEAD_BYTES = 64  # the brands of an AVIF or HEIC stand in its first box, and the main ones first

SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")),
)
"""First bytes, with the name of the format as Pillow spells it. WebP, AVIF and HEIC have theirs further on."""

AVIF_BRANDS = frozenset({b"avif", b"avis"})
HEIF_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"mif2", b"msf1"}
)
_VIDEO_BRANDS = (
    b"isom", b"iso", b"mp4", b"avc1", b"qt  ", b"M4", b"m4", b"3g", b"dash", b"f4v", b"F4V", b"mmp4", b"MSNV",
)  # fmt: skip
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # of files without brands
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # sizes, in bytes


def media_brands(head: bytes) -> list[bytes]:
    """List the brands of an ISO media file (AVIF, HEIC, MP4, ...) as far as ``head`` reaches, the main one first."""
    size = min(int.from_bytes(head[:4], "big"), len(head), 4096)
    return [head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))]


def is_media_file(head: bytes) -> bool:
    """Whether a file that begins so is an ISO media file, whose brands say which."""
    return head[4:8] == b"ftyp"


def is_video_brand(brand: bytes) -> bool:
    """Whether an ISO media file of this brand holds a video."""
    return brand.startswith(_VIDEO_BRANDS)


def video_container(head: bytes) -> str | None:
    """Give FFmpeg's name of the video container that a file with these first bytes is; None for any other file."""
    if is_media_file(head):
        brands = media_brands(head)
        is_picture = brands[0] == b"crx " or not (AVIF_BRANDS | HEIF_BRANDS).isdisjoint(brands)
        return "mov" if not is_picture and any(map(is_video_brand, brands)) else None
    if head[4:8] in _QUICKTIME_ATOMS:
        return "mov"
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        return "matroska"
    return "avi" if head[:4] == b"RIFF" and head[8:12] == b"AVI " else None


def is_webp(head: bytes) -> bool:
    """Whether a file that begins so is a WebP."""
    return head[:4] == b"RIFF" and head[8:12] == b"WEBP"


def formats_by_signature(head: bytes) -> list[str]:
    """List the formats, other than ISO media, that a file that begins so may be in."""
    return ["WEBP"] if is_webp(head) else [name for start, name in SIGNATURES if head.startswith(start)]


def looks_like_image(head: bytes) -> bool:
    """Whether a file that begins so is likely an image.

    Stricter than the decoders, which are asked about files that are meant to be images: two letters (``BM``) begin
    many texts, so the size of the header that follows in a BMP must be right as well.
    """
    if is_media_file(head):
        return not (AVIF_BRANDS | HEIF_BRANDS).isdisjoint(media_brands(head))
    formats = formats_by_signature(head)
    return bool(formats) and (formats != ["BMP"] or int.from_bytes(head[14:18], "little") in _BMP_HEADERS)


def is_image_file(path: str) -> bool:
    """Whether a regular file begins as images do; no more than its first bytes are read, and nothing blocks.

    A file that cannot be read is not one.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and looks_like_image(
            os.read(descriptor, HEAD_BYTES)
        )
    except OSError:
        return False
    finally:
        os.close(descriptor)
