"""Where things lie in a collection's folder (docs/format.md), and how a folder is recognised as one."""

from __future__ import annotations

from pathlib import Path

CATALOGUE = "catalogue.sqlite"
SEGMENTS = "segments"
WRITER_LOCK = "writer.lock"
JOURNAL = "decoding.journal"  # what is being decoded: the suspects of a run that died (indexer/decoding.py)


def catalogue_path(collection: Path) -> Path:
    """The SQLite file. Nothing but SQLite may open it: closing a second handle drops the process's POSIX locks."""
    return collection / CATALOGUE


def segments_path(collection: Path) -> Path:
    """The folder of the immutable FAISS and id files."""
    return collection / SEGMENTS


def is_collection(folder: Path) -> bool:
    """Whether a folder holds a catalogue; walkers of corpora leave such folders out."""
    return catalogue_path(folder).is_file()
