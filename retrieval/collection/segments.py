"""Segments: immutable FAISS files of unit rows, each with the encoding ids of its rows beside it.

Nothing outside this file assumes row numbers or knows that FAISS holds the vectors. Files are mapped, never loaded,
so ten million rows open at once; they are never written again, so a reader that holds one open goes on undisturbed
when a writer unlinks it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.layout import segments_path
from retrieval.errors import CollectionDamaged
from retrieval.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

UNIT_TOLERANCE = 1e-4
TEMPORARY_PREFIX = ".new-"
EXACT_SCAN_BYTES = (
    8 * 2**20
)  # of float32 rows at a time: half of a core's share of the cache gains nothing more


class SegmentFacts(Protocol):
    """A row of the ``segments`` table, as far as opening its files needs it."""

    id: int
    kind: Kind
    rows: int
    vectors_name: str
    vectors_size: int
    ids_name: str
    ids_size: int


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file on disk that will not change: its name inside ``segments/``, bytes, sha256 (hex)."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class WrittenSegment:
    """The two files of a segment, on disk and durable, but part of no generation yet."""

    rows: int
    vectors: WrittenFile
    ids: WrittenFile


class Segment:
    """A mapped segment. Reading is safe from many threads."""

    def __init__(self, index: Any, ids: NDArray[np.int64]) -> None:
        self._index = index
        self.ids = ids
        self.rows = len(ids)
        self.dimension = int(index.d)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``min(k, rows)`` best rows of each query by FAISS's own scores: (q, k) scores and row numbers."""
        scores, rows = self._index.search(queries, min(k, self.rows))
        return scores, rows

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows by number, (n, d) float32, C-contiguous. A numpy view into the file would be unaligned: 100x slower."""
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(
            np.ascontiguousarray(rows, dtype=np.int64)
        )
        return vectors

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """All rows in order, as (first row number, (n, d) float32), a few MB at a time."""
        step = max(1, EXACT_SCAN_BYTES // (4 * self.dimension))
        for start in range(0, self.rows, step):
            yield start, self._index.reconstruct_n(start, min(step, self.rows - start))


def open_segment(collection: Path, facts: SegmentFacts) -> Segment:
    """Map a segment's files.

    Raises:
        FileNotFoundError: a file is gone; a reader that began before a compaction starts again.
        CollectionDamaged: a file's size is not the catalogue's (mapping a short file would kill the process).
    """
    folder = segments_path(collection)
    for name, size in ((facts.vectors_name, facts.vectors_size), (facts.ids_name, facts.ids_size)):
        found = (folder / name).stat().st_size
        if found != size:
            raise CollectionDamaged(collection, f"segments/{name} has {found} bytes, and should have {size}")
    try:
        # IO_FLAG_MMAP alone copies flat indexes into memory; only IFC maps them.
        index = faiss.read_index(str(folder / facts.vectors_name), faiss.IO_FLAG_MMAP_IFC)
        ids = np.load(folder / facts.ids_name, mmap_mode="r", allow_pickle=False)
    except (RuntimeError, ValueError) as error:
        raise CollectionDamaged(
            collection, f"segments/{facts.vectors_name} cannot be read ({error})"
        ) from error
    if index.ntotal != facts.rows or ids.shape != (facts.rows,) or ids.dtype != np.int64:
        raise CollectionDamaged(collection, f"segments/{facts.vectors_name} does not hold {facts.rows} rows")
    return Segment(index, ids)


def check_rows(vectors: NDArray[np.float32]) -> None:
    """Refuse rows that are not finite or not of unit length (1e-4).

    Raises:
        ValueError: with the first such row and what is wrong with it.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ValueError(f"vectors must be a 2-d float32 array, not {vectors.ndim}-d {vectors.dtype}")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    wrong = ~(np.abs(norms - 1.0) <= UNIT_TOLERANCE)  # written so that NaN counts as wrong
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"row {row} is not a finite unit vector (its length is {norms[row]})")


def write_segment(
    collection: Path, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
) -> WrittenSegment:
    """Write and make durable the two files of a segment; it becomes part of the collection with its row's commit.

    After success both files are complete under their final names and survive a power cut. After a failure only
    files that no row names are left, which the next holder of the writer's lock sweeps. Holds one block in memory:
    an index of FAISS's own would hold all rows twice.

    Args:
        collection: the collection's folder.
        generation: the generation that will be committed with it; only part of the name.
        ids: (n,) int64 encoding ids, ascending, n >= 1.
        blocks: (m, d) float32 unit rows, n in all, in the order of their ids.

    Raises:
        ValueError: a row is not finite or not of unit length; nothing of its block is written.
    """
    folder = segments_path(collection)
    stem = f"{generation}-{secrets.token_hex(8)}"
    written = WrittenSegment(
        rows=len(ids),
        vectors=_write_file(folder, f"{stem}.faiss", lambda sink: _write_flat(sink, len(ids), blocks)),
        ids=_write_file(folder, f"{stem}.ids.npy", lambda sink: np.save(sink, ids, allow_pickle=False)),
    )
    sync_folder(folder)
    return written


def _write_flat(sink: _Sink, n: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """What ``faiss.write_index`` writes of an IndexFlatIP over these rows, byte for byte (docs/format.md)."""
    written = 0
    for block in blocks:
        check_rows(block)
        if not written and len(block):
            d = block.shape[1]
            unused = 1 << 20  # FAISS's own word for two fields that it does not use
            sink.write(struct.pack("<4siqqq?iQ", b"IxFI", d, n, unused, unused, True, 0, n * d))
        sink.write(np.ascontiguousarray(block, "<f4").tobytes())
        written += len(block)
    if written != n:
        raise ValueError(f"{written} rows were given for {n} ids")


def sync_folder(folder: Path) -> None:
    """Make renames and unlinks in a folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(descriptor: int) -> None:
    """Fsync that reaches the platter on macOS too, where plain fsync stops at the drive's cache."""
    try:
        import fcntl

        full_sync = getattr(fcntl, "F_FULLFSYNC", None)
    except ImportError:
        full_sync = None
    if full_sync is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, full_sync)


class _Sink:
    """A file that counts and hashes what is written to it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = 0
        self.hash = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.hash.update(data)
        self.size += len(data)
        return len(data)


def _write_file(folder: Path, name: str, write: Callable[[_Sink], None]) -> WrittenFile:
    temporary, final = folder / f"{TEMPORARY_PREFIX}{name}", folder / name
    with temporary.open("xb") as file:
        sink = _Sink(file)
        write(sink)
        file.flush()
        sync_file(file.fileno())
    if final.exists():  # a 64-bit random name: this is a bug or an attack, never chance
        raise FileExistsError(f"{final} exists already")
    temporary.rename(final)
    return WrittenFile(name, sink.size, sink.hash.hexdigest())
