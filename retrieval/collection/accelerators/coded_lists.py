"""Coded vectors in lists, one for each cell, as FAISS searches them: of all vectors, or of some that are selected."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

PACKED_CODES = 32
"""Codes that FAISS packs, and looks at, together."""

LIST_CODES = 64
"""Codes that take as long to look at as it takes to come to a list."""

_ONE_QUERY = 11  # FAISS's search of lists one after the other: a fifth faster than the one for batches
_PACKED_ROWS = 2**20  # rows packed at a time: 110 MB beside the index
_ID_BYTES, _CELL_BYTES = 8, 128  # of a vector and of a list, beside the codes
_KNOWN_VISITS = 64  # FAISS's parameters that are kept: making some takes a tenth of the search


class CellCodes(NamedTuple):
    """Codes of vectors, cell by cell.

    Attributes:
        sizes: (cells,) int64, vectors a cell.
        ids: (n,) int64.
        codes: (n, parts / 2) uint8, as :class:`~retrieval.collection.accelerators.coded_rows.CodedRows` has them.
    """

    sizes: NDArray[np.int64]
    ids: NDArray[np.int64]
    codes: NDArray[np.uint8]


class Proposed(NamedTuple):
    """Vectors that probably score best: (n,) int64 ids, the best by codes first, and (n,) float32 scores by codes.

    Scores by codes are those of mapped vectors: they differ from exact ones by an amount of the query's, and errors.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class CodedLists:
    """Lists ready to be searched, by many threads at once.

    Args:
        quantizer: FAISS's index of the cells' means, (cells, r); all lists of an inverted file share it.
        codebooks: (parts, 16, r / parts) float32.
        cells: what the lists hold.

    Attributes:
        sizes: (cells,) int64, vectors a list.
        packed_sizes: (cells,) int64, codes that a search of a list looks at: FAISS packs some together.
        size_bytes: memory that they take, about.
    """

    def __init__(self, quantizer: Any, codebooks: NDArray[np.float32], cells: CellCodes) -> None:
        self.sizes = cells.sizes
        self.packed_sizes = -(-cells.sizes // PACKED_CODES) * PACKED_CODES
        self.size_bytes = lists_bytes(cells.codes.shape[1], len(cells.sizes), int(self.packed_sizes.sum()))
        self._quantizer = quantizer  # FAISS holds it by its address alone
        self._index = _to_index(quantizer, codebooks, cells)

    def ids(self) -> NDArray[np.int64]:
        """Give the ids of all vectors, cell by cell."""
        lists = self._index.invlists
        held = [
            faiss.rev_swig_ptr(lists.get_ids(cell), size)
            for cell, size in enumerate(self.sizes.tolist())
            if size
        ]
        return np.concatenate(held) if held else np.empty(0, np.int64)

    def best(
        self,
        mapped: NDArray[np.float32],
        cells: NDArray[np.int64],
        scores: NDArray[np.float32],
        wanted: int,
        visits: Any,
    ) -> Proposed:
        """Find the best vectors of some cells by their codes, at most so many.

        Args:
            mapped: (r,) float32, the query.
            cells: to visit, (m,) int64.
            scores: of their means, (m,) float32.
            wanted: vectors.
            visits: FAISS's parameters, :func:`visits_of` so many cells or such as select vectors.
        """
        ids, id_scores = np.empty(wanted, np.int64), np.empty(wanted, np.float32)
        # FAISS's wrapper for numpy takes no parameters here, and the index's own nprobe is shared by all threads.
        self._index.search_preassigned_c(
            1, faiss.swig_ptr(mapped), wanted, faiss.swig_ptr(cells), faiss.swig_ptr(scores),
            faiss.swig_ptr(id_scores), faiss.swig_ptr(ids), False, visits,
        )  # fmt: skip
        return Proposed(ids[ids >= 0], id_scores[ids >= 0])


class Selection:
    """Which of the vectors may be proposed; safe to share between threads.

    Args:
        lists: of those alone, or of all vectors.
        in_cell: (cells,) int64, how many of the vectors of each cell.
        share: of all vectors, 0 to 1.
        bits: uint8, a bit for each id from 0 on, the lowest first, for lists of all vectors.

    Attributes:
        lists: as given.
        in_cell: as given.
        share: as given.
        size_bytes: memory that it takes.
    """

    def __init__(
        self,
        lists: CodedLists,
        in_cell: NDArray[np.int64],
        share: float,
        bits: NDArray[np.uint8] | None = None,
    ) -> None:
        self.lists, self.in_cell, self.share = lists, in_cell, share
        self.size_bytes = in_cell.nbytes + (lists.size_bytes if bits is None else bits.nbytes)
        self._bits = bits  # FAISS reads them where they lie
        self._selector = None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        self._visits: dict[int, Any] = {}

    def visits(self, cells: int) -> Any:
        """Give FAISS's parameters for visits of so many cells, which must not outlive the selection."""
        if self._selector is None:
            return visits_of(cells)
        visits = self._visits.get(cells)
        if visits is None:
            visits = faiss.SearchParametersIVF()
            visits.nprobe, visits.sel = cells, self._selector
            if len(self._visits) >= _KNOWN_VISITS:
                self._visits.clear()
            self._visits[cells] = visits
        return visits


@lru_cache(maxsize=_KNOWN_VISITS)
def visits_of(cells: int) -> Any:
    """Give FAISS's parameters for visits of so many cells."""
    visits = faiss.SearchParametersIVF()
    visits.nprobe = cells
    return visits


def lists_bytes(code_bytes: int, cells: int, codes: int) -> int:
    """Estimate the memory of lists that hold so many codes, those included that fill up what is packed together."""
    return (code_bytes + _ID_BYTES) * codes + _CELL_BYTES * cells


def _to_index(quantizer: Any, codebooks: NDArray[np.float32], cells: CellCodes) -> Any:
    """Fill FAISS's lists.

    FAISS packs codes by copying an index with all its lists, so some cells are packed at a time: all of them at once
    would stand in memory three times, as arrays, as lists and packed.
    """
    bounds = np.concatenate([[0], np.cumsum(cells.sizes, dtype=np.int64)])
    packed = _packed(quantizer, codebooks, cells, bounds[:1], 0)
    start = 0
    while start < len(cells.sizes):
        after = np.searchsorted(bounds, bounds[start] + _PACKED_ROWS, "right") - 1
        stop = max(start + 1, int(after))
        packed.merge_from(_packed(quantizer, codebooks, cells, bounds[start : stop + 1], start), 0)
        start = stop
    packed.implem = _ONE_QUERY
    return packed


def _packed(
    quantizer: Any, codebooks: NDArray[np.float32], cells: CellCodes, bounds: NDArray[np.int64], first: int
) -> Any:
    """Make an index of all cells in which those from ``first`` on have their rows, which end at ``bounds[1:]``."""
    parts = len(codebooks)
    filled: Any = faiss.IndexIVFPQ(
        quantizer, quantizer.d, quantizer.ntotal, parts, 4, faiss.METRIC_INNER_PRODUCT
    )
    filled.by_residual, filled.is_trained = True, True
    faiss.copy_array_to_vector(np.ascontiguousarray(codebooks).ravel(), filled.pq.centroids)
    codes = np.ascontiguousarray(cells.codes[bounds[0] : bounds[-1]])
    ids = np.ascontiguousarray(cells.ids[bounds[0] : bounds[-1]])
    for cell, (start, stop) in enumerate(pairwise((bounds - bounds[0]).tolist()), first):
        if start < stop:
            of_cell, codes_of_cell = ids[start:stop], codes[start:stop]
            filled.invlists.add_entries(
                cell, stop - start, faiss.swig_ptr(of_cell), faiss.swig_ptr(codes_of_cell)
            )
    filled.ntotal = len(ids)
    return faiss.IndexIVFPQFastScan(filled)
