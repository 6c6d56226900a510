"""An inverted file of coded vectors: which rows to score exactly for a query, found in a fraction of a scan.

Mapped vectors (:mod:`retrieval.collection.accelerators.coded_rows`) lie in cells around means, each coded as the
difference from its cell's mean by a product quantiser of 4 bits a part (FAISS's IVFPQFastScan). A query visits the
cells in the order of ``q . mean + weight |q| radius``: the mean of a wide cell is short, so that its inner product
alone underrates the cell, above all for text queries.

All is held as plain arrays, from which FAISS's lists are filled: no file of FAISS's own format is read here, since its
reader trusts what it reads, and collections come from strangers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.coded_rows import CodedRows
from retrieval.collection.accelerators.faiss_factory import one_thread

SELECTED_SHARE = (
    1 / 2
)  # of the selected vectors expected in the cells visited first: fewer, and more are visited
_ONE_QUERY = 11  # FAISS's search of lists one after the other: a fifth faster than the one for batches
_KNOWN_VISITS = 64  # FAISS's parameters that are kept: making some takes a tenth of the search
_LANES = 16  # components that FAISS takes at a time
_PACKED_ROWS = 2**20  # rows packed at a time: 110 MB beside the index


@dataclass(frozen=True, slots=True)
class SearchParameters:
    """Search parameters (cells to visit, candidates to rescore), tuned to reach a recall.

    Attributes:
        cells: cells visited.
        rescored: candidates whose exact scores are computed.
        radius_weight: of a cell's radius in the order of visits, >= 0.
    """

    cells: int
    rescored: int
    radius_weight: float


class Selection:
    """Which of the vectors may be proposed, as :meth:`InvertedFile.select` makes it; safe to share between threads.

    Args:
        bits: uint8, a bit for each id from 0 on, the lowest first; FAISS reads them where they lie.
        in_cell: (cells,) int64, how many of the vectors of each cell.
        rows: of the inverted file.

    Attributes:
        in_cell: as given.
        share: of all vectors, 0 to 1.
        size_bytes: memory that it takes.
    """

    def __init__(self, bits: NDArray[np.uint8], in_cell: NDArray[np.int64], rows: int) -> None:
        self._bits, self.in_cell = bits, in_cell
        self.share = int(in_cell.sum()) / max(1, rows)
        self.size_bytes = bits.nbytes + in_cell.nbytes
        self._selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        self._visits: dict[int, Any] = {}

    def visits(self, cells: int) -> Any:
        """Give FAISS's parameters for visits of so many cells, which must not outlive the selection."""
        visits = self._visits.get(cells)
        if visits is None:
            visits = faiss.SearchParametersIVF()
            visits.nprobe, visits.sel = cells, self._selector
            if len(self._visits) >= _KNOWN_VISITS:
                self._visits.clear()
            self._visits[cells] = visits
        return visits


class Proposed(NamedTuple):
    """Vectors that probably score best: (n,) int64 ids, the best by codes first, and (n,) float32 scores by codes.

    Scores by codes are those of mapped vectors: they differ from exact ones by an amount of the query's, and errors.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


class InvertedFile:
    """Coded rows ready to be searched, by many threads at once; 4 bits a part and 8 bytes of id a vector."""

    def __init__(self, coded: CodedRows) -> None:
        self.rows = coded.rows
        self._sizes = np.asarray(coded.sizes).astype(np.int64)
        self._balance, self._radii = coded.balance, np.asarray(coded.radii)
        self._coarse = _to_coarse(coded)
        self._index, self._quantizer = _to_index(coded)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self._radii)

    def select(self, ids: NDArray[np.int64]) -> Selection:
        """Select vectors by their ids, which are all >= 0; others than those held do no harm.

        Takes a byte for each id up to the highest one while it works, and a bit afterwards.
        """
        chosen = np.zeros(int(ids.max(initial=-1)) + 1, bool)
        chosen[ids] = True
        lists = self._index.invlists
        held = [
            faiss.rev_swig_ptr(lists.get_ids(cell), size)
            for cell, size in enumerate(self._sizes.tolist())
            if size
        ]
        numbers = np.concatenate(held) if held else np.empty(0, np.int64)
        known = (numbers >= 0) & (numbers < len(chosen))
        is_chosen = np.zeros(len(numbers), bool)
        is_chosen[known] = chosen[numbers[known]]
        before = np.concatenate([[0], np.cumsum(is_chosen)])
        ends = np.cumsum(self._sizes)
        in_cell = before[ends] - before[ends - self._sizes]
        return Selection(np.packbits(chosen, bitorder="little"), in_cell, self.rows)

    def propose(self, query: NDArray[np.float32], parameters: SearchParameters) -> NDArray[np.int64]:
        """Find ids of vectors that probably score best, at most ``parameters.rescored``, the best by their codes first.

        Args:
            query: (d,) float32.
            parameters: cells to visit, and candidates to give.
        """
        return self.propose_some(query, parameters, None).ids

    def propose_some(
        self,
        query: NDArray[np.float32],
        parameters: SearchParameters,
        selection: Selection | None,
        most_codes: float = math.inf,
    ) -> Proposed:
        """Find, as :meth:`propose` does, the best of the selected vectors.

        Args:
            query: (d,) float32.
            parameters: cells to visit, and candidates to give. Where the cells first visited hold much fewer of the
                selected vectors than others do, more are visited.
            selection: the vectors that may be proposed; None is all.
            most_codes: that may be looked at; nothing is proposed where the cells to visit hold more.
        """
        # Every array needs a name: FAISS gets addresses, and a temporary would be freed before it reads them.
        asked = np.zeros(self._coarse.d, np.float32)
        mapped = asked[: self._balance.rank]
        wanted = min(parameters.rescored, self.rows)
        ids, id_scores = np.empty(wanted, np.int64), np.empty(wanted, np.float32)
        # FAISS is asked within one thread, and a damaged file may hold any numbers
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            mapped[:] = self._balance.map_queries(query)
            asked[len(mapped)] = parameters.radius_weight * np.linalg.norm(mapped)
            cells, cell_scores, codes = self._cells_to_visit(asked, parameters.cells, selection)
            if codes > most_codes:
                return Proposed(np.empty(0, np.int64), np.empty(0, np.float32))
            cell_scores -= asked[len(mapped)] * self._radii[cells]
            visits = _visits(len(cells)) if selection is None else selection.visits(len(cells))
            # FAISS's wrapper for numpy takes no parameters here, and the index's own nprobe is shared by all threads.
            self._index.search_preassigned_c(
                1, faiss.swig_ptr(mapped), wanted, faiss.swig_ptr(cells), faiss.swig_ptr(cell_scores),
                faiss.swig_ptr(id_scores), faiss.swig_ptr(ids), False, visits,
            )  # fmt: skip
        return Proposed(ids[ids >= 0], id_scores[ids >= 0])

    def _cells_to_visit(
        self, asked: NDArray[np.float32], count: int, selection: Selection | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], int]:
        """Choose the first cells to visit: so many, or more where a selection has to do with what is asked.

        They are enough once they hold half as many selected vectors as the first ones would by chance. Cells come with
        what orders them, the scores of their means, and for their radii; and with the number of their codes.
        """
        cells, scores = self._first_cells(asked, count)
        codes = int(self._sizes.take(cells).sum())
        if selection is None:
            return cells, scores, codes
        least = SELECTED_SHARE * codes * selection.share
        while selection.in_cell.take(cells).sum() < least and count < self.cells:
            count *= 2
            cells, scores = self._first_cells(asked, count)
            codes = int(self._sizes.take(cells).sum())
        return cells, scores, codes

    def _first_cells(
        self, asked: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        count = min(count, self.cells)
        cells, scores = np.empty(count, np.int64), np.empty(count, np.float32)
        self._coarse.search_c(1, faiss.swig_ptr(asked), count, faiss.swig_ptr(scores), faiss.swig_ptr(cells))
        found = cells >= 0  # a damaged file's may not all be
        return (cells, scores) if found.all() else (cells[found], scores[found])


def _to_coarse(coded: CodedRows) -> Any:
    """Make the index that finds the cells to visit: their means with their radii as one more component.

    In half precision, since reading the means takes most of its time; by FAISS, since BLAS would use threads, which
    wait for each other a hundred times as long.
    """
    rank = coded.balance.rank
    rows = np.zeros((len(coded.means), -(-(rank + 1) // _LANES) * _LANES), np.float32)
    rows[:, :rank], rows[:, rank] = coded.means, coded.radii
    coarse = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    coarse.train(rows)
    coarse.add(rows)
    return coarse


@lru_cache(maxsize=_KNOWN_VISITS)
def _visits(cells: int) -> Any:
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = cells
    return parameters


def _to_index(coded: CodedRows) -> tuple[Any, Any]:
    """Fill FAISS's lists; the quantizer comes along since the index holds it by its address alone.

    FAISS packs codes by copying an index with all its lists, so some cells are packed at a time: all of them at once
    would stand in memory three times, as arrays, as lists and packed.
    """
    means = np.ascontiguousarray(coded.means)
    quantizer = faiss.IndexFlatIP(coded.balance.rank)
    quantizer.add(means)
    bounds = np.concatenate([[0], np.cumsum(coded.sizes, dtype=np.int64)])
    packed = _packed(coded, quantizer, bounds[:1], 0)
    start = 0
    while start < len(means):
        after = np.searchsorted(bounds, bounds[start] + _PACKED_ROWS, "right") - 1
        stop = max(start + 1, int(after))
        packed.merge_from(_packed(coded, quantizer, bounds[start : stop + 1], start), 0)
        start = stop
    packed.implem = _ONE_QUERY
    return packed, quantizer


def _packed(coded: CodedRows, quantizer: Any, bounds: NDArray[np.int64], first: int) -> Any:
    """Make an index of all cells in which those from ``first`` on have their rows, which end at ``bounds[1:]``."""
    rank, (parts, _, _) = coded.balance.rank, coded.codebooks.shape
    filled: Any = faiss.IndexIVFPQ(quantizer, rank, quantizer.ntotal, parts, 4, faiss.METRIC_INNER_PRODUCT)
    filled.by_residual, filled.is_trained = True, True
    faiss.copy_array_to_vector(np.ascontiguousarray(coded.codebooks).ravel(), filled.pq.centroids)
    codes = np.ascontiguousarray(coded.codes[bounds[0] : bounds[-1]])
    ids = np.ascontiguousarray(coded.ids[bounds[0] : bounds[-1]])
    for cell, (start, stop) in enumerate(pairwise((bounds - bounds[0]).tolist()), first):
        if start < stop:
            of_cell, codes_of_cell = ids[start:stop], codes[start:stop]
            filled.invlists.add_entries(
                cell, stop - start, faiss.swig_ptr(of_cell), faiss.swig_ptr(codes_of_cell)
            )
    filled.ntotal = len(ids)
    return faiss.IndexIVFPQFastScan(filled)
