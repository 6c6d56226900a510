"""Vectors coded for an inverted file: mapped by what queries look for, put into cells, and coded each in its cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.balance import Balance, fit_balance, fit_isotropic, paired_axes
from retrieval.collection.accelerators.faiss_factory import one_thread

LARGEST_RANK = 192
PART_DIMENSION = 2  # components a part of the product quantiser; 4 bits each
_FIT_ROWS = 20_000  # of the stored vectors that the balance is fitted to
_CODEBOOK_ROWS = 40_000
_CELL_ROWS = 40  # vectors a cell that k-means sees
_CELL_ITERATIONS = 10
_BLOCK = 65_536  # rows assigned and coded at a time

Blocks = Callable[[], Iterable[NDArray[np.float32]]]
"""All stored vectors in order, (m, d) float32 at a time; called once a pass."""


@dataclass(frozen=True, slots=True, eq=False)
class CodedRows:
    """An inverted file as arrays.

    Attributes:
        balance: maps of stored vectors and queries.
        means: (cells, r) float32, of the vectors of each cell.
        radii: (cells,) float32, root mean square distance of a cell's vectors from its mean.
        codebooks: (parts, 16, r / parts) float32.
        sizes: (cells,) int32, vectors a cell.
        codes: (n, parts / 2) uint8, cell by cell; two parts a byte, the first in its low half. Mapped, from a file.
        ids: (n,) int64, encoding ids in the order of the codes.
    """

    balance: Balance
    means: NDArray[np.float32]
    radii: NDArray[np.float32]
    codebooks: NDArray[np.float32]
    sizes: NDArray[np.int32]
    codes: NDArray[np.uint8]
    ids: NDArray[np.int64]

    @property
    def rows(self) -> int:
        """Vectors that are coded."""
        return len(self.ids)


def build_coded_rows(
    blocks: Blocks,
    ids: NDArray[np.int64],
    queries: NDArray[np.float32],
    threads: int = 1,
    seed: int = 0,
) -> CodedRows:
    """Fit and fill an inverted file; memory beyond the codes is that of a sample and a block.

    Args:
        blocks: the stored vectors, in the order of ``ids``.
        ids: (n,) int64, n >= 1.
        queries: (q, d) float32 sample of queries of the other kind, to which the balance is fitted.
        threads: that FAISS may use.
        seed: of all samples.
    """
    faiss.omp_set_num_threads(threads)  # of the calling thread alone
    rng = np.random.default_rng(seed)
    n = len(ids)
    cells = cells_for(n)
    d = queries.shape[1]
    rank = min(LARGEST_RANK, d - d % (2 * PART_DIMENSION))
    chosen = rng.permutation(n)[: max(_CODEBOOK_ROWS, cells * _CELL_ROWS)]
    few = np.sort(chosen[:_CODEBOOK_ROWS])
    # Samples larger than this one are taken in passes of their own, as mapped rows, which are shorter.
    some = _take(blocks(), few[:: max(1, len(few) // _FIT_ROWS)])
    balance, coding = fit_balance(some, queries, rank), fit_isotropic(some, queries, rank)
    del some
    centres = _cluster(_take(blocks(), np.sort(chosen), balance.map_stored), cells, seed)
    filled, residuals = _fill_cells(blocks, n, balance, centres, coding, few)
    residuals -= filled.means[filled.cell_of[few]]
    axes = paired_axes(residuals)
    codec = faiss.ProductQuantizer(rank, rank // PART_DIMENSION, 4)
    with one_thread():  # ninety-six small problems: threads would wait for each other at every step
        codec.train(np.asarray(residuals @ axes, np.float32))
    del residuals
    return _code(blocks, ids, filled, coding.turned(axes), filled.means @ axes, codec)


def cells_for(rows: int) -> int:
    """Number of cells for so many vectors: about 3 times their root, a power of two, at least 16 vectors each."""
    wanted: int = 2 ** round(math.log2(3 * math.sqrt(rows)))
    return max(1, min(wanted, rows // 16))


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Which vectors lie in which cell: (n,) int32 cells, and of each cell the size, mean and radius."""

    cell_of: NDArray[np.int32]
    sizes: NDArray[np.int32]
    means: NDArray[np.float32]
    radii: NDArray[np.float32]


def _fill_cells(
    blocks: Blocks,
    n: int,
    balance: Balance,
    centres: NDArray[np.float32],
    coding: Balance,
    places: NDArray[np.int64],
) -> tuple[_Cells, NDArray[np.float32]]:
    """Assign all vectors to the cells whose centres are nearest when balanced; take means as they are to be coded.

    With them comes a sample, the vectors at ascending places, as they are to be coded.
    """
    cells = len(centres)
    cell_of = np.empty(n, np.int32)
    sample = np.empty((len(places), coding.rank), np.float32)
    sums, squares = np.zeros((cells, coding.rank)), np.zeros(cells)
    for start, rows in _numbered(blocks()):
        cell = _nearest(centres, balance.map_stored(rows))
        cell_of[start : start + len(rows)] = cell
        mapped = coding.map_stored(rows)
        _add_by_cell(sums, cell, mapped)
        low, high = np.searchsorted(places, (start, start + len(rows)))
        sample[low:high] = mapped[places[low:high] - start]
        squares += np.bincount(cell, (mapped.astype(np.float64) ** 2).sum(1), minlength=cells)
    sizes = np.bincount(cell_of, minlength=cells)
    counts = np.maximum(sizes, 1)
    means = (sums / counts[:, None]).astype(np.float32)
    spread = squares / counts - (means.astype(np.float64) ** 2).sum(1)
    radii = np.sqrt(np.maximum(spread, 0)).astype(np.float32)
    return _Cells(cell_of, sizes.astype(np.int32), means, radii), sample


def _code(
    blocks: Blocks,
    ids: NDArray[np.int64],
    cells: _Cells,
    coding: Balance,
    means: NDArray[np.float32],
    codec: Any,
) -> CodedRows:
    """Code each vector beside its cell's mean, cell by cell."""
    n = len(ids)
    place = np.empty(n, np.int64)
    place[np.argsort(cells.cell_of, kind="stable")] = np.arange(n)
    codes = np.empty((n, codec.code_size), np.uint8)
    for start, rows in _numbered(blocks()):
        stop = start + len(rows)
        difference = coding.map_stored(rows) - means[cells.cell_of[start:stop]]
        codes[place[start:stop]] = codec.compute_codes(np.ascontiguousarray(difference))
    ordered = np.empty(n, np.int64)
    ordered[place] = ids
    return CodedRows(coding, means, cells.radii, _codebooks(codec), cells.sizes, codes, ordered)


def _add_by_cell(sums: NDArray[np.float64], cell: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
    """Add rows to the sums of their cells: ``np.add.at``, which takes five times as long."""
    order = np.argsort(cell, kind="stable")
    some, starts = np.unique(cell[order], return_index=True)
    sums[some] += np.add.reduceat(rows[order], starts, axis=0, dtype=np.float64)


def _codebooks(codec: Any) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = faiss.vector_to_array(codec.centroids)
    return flat.reshape(codec.M, codec.ksub, codec.dsub)


def _cluster(rows: NDArray[np.float32], cells: int, seed: int) -> NDArray[np.float32]:
    kmeans = faiss.Clustering(rows.shape[1], cells)
    kmeans.niter, kmeans.seed = _CELL_ITERATIONS, seed + 1
    kmeans.min_points_per_centroid, kmeans.max_points_per_centroid = 1, _CELL_ROWS
    kmeans.train(rows, faiss.IndexFlatL2(rows.shape[1]))
    centres: NDArray[np.float32] = faiss.vector_to_array(kmeans.centroids).reshape(cells, rows.shape[1])
    return centres


def _nearest(centres: NDArray[np.float32], rows: NDArray[np.float32]) -> NDArray[np.int64]:
    """Number of each row's nearest centre."""
    index = faiss.IndexFlatL2(centres.shape[1])
    index.add(centres)
    found: NDArray[np.int64] = index.search(np.ascontiguousarray(rows), 1)[1][:, 0]
    return found


def _take(
    blocks: Iterable[NDArray[np.float32]],
    places: NDArray[np.int64],
    map_rows: Callable[[NDArray[np.float32]], NDArray[np.float32]] = np.asarray,
) -> NDArray[np.float32]:
    """Rows at ascending places of a stream of blocks, each block mapped as it comes."""
    taken: NDArray[np.float32] | None = None
    for start, rows in _numbered(blocks):
        low, high = np.searchsorted(places, (start, start + len(rows)))
        mapped = map_rows(rows[places[low:high] - start])
        if taken is None:
            taken = np.empty((len(places), mapped.shape[1]), np.float32)
        taken[low:high] = mapped
    assert taken is not None, "there is a row at least"
    return taken


def _numbered(blocks: Iterable[NDArray[np.float32]]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    start = 0
    for rows in blocks:
        for low in range(0, len(rows), _BLOCK):
            yield start + low, rows[low : low + _BLOCK]
        start += len(rows)
