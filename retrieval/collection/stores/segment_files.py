"""Segments as files: rows of unit vectors in FAISS's format, with the encoding ids of the rows beside them.

Files are mapped, never loaded, so ten million rows open at once; they are never written again, so a reader that holds
one open goes on undisturbed when a writer unlinks it.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval.collection.folder import SegmentsFolder, reading
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.byte_rows import CopyOf
from retrieval.collection.stores.flat_scan import best_rows, best_selected, products_of
from retrieval.collection.stores.read_ahead import ColdReads, ask_for, mapping_of
from retrieval.errors import CollectionDamaged
from retrieval.identity import LARGEST_DIMENSION

if TYPE_CHECKING:
    from collections.abc import Iterator

# of float32 rows at a time: half of a core's share of the cache gains nothing more
EXACT_SCAN_BYTES = 8 * 2**20
# Ids of smaller segments, of which there may be many, are read: each mapping keeps a file open.
READ_IDS_BYTES = 2**20

ALL = slice(None)

_VECTORS_HEAD = struct.Struct("<4siqqq?iQ")
_NPY_MAGIC = b"\x93NUMPY\x01\x00"
_IDS_HEAD_BYTES = 1024
_IDS_HEAD = re.compile(
    rb"\x93NUMPY\x01\x00(?P<length>..)"
    rb"\{'descr': '<i8', 'fortran_order': False, 'shape': \((?P<rows>[0-9]{1,18}),\), \} *\n",
    re.DOTALL,
)


class SegmentFacts(Protocol):
    """What opening a segment's files needs: a row of the table ``segments``, or a segment just written."""

    @property
    def rows(self) -> int: ...  # noqa: D102 - columns
    @property
    def vectors_name(self) -> str: ...  # noqa: D102
    @property
    def vectors_size(self) -> int: ...  # noqa: D102
    @property
    def ids_name(self) -> str: ...  # noqa: D102
    @property
    def ids_size(self) -> int: ...  # noqa: D102


class Segment:
    """A mapped segment. Reading is safe from many threads.

    Args:
        data: (n, 4 d) bytes of n rows of float32, mapped and perhaps not aligned.
        ids: (n,) int64 encoding ids, ascending.

    Attributes:
        copy: of its rows in memory, once there is one.
    """

    def __init__(self, data: NDArray[np.uint8], ids: NDArray[np.int64]) -> None:
        self._data = data
        self.ids = ids
        self.rows = len(ids)
        self.dimension = data.shape[1] // 4
        self.copy = CopyOf(self)
        self._cold_reads = ColdReads()

    def search(
        self, queries: NDArray[np.float32], k: int, part: slice = ALL
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give the ``min(k, rows)`` best rows of each query by some float32 scores: (q, k) scores and row numbers.

        Args:
            queries: (q, d) float32, C-contiguous.
            k: >= 1.
            part: of the rows, from which numbers count.
        """
        data = self._data[part]
        return best_rows(data, queries, min(k, len(data)))

    def search_copy(
        self, queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
        """Search the copy of the rows in memory, as :meth:`search`; None where there is none, or it proves nothing."""
        return self.copy.best(queries, min(k, self.rows))

    def search_selected(
        self, rows: NDArray[np.int64], queries: NDArray[np.float32], k: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Search some rows, as :meth:`search` does a part; the numbers given count those rows from 0."""
        with self._cold_reads.gathering(lambda: self.ask_for(rows)):
            return best_selected(self._data, rows, queries, min(k, len(rows)))

    def part(self, rows: slice) -> Segment:
        """Give some consecutive rows as a segment, numbered from 0, whose file stays mapped with this one's."""
        return Segment(self._data[rows], self.ids[rows])

    @property
    def is_small(self) -> bool:
        """Whether one query scans it in less time than passing it to another thread may take on a busy machine."""
        return self._data.nbytes <= EXACT_SCAN_BYTES

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read rows by number, (n, d) float32, C-contiguous and aligned.

        Raises:
            WrongValue: there is no such row, though the catalogue says so.
        """
        if len(rows) and (rows.min() < 0 or rows.max() >= self.rows):
            raise WrongValue(f"the catalogue names rows that a segment of {self.rows} rows does not have")
        vectors: NDArray[np.float32] = self._data.take(rows, axis=0).view(np.float32)
        return vectors

    def products(self, rows: NDArray[np.int64], query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the inner products of rows by number, which the segment has, with a query, (n,) float32."""
        return products_of(self._data, rows, query)

    def read(self, rows: NDArray[np.int64], into: NDArray[np.float32]) -> None:
        """Read rows by number, which the segment has, into (n, d) float32, C-contiguous."""
        # clipped: numpy does not copy what it reads once more, and reads nothing beyond the file
        self._data.take(rows, axis=0, out=into.view(np.uint8), mode="clip")

    def ask_for(self, rows: NDArray[np.int64]) -> None:
        """Have rows by number read that are soon read; see :func:`read_ahead.ask_for`."""
        ask_for(self._data, rows)

    def blocks(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Read all rows in order, as (first row number, (n, d) float32), a few MB at a time."""
        step = max(1, EXACT_SCAN_BYTES // (4 * self.dimension))
        for start in range(0, self.rows, step):
            yield start, self._data[start : start + step].copy().view(np.float32)

    def release(self) -> None:
        """Drop what was read of the mapping from this process's resident memory; see :func:`release_mapped`."""
        release_mapped(self._data)


def open_segment(collection: Path, facts: SegmentFacts) -> Segment:
    """Map a segment's files.

    Raises:
        FileNotFoundError: a file is gone; a reader that began before a compaction starts again.
        CollectionDamaged: a file is not one of vectors, or of ids, of the catalogue's size and number of rows. FAISS
            and numpy see none but sound files: a map beyond a file's end kills the process.
    """
    with SegmentsFolder(collection) as folder:
        with reading(folder, facts.ids_name) as descriptor:
            _check_size(collection, facts.ids_name, descriptor, facts.ids_size)
            ids = _read_ids(collection, facts, descriptor)
        with reading(folder, facts.vectors_name) as descriptor:
            _check_size(collection, facts.vectors_name, descriptor, facts.vectors_size)
            dimension = _check_header(collection, facts, descriptor)
            data = _map(descriptor, np.uint8, _VECTORS_HEAD.size, (facts.rows, 4 * dimension))
    return Segment(data, ids)


def release_mapped(array: NDArray[Any]) -> None:
    """Drop what was read of a mapped array from this process's resident memory; the next read maps it anew.

    For a pass over all of it that nothing follows soon, of which the kernel would keep every page resident. An array
    that is not mapped stays.
    """
    mapping = mapping_of(array)
    if mapping is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)


def _check_size(collection: Path, name: str, descriptor: int, size: int) -> None:
    found = os.fstat(descriptor).st_size
    if found != size:
        raise CollectionDamaged(collection, f"segments/{name} has {found} bytes, and should have {size}")


def _read_ids(collection: Path, facts: SegmentFacts, descriptor: int) -> NDArray[np.int64]:
    """Read or map the ids of a file that holds just what a writer writes: no other dtype, order or shape."""
    head = os.read(descriptor, _IDS_HEAD_BYTES)
    match = _IDS_HEAD.match(head)
    start = 0 if match is None else len(_NPY_MAGIC) + 2 + int.from_bytes(match["length"], "little")
    if match is None or int(match["rows"]) != facts.rows or facts.ids_size != start + 8 * facts.rows:
        raise CollectionDamaged(collection, f"segments/{facts.ids_name} does not hold {facts.rows} ids")
    mapped = _map(descriptor, "<i8", start, (facts.rows,))
    return mapped if facts.ids_size > READ_IDS_BYTES else np.array(mapped)


def _check_header(collection: Path, facts: SegmentFacts, descriptor: int) -> int:
    """Check that a file holds so many rows of vectors, and nothing else; give their dimension."""
    head = os.read(descriptor, _VECTORS_HEAD.size)
    d = (facts.vectors_size - _VECTORS_HEAD.size) // (4 * facts.rows) if facts.rows > 0 else 0
    whole = _VECTORS_HEAD.size + 4 * facts.rows * d == facts.vectors_size
    if not (0 < d <= LARGEST_DIMENSION and whole) or head != vectors_head(facts.rows, d):
        raise CollectionDamaged(
            collection, f"segments/{facts.vectors_name} does not hold {facts.rows} rows of vectors"
        )
    return d


def _map(descriptor: int, dtype: DTypeLike, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Map an array in an open file; the mapping keeps a descriptor of its own."""
    with open(descriptor, "rb", closefd=False) as file:
        return np.asarray(np.memmap(file, dtype, "r", start, shape))


def vectors_head(n: int, d: int) -> bytes:
    """Make the first bytes of a file of n vectors of dimension d (docs/format.md)."""
    unused = 1 << 20  # FAISS's own word for two fields that it does not use
    return _VECTORS_HEAD.pack(b"IxFI", d, n, unused, unused, True, 0, n * d)
