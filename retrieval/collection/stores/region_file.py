"""Vectors of the regions of images as one file: several eight-bit vectors for each encoding, and where they lie.

A file is in the safetensors format (https://huggingface.co/docs/safetensors), and its header follows from the numbers
of rows, regions and dimensions alone, so that a reader compares it and parses nothing. What is decoded of a vector is
exact, and so is its score: ``float32(code) * scale`` with ``scale = float32(1 / sqrt(sum of squared codes))``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from retrieval.collection.folder import SegmentsFolder, reading
from retrieval.collection.migrations import REGIONS_SINCE
from retrieval.collection.statement import VERSION, Select
from retrieval.errors import CollectionDamaged
from retrieval.identity import LARGEST_DIMENSION

if TYPE_CHECKING:
    import sqlite3

FORMAT = "vlsearch regions 1"
MOST_WINDOWS = 1024
LARGEST_CODE = 127
_READ_IDS_BYTES = (
    2**20
)  # ids of smaller files are read: a comparison with mapped ones would read them each time
_COPY_BYTES = 4 * 2**20  # of codes that a merge holds at a time
_NAMES = {"<i8": "I64", "<f4": "F32", "i1": "I8"}


class RegionFacts(NamedTuple):
    """A row of the table ``regions``."""

    id: int
    encoder_id: int
    rule: str
    rows: int
    windows: int
    name: str
    size: int
    sha256: str


class RegionFile:
    """A mapped file of regions: of n encodings, w regions each; reading is safe from many threads.

    Attributes:
        facts: its row in the catalogue.
        ids: (n,) int64 encoding ids of the whole images, ascending.
        boxes: (n, w, 4) float32: left, top, width and height of each region, in shares of the upright image's.
        scales: (n, w) float32.
        codes: (n, w, d) int8.
    """

    def __init__(
        self,
        facts: RegionFacts,
        ids: NDArray[np.int64],
        boxes: NDArray[np.float32],
        scales: NDArray[np.float32],
        codes: NDArray[np.int8],
    ) -> None:
        self.facts, self.ids, self.boxes, self.scales, self.codes = facts, ids, boxes, scales, codes

    def vectors(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Decode the vectors of some encodings by row number, (m, w, d) float32, C-contiguous."""
        return decoded(self.codes[rows], self.scales[rows])


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Code unit vectors, (n, w, d) float32, in eight bits: (n, w, d) int8 codes and (n, w) float32 scales."""
    most = np.abs(vectors).max(axis=-1, keepdims=True)
    codes = np.rint(vectors.astype(np.float64) * (LARGEST_CODE / most.astype(np.float64))).astype(np.int8)
    return codes, scales_of(codes)


def scales_of(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Compute what brings coded vectors to unit length, (n, w) float32 for (n, w, d) int8."""
    squares = np.square(codes, dtype=np.int64).sum(axis=-1)
    with np.errstate(divide="ignore"):
        scales: NDArray[np.float32] = (1 / np.sqrt(squares.astype(np.float64))).astype(np.float32)
    return scales


def decoded(codes: NDArray[np.int8], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Decode vectors, (n, w, d) float32, of codes (n, w, d) int8 and scales (n, w) float32."""
    vectors: NDArray[np.float32] = codes.astype(np.float32) * scales[..., None]
    return vectors


def read_region_facts(connection: sqlite3.Connection, encoder_id: int | None) -> list[RegionFacts]:
    """Read the rows of an encoder's files of regions; none where the schema is older than they are."""
    if VERSION.rows(connection)[0].number < REGIONS_SINCE:
        return []
    return _REGIONS.rows(connection, encoder_id)


_REGIONS = Select(
    RegionFacts, f"SELECT {', '.join(RegionFacts._fields)} FROM regions WHERE encoder_id = ? ORDER BY id"
)


def open_region_file(collection: Path, facts: RegionFacts, dimension: int) -> RegionFile:
    """Map a file of regions.

    Raises:
        FileNotFoundError: it is gone, because a commit replaced it.
        CollectionDamaged: it is not one of the catalogue's numbers of rows and regions, and of this dimension.
    """
    n, w = facts.rows, facts.windows
    sizes_fit = 0 < n < 2**40 and 0 < w <= MOST_WINDOWS and 0 < dimension <= LARGEST_DIMENSION
    head = header(n, w, dimension) if sizes_fit else b""
    with SegmentsFolder(collection) as folder, reading(folder, facts.name) as descriptor:
        wanted = len(head) + _body_bytes(n, w, dimension)
        size = os.fstat(descriptor).st_size
        if not sizes_fit or not facts.size == size == wanted or os.read(descriptor, len(head)) != head:
            raise CollectionDamaged(
                collection,
                f"segments/{facts.name} does not hold {w} regions of dimension {dimension} of {n} images",
            )
        arrays, start = [], len(head)
        for _, dtype, shape in _arrays(n, w, dimension):
            arrays.append(_map(descriptor, dtype, start, shape))
            start += arrays[-1].nbytes
    ids, boxes, scales, codes = arrays
    return RegionFile(facts, np.array(ids) if ids.nbytes <= _READ_IDS_BYTES else ids, boxes, scales, codes)


def new_pieces(
    ids: NDArray[np.int64], boxes: NDArray[np.float32], vectors: NDArray[np.float32]
) -> Iterator[bytes | memoryview]:
    """Give the contents of a new file piece by piece.

    Args:
        ids: (n,) int64, ascending, n >= 1.
        boxes: (n, w, 4) float32.
        vectors: (n, w, d) float32 unit vectors.
    """
    codes, scales = quantised(vectors)
    yield header(*vectors.shape)
    for array in (ids, boxes, scales, codes):
        yield np.ascontiguousarray(array).data.cast("B")


def merged_pieces(
    files: Sequence[RegionFile], gone: NDArray[np.int64]
) -> tuple[int, Iterator[bytes | memoryview]]:
    """Give the rows of files of one rule and dimension as one file's, without those of the ids that are ``gone``.

    Returns:
        The number of rows that are left, and, where there are any, the contents piece by piece.
    """
    ids = np.concatenate([one.ids for one in files])
    owners = np.repeat(np.arange(len(files)), [len(one.ids) for one in files])
    rows = np.concatenate([np.arange(len(one.ids)) for one in files])
    order = np.argsort(ids)
    order = order[~np.isin(ids[order], gone)]
    return len(order), _merged(files, ids[order], owners[order], rows[order])


def _merged(
    files: Sequence[RegionFile], ids: NDArray[np.int64], owners: NDArray[np.int64], rows: NDArray[np.int64]
) -> Iterator[bytes | memoryview]:
    w, d = files[0].codes.shape[1:]
    yield header(len(ids), w, d)
    yield np.ascontiguousarray(ids).data.cast("B")
    columns: tuple[list[NDArray[Any]], ...] = (
        [one.boxes for one in files],
        [one.scales for one in files],
        [one.codes for one in files],
    )
    step = max(1, _COPY_BYTES // (w * d))
    for arrays in columns:
        for start in range(0, len(ids), step):
            at = slice(start, start + step)
            block = np.empty((len(ids[at]), *arrays[0].shape[1:]), arrays[0].dtype)
            for number, array in enumerate(arrays):
                here = owners[at] == number
                block[here] = array[rows[at][here]]
            yield block.data.cast("B")


def header(rows: int, windows: int, dimension: int) -> bytes:
    """Make the first bytes of a file: eight of length, then JSON (docs/format.md)."""
    described: dict[str, Any] = {"__metadata__": {"format": FORMAT}}
    end = 0
    for name, dtype, shape in _arrays(rows, windows, dimension):
        start, end = end, end + _bytes(dtype, shape)
        described[name] = {"dtype": _NAMES[dtype], "shape": shape, "data_offsets": [start, end]}
    encoded = json.dumps(described, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    return len(encoded).to_bytes(8, "little") + encoded


def _arrays(rows: int, windows: int, dimension: int) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, type and shape of each array, those of more bytes a number first so that each is aligned."""
    return [
        ("ids", "<i8", (rows,)),
        ("boxes", "<f4", (rows, windows, 4)),
        ("scales", "<f4", (rows, windows)),
        ("codes", "i1", (rows, windows, dimension)),
    ]


def _bytes(dtype: str, shape: tuple[int, ...]) -> int:
    count = np.dtype(dtype).itemsize
    for side in shape:
        count *= side
    return count


def _body_bytes(rows: int, windows: int, dimension: int) -> int:
    return sum(_bytes(dtype, shape) for _, dtype, shape in _arrays(rows, windows, dimension))


def _map(descriptor: int, dtype: DTypeLike, start: int, shape: tuple[int, ...]) -> NDArray[Any]:
    with open(descriptor, "rb", closefd=False) as file:
        return np.asarray(np.memmap(file, dtype, "r", start, shape))
