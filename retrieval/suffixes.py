"""What the suffixes of names promise. What a file is, its content decides later."""

from __future__ import annotations

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".avifs", ".heic", ".heif", ".hif",
})  # fmt: skip


HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})

CAMERA_SUFFIXES = HEIF_SUFFIXES | {".jpg", ".jpeg", ".jpe", ".avif"}
"""Suffixes of pictures that cameras make, beside raw files and short videos of theirs."""

PARQUET_SUFFIXES = (".parquet", ".pq")


def is_image_name(name: str) -> bool:
    """Whether the name of a file or of a tar member has the suffix of an image, in either case."""
    return suffix_of(name) in IMAGE_SUFFIXES


def suffix_of(name: str) -> str:
    """Get what follows the last dot, with it, in lower case; empty without a dot and for hidden files (``.jpg``)."""
    base = name.rpartition("/")[2]
    stem, dot, suffix = base.rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""
