"""Which names promise a picture. The content decides later what it is; here only what is worth a look."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".avif", ".avifs", ".heic", ".heif", ".hif",
})  # fmt: skip


def is_picture_name(name: str) -> bool:
    """Whether a file's or a member's name ends as those of pictures do, in either case."""
    return suffix_of(name) in IMAGE_SUFFIXES


def suffix_of(name: str) -> str:
    """What follows the last dot, with it, in lower case; empty for none and for hidden files (``.jpg``)."""
    base = name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
