"""Segments: immutable FAISS files of unit rows, each with the encoding ids of its rows beside it.

Nothing outside this file assumes row numbers or knows that FAISS holds the vectors. Files are mapped, never loaded,
so ten million rows open at once; they are never written again, so a reader that holds one open goes on undisturbed
when a writer unlinks it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import secrets
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.column_types import WrongValue
from retrieval.collection.folder import SegmentsFolder, reading
from retrieval.collection.layout import TEMPORARY_PREFIX, segments_path
from retrieval.errors import CollectionDamaged
from retrieval.identity import LARGEST_DIMENSION
from retrieval.types import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

UNIT_TOLERANCE = 1e-4
EXACT_SCAN_BYTES = (
    8 * 2**20
)  # of float32 rows at a time: half of a core's share of the cache gains nothing more

_VECTORS_HEAD = struct.Struct("<4siqqq?iQ")
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_IDS_HEAD_BYTES = 1024
_IDS_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '<i8', 'fortran_order': False, 'shape': \((?P<rows>[0-9]{1,18}),\), \} *\n",
    re.DOTALL,
)


class SegmentFacts(Protocol):
    """A row of the ``segments`` table, as far as opening its files needs it."""

    id: int
    kind: Kind
    encoder_id: int
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
        """Rows by number, (n, d) float32, C-contiguous. A numpy view into the file would be unaligned: 100x slower.

        Raises:
            WrongValue: there is no such row, though the catalogue says so; FAISS would read past the file's end.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= self.rows):
            raise WrongValue(f"the catalogue names rows that a segment of {self.rows} rows does not have")
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
        CollectionDamaged: a file is not one of vectors, or of ids, of the catalogue's size and number of rows. FAISS
            and numpy see none but sound headers: a map beyond a file's end, and some lies, kill the process.
    """
    with SegmentsFolder(collection) as folder:
        with reading(folder, facts.ids_name) as descriptor:
            _check_size(collection, facts.ids_name, descriptor, facts.ids_size)
            ids = _map_ids(collection, facts, descriptor)
        with reading(folder, facts.vectors_name) as descriptor:
            _check_size(collection, facts.vectors_name, descriptor, facts.vectors_size)
            _check_header(collection, facts, descriptor)
            index = _map_vectors(collection, facts.vectors_name, descriptor)
    return Segment(index, ids)


def _check_size(collection: Path, name: str, descriptor: int, size: int) -> None:
    found = os.fstat(descriptor).st_size
    if found != size:
        raise CollectionDamaged(collection, f"segments/{name} has {found} bytes, and should have {size}")


def _map_ids(collection: Path, facts: SegmentFacts, descriptor: int) -> NDArray[np.int64]:
    """The ids of a file that holds just what :func:`write_segment` writes: no other dtype, order or shape."""
    head = os.read(descriptor, _IDS_HEAD_BYTES)
    match = _IDS_HEAD.match(head)
    start = 0 if match is None else len(_NPY_MAGIC) + 2 + int.from_bytes(match["length"], "little")
    if match is None or int(match["rows"]) != facts.rows or facts.ids_size != start + 8 * facts.rows:
        raise CollectionDamaged(collection, f"segments/{facts.ids_name} does not hold {facts.rows} ids")
    with open(descriptor, "rb", closefd=False) as file:
        ids = np.memmap(file, "<i8", "r", start, (facts.rows,))
    return ids


def _check_header(collection: Path, facts: SegmentFacts, descriptor: int) -> None:
    head = os.read(descriptor, _VECTORS_HEAD.size)
    d = (facts.vectors_size - _VECTORS_HEAD.size) // (4 * facts.rows) if facts.rows > 0 else 0
    whole = _VECTORS_HEAD.size + 4 * facts.rows * d == facts.vectors_size
    if not (0 < d <= LARGEST_DIMENSION and whole) or head != _vectors_head(facts.rows, d):
        raise CollectionDamaged(
            collection, f"segments/{facts.vectors_name} does not hold {facts.rows} rows of vectors"
        )


def _map_vectors(collection: Path, name: str, descriptor: int) -> Any:
    """The FAISS index of an open file, mapped.

    FAISS opens by name. ``/proc/self/fd/N`` (``/dev/fd/N`` on macOS) names the very file that was checked; where there
    is neither, the file that lies under the name after mapping must be that file.
    """
    checked = os.fstat(descriptor)
    path = segments_path(collection) / name
    for place in (f"/proc/self/fd/{descriptor}", f"/dev/fd/{descriptor}"):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(place), checked):  # noqa: PTH116 - as FAISS will see it
                path = Path(place)
                break
    try:
        # IO_FLAG_MMAP alone copies flat indexes into memory; only IFC maps them.
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    except RuntimeError as error:
        if os.strerror(errno.EMFILE) in str(error):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE)) from error
        raise CollectionDamaged(collection, f"segments/{name} cannot be read ({error})") from error
    if not os.path.samestat(path.stat(), checked):
        raise CollectionDamaged(collection, f"segments/{name} was exchanged while it was opened")
    return index


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
    collection: Path, stem: str, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
) -> WrittenSegment:
    """Write and make durable the two files of a segment; it becomes part of the collection with its row's commit.

    After success both files are complete under their final names and survive a power cut. After a failure only
    files that no row names are left, which the next holder of the writer's lock sweeps if they are noted (see
    :class:`indexer.store.writer.Writer`). Holds one block in memory: an index of FAISS's own would hold all rows twice.

    Args:
        collection: the collection's folder.
        stem: what the files' names begin with, by :func:`new_stem`.
        ids: (n,) int64 encoding ids, ascending, n >= 1.
        blocks: (m, d) float32 unit rows, n in all, in the order of their ids.

    Raises:
        ValueError: a row is not finite or not of unit length; nothing of its block is written.
    """
    vectors_name, ids_name = stem_names(stem)
    with SegmentsFolder(collection) as folder:
        written = WrittenSegment(
            rows=len(ids),
            vectors=_write_file(folder, vectors_name, lambda sink: _write_flat(sink, len(ids), blocks)),
            ids=_write_file(folder, ids_name, lambda sink: np.save(sink, ids, allow_pickle=False)),
        )
        folder.sync()
    return written


def new_stem(generation: int) -> str:
    """What the names of a new segment's files begin with; unique for good."""
    return f"{generation}-{secrets.token_hex(8)}"


def stem_names(stem: str) -> tuple[str, str]:
    """Names of the files of vectors and of ids that have a stem."""
    return f"{stem}.faiss", f"{stem}.ids.npy"


def _write_flat(sink: _Sink, n: int, blocks: Iterable[NDArray[np.float32]]) -> None:
    """What ``faiss.write_index`` writes of an IndexFlatIP over these rows, byte for byte (docs/format.md)."""
    written = 0
    for block in blocks:
        check_rows(block)
        if not written and len(block):
            sink.write(_vectors_head(n, block.shape[1]))
        sink.write(np.ascontiguousarray(block, "<f4").tobytes())
        written += len(block)
    if written != n:
        raise ValueError(f"{written} rows were given for {n} ids")


def _vectors_head(n: int, d: int) -> bytes:
    unused = 1 << 20  # FAISS's own word for two fields that it does not use
    return _VECTORS_HEAD.pack(b"IxFI", d, n, unused, unused, True, 0, n * d)


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


def _write_file(folder: SegmentsFolder, name: str, write: Callable[[_Sink], None]) -> WrittenFile:
    temporary = f"{TEMPORARY_PREFIX}{name}"
    with open(folder.create(temporary), "wb") as file:  # noqa: PTH123 - a descriptor
        sink = _Sink(file)
        write(sink)
        file.flush()
        sync_file(file.fileno())
    folder.rename(temporary, name)
    return WrittenFile(name, sink.size, sink.hash.hexdigest())
