"""Whether the first bytes of a file are those of a picture: for files whose name does not say what they are."""

from __future__ import annotations

import os
import stat

HEAD = 64  # bytes looked at; the brands of an AVIF or HEIC stand in its first box, and the main ones first

_SIGNATURES = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"GIF87a",
    b"GIF89a",
    b"II*\0",  # TIFF, and BigTIFF
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
)
_BRANDS = frozenset(
    {b"avif", b"avis", b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"}
)
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})  # sizes, in bytes


def looks_like_picture(head: bytes) -> bool:
    """Whether a file that begins so may be a JPEG, PNG, GIF, TIFF, WebP, BMP, AVIF or HEIC."""
    if head.startswith(_SIGNATURES):
        return True
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    if head[4:8] == b"ftyp":
        length = min(int.from_bytes(head[:4], "big"), len(head))
        return any(head[at : at + 4] in _BRANDS for at in (8, *range(16, length, 4)))
    return head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS


def is_picture_file(path: str) -> bool:
    """Whether a regular file begins as pictures do; no more than its first bytes are read, and nothing blocks.

    A file that cannot be read is none.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError):
        return False
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and looks_like_picture(os.read(descriptor, HEAD))
    except OSError:
        return False
    finally:
        os.close(descriptor)
