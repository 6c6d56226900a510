"""A finished shard as a stream of pieces, from the machine that made it to the one that merges, by whatever way."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from retrieval.catalogue_name import CATALOGUE
from retrieval.collection.layout import (
    SEGMENTS,
    is_accelerator_name,
    is_ids_name,
    is_vectors_name,
    segments_path,
)
from retrieval.errors import ClusterError

PIECE_BYTES = 8 * 2**20

Piece = tuple[str, bytes]
"""Name of a file, relative to the collection's folder, and the next of its bytes."""


def pieces_of(collection: Path) -> Iterator[Piece]:
    """Read a collection that nobody has open, in any process of its writer; the catalogue last.

    Raises:
        ClusterError: its write-ahead log was not folded into its catalogue.
    """
    log = collection / f"{CATALOGUE}-wal"
    if log.exists() and log.stat().st_size:
        raise ClusterError(f"shard {collection} is still open; index it again")
    names = sorted(path.name for path in segments_path(collection).iterdir() if _is_kept(path.name))
    for name in (*(f"{SEGMENTS}/{name}" for name in names), CATALOGUE):
        with (collection / name).open("rb") as file:
            yield name, file.read(PIECE_BYTES)
            while data := file.read(PIECE_BYTES):
                yield name, data


def receive(pieces: Iterable[Piece], folder: Path) -> Path:
    """Write a collection from its pieces; ``folder`` is there only once it is whole.

    Raises:
        ClusterError: a piece is of no file of a collection.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    segments_path(partial).mkdir(parents=True)
    for name, data in pieces:
        place, _, file = name.rpartition("/")
        if not (name == CATALOGUE or (place == SEGMENTS and _is_kept(file))):
            raise ClusterError(f"a shard came with {name!r}, which is not a file of a collection")
        with (partial / name).open("ab") as out:
            out.write(data)
    if not (partial / CATALOGUE).exists():
        raise ClusterError(f"a worker sent no whole shard for {folder}; run this again")
    partial.rename(folder)
    return folder


def _is_kept(name: str) -> bool:
    return is_vectors_name(name) or is_ids_name(name) or is_accelerator_name(name)
