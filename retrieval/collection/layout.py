"""Where things lie in a collection's folder (docs/format.md)."""

from __future__ import annotations

import re
from pathlib import Path

from retrieval.catalogue_name import CATALOGUE

CATALOGUE_FILES = (CATALOGUE, f"{CATALOGUE}-wal", f"{CATALOGUE}-shm", f"{CATALOGUE}-journal")
SEGMENTS = "segments"
WRITER_LOCK = "writer.lock"
JOURNAL = "decoding.journal"  # left by earlier versions; neither read nor written
TEMPORARY_PREFIX = ".new-"
ASIDE_PREFIX = ".aside-"

_STEM = r"[0-9]{1,20}-[0-9a-f]{16}"
_VECTORS_NAME = re.compile(rf"{_STEM}\.faiss")
_IDS_NAME = re.compile(rf"{_STEM}\.ids\.npy")
_ACCELERATOR_NAME = re.compile(rf"{_STEM}\.accelerator")
_REGIONS_NAME = re.compile(rf"{_STEM}\.regions")


def catalogue_path(collection: Path) -> Path:
    """Give the SQLite file. Only SQLite may open it: closing a second handle drops the process's POSIX locks."""
    return collection / CATALOGUE


def segments_path(collection: Path) -> Path:
    """Give the folder of the immutable FAISS and id files."""
    return collection / SEGMENTS


def is_vectors_name(name: str) -> bool:
    """Whether a name has the shape ``<generation>-<16 hex digits>.faiss``."""
    return _VECTORS_NAME.fullmatch(name) is not None


def is_ids_name(name: str) -> bool:
    """Whether a name has the shape ``<generation>-<16 hex digits>.ids.npy``."""
    return _IDS_NAME.fullmatch(name) is not None


def is_accelerator_name(name: str) -> bool:
    """Whether a name has the shape ``<generation>-<16 hex digits>.accelerator``."""
    return _ACCELERATOR_NAME.fullmatch(name) is not None


def is_regions_name(name: str) -> bool:
    """Whether a name has the shape ``<generation>-<16 hex digits>.regions``."""
    return _REGIONS_NAME.fullmatch(name) is not None


def is_segment_name(name: str) -> bool:
    """Whether a name is that of a file that the catalogue names: of vectors, ids or regions, or an accelerator."""
    kinds = (is_vectors_name, is_ids_name, is_accelerator_name, is_regions_name)
    return any(is_kind(name) for is_kind in kinds)


def is_temporary_name(name: str) -> bool:
    """Whether a name is that of a segment's file that is being written."""
    return name.startswith(TEMPORARY_PREFIX) and is_segment_name(name.removeprefix(TEMPORARY_PREFIX))


def is_aside_name(name: str) -> bool:
    """Whether a name is that of a segment's file that a sweep found to be another catalogue's."""
    return name.startswith(ASIDE_PREFIX) and is_segment_name(name.removeprefix(ASIDE_PREFIX))
