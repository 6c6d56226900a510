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
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.coded_lists import (
    LIST_CODES,
    PACKED_CODES,
    CellCodes,
    CodedLists,
    Proposed,
    Selection,
    lists_bytes,
    visits_of,
)
from retrieval.collection.accelerators.coded_rows import CodedRows
from retrieval.collection.accelerators.faiss_factory import one_thread
from retrieval.collection.stores.segment_files import release_mapped

SELECTED_SHARE = (
    1 / 2
)  # of the selected vectors expected in the cells visited first: fewer, and more are visited
OWN_LISTS_BYTES = 16 * 2**20
"""Of lists of selected vectors alone; where they would take more, FAISS passes over the others in the lists of all."""

_LANES = 16  # components that FAISS takes at a time


class SearchParameters(NamedTuple):
    """Search parameters (cells to visit, candidates to rescore), tuned to reach a recall.

    Attributes:
        cells: cells visited.
        rescored: candidates whose exact scores are computed.
        radius_weight: of a cell's radius in the order of visits, >= 0.
    """

    cells: int
    rescored: int
    radius_weight: float


class InvertedFile:
    """Coded rows ready to be searched, by many threads at once; 4 bits a part and 8 bytes of id a vector."""

    def __init__(self, coded: CodedRows) -> None:
        self.rows = coded.rows
        self._balance, self._radii = coded.balance, np.asarray(coded.radii)
        self._coarse = _to_coarse(coded)
        self._quantizer = faiss.IndexFlatIP(coded.balance.rank)
        self._quantizer.add(np.ascontiguousarray(coded.means))
        self._codebooks, self._codes = coded.codebooks, coded.codes
        sizes = np.asarray(coded.sizes).astype(np.int64)
        self._lists = CodedLists(self._quantizer, coded.codebooks, CellCodes(sizes, coded.ids, coded.codes))
        release_mapped(coded.codes)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self._radii)

    def select(self, ids: NDArray[np.int64]) -> Selection:
        """Select vectors by their ids, which are all >= 0; others than those held do no harm.

        Codes of the selected vectors are read from the file again and get lists of their own, as long as those are
        small, since they are searched in a fraction of the time. Takes a byte for each id up to the highest one.
        """
        chosen = np.zeros(int(ids.max(initial=-1)) + 1, bool)
        chosen[ids] = True
        numbers, sizes = self._lists.ids(), self._lists.sizes
        known = (numbers >= 0) & (numbers < len(chosen))
        is_chosen = np.zeros(len(numbers), bool)
        is_chosen[known] = chosen[numbers[known]]
        before = np.concatenate([[0], np.cumsum(is_chosen)])
        ends = np.cumsum(sizes)
        in_cell = before[ends] - before[ends - sizes]
        share = int(in_cell.sum()) / max(1, self.rows)
        if not self._has_own_lists(len(ids)):
            return Selection(self._lists, in_cell, share, np.packbits(chosen, bitorder="little"))
        rows = np.flatnonzero(is_chosen)
        selected = CellCodes(in_cell, numbers[rows], self._codes[rows])
        release_mapped(self._codes)
        with one_thread():
            return Selection(CodedLists(self._quantizer, self._codebooks, selected), in_cell, share)

    def codes_visited(self, cells: int, selected: int) -> float:
        """Estimate in codes the time that so many cells take where so many vectors are selected."""
        held = self._own_codes(selected) if self._has_own_lists(selected) else self.rows
        return cells * (held / self.cells + LIST_CODES)

    def _has_own_lists(self, selected: int) -> bool:
        size = lists_bytes(self._codes.shape[1], self.cells, self._own_codes(selected))
        return size <= OWN_LISTS_BYTES

    def _own_codes(self, selected: int) -> int:
        """Estimate how many codes lists of so many selected vectors hold, half-full blocks at their ends included."""
        return selected + self.cells * PACKED_CODES // 2

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
            most_codes: that may be looked at, or the like in time; nothing is proposed where the cells to visit take
                longer.
        """
        # Every array needs a name: FAISS gets addresses, and a temporary would be freed before it reads them.
        asked = np.zeros(self._coarse.d, np.float32)
        mapped = asked[: self._balance.rank]
        wanted = min(parameters.rescored, self.rows)
        # FAISS is asked within one thread, and a damaged file may hold any numbers
        with one_thread(), np.errstate(over="ignore", invalid="ignore"):
            mapped[:] = self._balance.map_queries(query)
            asked[len(mapped)] = parameters.radius_weight * np.linalg.norm(mapped)
            cells, cell_scores = self._cells_to_visit(asked, parameters.cells, selection)
            lists, visits = self._lists, visits_of(len(cells))
            if selection is not None:
                lists, visits = selection.lists, selection.visits(len(cells))
                if lists.packed_sizes.take(cells).sum() + LIST_CODES * len(cells) > most_codes:
                    return Proposed(np.empty(0, np.int64), np.empty(0, np.float32))
            cell_scores -= asked[len(mapped)] * self._radii[cells]
            return lists.best(mapped, cells, cell_scores, wanted, visits)

    def _cells_to_visit(
        self, asked: NDArray[np.float32], count: int, selection: Selection | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Choose the first cells to visit: so many, or more where a selection has to do with what is asked.

        They are enough once they hold half as many selected vectors as the first ones would by chance. Cells come with
        what orders them: the scores of their means, and for their radii.
        """
        cells, scores = self._first_cells(asked, count)
        if selection is None:
            return cells, scores
        least = SELECTED_SHARE * self._lists.sizes.take(cells).sum() * selection.share
        while selection.in_cell.take(cells).sum() < least and count < self.cells:
            count *= 2
            cells, scores = self._first_cells(asked, count)
        return cells, scores

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
