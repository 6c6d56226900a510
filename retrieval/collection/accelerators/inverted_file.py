"""An inverted file of coded vectors: which rows to score exactly for a query, found in a fraction of a scan.

Balanced vectors (:mod:`retrieval.collection.accelerators.balance`) lie in cells around means, each coded as the
difference from its cell's mean by a product quantiser of 4 bits a part (FAISS's IVFPQFastScan). A query visits the
cells in the order of ``q . mean + weight |q| radius``: the mean of a wide cell is short, so that its inner product
alone underrates the cell, above all for text queries.

All is held as plain arrays, from which FAISS's lists are filled: no file of FAISS's own format is read here, since its
reader trusts what it reads, and collections come from strangers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.balance import Balance, fit_balance
from retrieval.collection.accelerators.faiss_factory import one_thread

LARGEST_RANK = 192
PART_DIMENSION = 2  # components a part of the product quantiser; 4 bits each
SELECTED_SHARE = (
    1 / 2
)  # of the selected vectors expected in the cells visited first: fewer, and more are visited
_FIT_ROWS = 20_000  # of the stored vectors that the balance is fitted to
_CODEBOOK_ROWS = 40_000
_CELL_ROWS = 40  # vectors a cell that k-means sees
_CELL_ITERATIONS = 10
_BLOCK = 65_536  # rows assigned and coded at a time
_PACKED_ROWS = 2**20  # rows packed at a time: 110 MB beside the index

Blocks = Callable[[], Iterable[NDArray[np.float32]]]
"""All stored vectors in order, (m, d) float32 at a time; called once a pass."""


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


@dataclass(frozen=True, slots=True, eq=False)
class CodedRows:
    """An inverted file as arrays.

    Attributes:
        balance: maps of stored vectors and queries.
        means: (cells, r) float32, of the vectors of each cell.
        radii: (cells,) float32, root mean square distance of a cell's vectors from its mean.
        codebooks: (parts, 16, r / parts) float32.
        sizes: (cells,) int32, vectors a cell.
        codes: (n, parts / 2) uint8, cell by cell; two parts a byte, the first in its low half.
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


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Which of the vectors may be proposed, as :meth:`InvertedFile.select` makes it.

    Attributes:
        bits: uint8, a bit for each id from 0 on, the lowest first; FAISS reads them where they lie.
        in_cell: (cells,) int64, how many of the vectors of each cell.
    """

    bits: NDArray[np.uint8]
    in_cell: NDArray[np.int64]


class Proposed(NamedTuple):
    """Vectors that probably score best: (n,) int64 ids, the best by codes first, and (n,) float32 scores by codes.

    Scores by codes are those of balanced vectors: they differ from exact ones by an amount of the query's, and errors.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]


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
    chosen = rng.permutation(n)[: max(_FIT_ROWS, _CODEBOOK_ROWS, cells * _CELL_ROWS)]
    d = queries.shape[1]
    rank = min(LARGEST_RANK, d - d % (2 * PART_DIMENSION))
    # Two passes, so that of the larger sample only the mapped rows are in memory, which are shorter.
    balance = fit_balance(_take(blocks(), np.sort(chosen[:_FIT_ROWS])), queries, rank, seed)
    places = np.sort(chosen)
    sample = _take(blocks(), places, balance.map_stored)
    centres = _cluster(sample, cells, seed)
    residuals = sample[np.searchsorted(places, np.sort(chosen[:_CODEBOOK_ROWS]))]
    del sample
    residuals -= centres[_nearest(centres, residuals)]
    codec = faiss.ProductQuantizer(rank, rank // PART_DIMENSION, 4)
    with one_thread():  # ninety-six small problems: threads would wait for each other at every step
        codec.train(residuals)
    del residuals
    return _fill(blocks, ids, balance, centres, codec)


def cells_for(rows: int) -> int:
    """Number of cells for so many vectors: 2.5 times their root, a power of two, at least 16 vectors each."""
    wanted: int = 2 ** round(math.log2(2.5 * math.sqrt(rows)))
    return max(1, min(wanted, rows // 16))


class InvertedFile:
    """Coded rows ready to be searched, by many threads at once; 4 bits a part and 8 bytes of id a vector."""

    def __init__(self, coded: CodedRows) -> None:
        self.rows = coded.rows
        self._balance, self._means, self._radii = (
            coded.balance,
            np.asarray(coded.means),
            np.asarray(coded.radii),
        )
        self._sizes = np.asarray(coded.sizes).astype(np.int64)
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
        return Selection(np.packbits(chosen, bitorder="little"), before[ends] - before[ends - self._sizes])

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
        with np.errstate(over="ignore", invalid="ignore"):  # a damaged file may hold any numbers
            mapped = np.ascontiguousarray(self._balance.map_queries(query[None])[0])
            scores = self._means @ mapped
            visited = scores + np.float32(parameters.radius_weight * np.linalg.norm(mapped)) * self._radii
        cells = self._cells_to_visit(visited, parameters.cells, selection)
        if self._sizes[cells].sum() > most_codes:
            return Proposed(np.empty(0, np.int64), np.empty(0, np.float32))
        wanted = min(parameters.rescored, self.rows)
        # Every array needs a name: FAISS gets addresses, and a temporary would be freed before it reads them.
        cell_scores = np.ascontiguousarray(scores[cells])
        ids, id_scores = np.empty(wanted, np.int64), np.empty(wanted, np.float32)
        selector = None if selection is None else _selector(selection)
        # FAISS's wrapper for numpy takes no parameters here, and the index's own nprobe is shared by all threads.
        with one_thread():
            self._index.search_preassigned_c(
                1, faiss.swig_ptr(mapped), wanted, faiss.swig_ptr(cells), faiss.swig_ptr(cell_scores),
                faiss.swig_ptr(id_scores), faiss.swig_ptr(ids), False, _visits(len(cells), selector),
            )  # fmt: skip
        return Proposed(ids[ids >= 0], id_scores[ids >= 0])

    def _cells_to_visit(
        self, visited: NDArray[np.float32], count: int, selection: Selection | None
    ) -> NDArray[np.int64]:
        """Choose the first cells to visit: so many, or more where a selection has to do with what is asked.

        They are enough once they hold half as many selected vectors as the first ones would by chance.
        """
        cells = _largest(visited, count)
        if selection is None:
            return cells
        least = SELECTED_SHARE * self._sizes[cells].sum() * selection.in_cell.sum() / max(1, self.rows)
        while selection.in_cell[cells].sum() < least and len(cells) < self.cells:
            cells = _largest(visited, 2 * len(cells))
        return cells


def _fill(
    blocks: Blocks, ids: NDArray[np.int64], balance: Balance, centres: NDArray[np.float32], codec: Any
) -> CodedRows:
    """Assign all vectors to cells, take the cells' means, and code each vector beside its cell's mean."""
    cells, n = len(centres), len(ids)
    cell_of = np.empty(n, np.int32)
    sums, squares = np.zeros((cells, balance.rank)), np.zeros(cells)
    for start, rows in _numbered(blocks()):
        balanced = balance.map_stored(rows)
        cell = _nearest(centres, balanced)
        cell_of[start : start + len(rows)] = cell
        _add_by_cell(sums, cell, balanced)
        squares += np.bincount(cell, (balanced.astype(np.float64) ** 2).sum(1), minlength=cells)
    sizes = np.bincount(cell_of, minlength=cells)
    counts = np.maximum(sizes, 1)
    means = (sums / counts[:, None]).astype(np.float32)
    spread = squares / counts - (means.astype(np.float64) ** 2).sum(1)
    radii = np.sqrt(np.maximum(spread, 0)).astype(np.float32)
    place = np.empty(n, np.int64)
    place[np.argsort(cell_of, kind="stable")] = np.arange(n)
    codes = np.empty((n, codec.code_size), np.uint8)
    for start, rows in _numbered(blocks()):
        stop = start + len(rows)
        difference = balance.map_stored(rows) - means[cell_of[start:stop]]
        codes[place[start:stop]] = codec.compute_codes(np.ascontiguousarray(difference))
    ordered = np.empty(n, np.int64)
    ordered[place] = ids
    return CodedRows(balance, means, radii, _codebooks(codec), sizes.astype(np.int32), codes, ordered)


def _add_by_cell(sums: NDArray[np.float64], cell: NDArray[np.int64], rows: NDArray[np.float32]) -> None:
    """Add rows to the sums of their cells: ``np.add.at``, which takes five times as long."""
    order = np.argsort(cell, kind="stable")
    some, starts = np.unique(cell[order], return_index=True)
    sums[some] += np.add.reduceat(rows[order], starts, axis=0, dtype=np.float64)


def _visits(cells: int, selector: Any) -> Any:
    parameters = faiss.SearchParametersIVF()
    parameters.nprobe = cells
    if selector is not None:
        parameters.sel = selector
    return parameters


def _selector(selection: Selection) -> Any:
    """Make FAISS's view of a selection, which must outlive it."""
    return faiss.IDSelectorBitmap(len(selection.bits), faiss.swig_ptr(selection.bits))


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


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the largest values, the largest first."""
    count = min(count, len(values))
    chosen = np.argpartition(-values, count - 1)[:count]
    return chosen[np.argsort(-values[chosen], kind="stable")]


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
