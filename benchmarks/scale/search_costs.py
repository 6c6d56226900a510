"""What an accelerator and a server's index cost, as functions of the number of vectors, from the unit costs.

Vectors have 512 dimensions. An accelerator (``retrieval/collection/accelerators``) has C cells for n vectors, a power
of two near ``3 sqrt(n)``. To build it takes

- a start: fitting the maps and the codebooks, each to a sample of a fixed size;
- distances of rows to centres: k-means does 10 times 40 C of C, and all vectors are compared with all centres once, so
  that this part grows with ``n sqrt(n)``;
- what is linear in n: four passes over the vectors, their maps and codes, exact best of 600 queries, and tuning,
  which looks at shares of all codes.

A query compares all cells, visits some, looks at the codes in these and scores some rows exactly. How many cells reach
a recall of 0.98 was measured, and grows with a power of the number of cells.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from retrieval.collection.accelerators.coded_lists import LIST_CODES
from retrieval.collection.accelerators.coded_rows import cells_for
from retrieval.collection.accelerators.search import CODE_COST

Costs = Mapping[str, float]

_ITERATIONS, _CELL_ROWS = 10, 40  # of k-means, and of the rows that it sees for a cell
_RANK, _COARSE = 192, 208  # components of mapped rows, and as cells are compared
_SCANNED_BYTES = 64 * 2**20  # of vectors, in scans that are timed
_KNOWN_ROWS, _KNOWN_VISITS = 1_000_000, (4096, 89)  # docs/architecture.md: 99 % of the ten best of texts
_SCORE_S = 0.2e-6  # of the exact score of a vector: the unit of CODE_COST


def distances(rows: int) -> float:
    """Count the comparisons of a row with a centre that building does."""
    cells = cells_for(rows)
    return _ITERATIONS * _CELL_ROWS * cells**2 + rows * cells


def build_core_s(cost: Costs, rows: int) -> float:
    """CPU seconds in which an accelerator is built, of all threads."""
    return (
        cost["accelerator_start_s"]
        + cost["accelerator_row_s"] * rows
        + cost["accelerator_distance_s"] * distances(rows)
    )


def build_peak_bytes(cost: Costs, rows: int) -> float:
    """Memory of the process that builds, at most: all codes and ids, with pages of the scans that are timed last."""
    scanned = min(_SCANNED_BYTES, cost["vector_bytes"] * rows)
    return cost["accelerator_process_bytes"] + scanned + cost["accelerator_building_bytes"] * rows


def cells_visited(cost: Costs, rows: int) -> float:
    """Cells that a query visits for a recall@10 of 0.98 on texts."""
    return cost["cells_of_1024"] * math.pow(cells_for(rows) / 1024, cost["cells_power"])


def query_core_s(cost: Costs, rows: int) -> float:
    """CPU seconds of a text query through an accelerator, from Python, hits with their items."""
    cells, visited = cells_for(rows), cells_visited(cost, rows)
    codes = visited * (rows / cells + LIST_CODES)
    return cost["query_start_s"] + cost["query_cell_s"] * cells + cost["query_code_s"] * codes


def figures_of(folder: Path, rows: int, stage: str) -> dict[str, Any]:
    """Read what a stage of ``benchmarks.search.scale --folder`` has left of a size."""
    found: dict[str, Any] = json.loads((folder / f"{rows}.{stage}.json").read_text(encoding="utf-8"))
    return found


def measure(cost: Costs, folder: Path, sizes: Sequence[int]) -> dict[str, float]:
    """Measure what a distance and a cell take, and fit the other costs to what was left of some sizes."""
    known = () if max(sizes) >= _KNOWN_ROWS else (_KNOWN_VISITS,)
    return fit(cost, folder, sizes, (_distance_s(), _cell_s()), known)


def fit(
    cost: Costs,
    folder: Path,
    sizes: Sequence[int],
    measured: tuple[float, float],
    known: Sequence[tuple[int, int]] = (),
) -> dict[str, float]:
    """Fit costs to what was left of some sizes.

    Args:
        cost: the other unit costs.
        folder: where ``benchmarks.search.scale`` has left its figures.
        sizes: of several numbers of cells, the largest last.
        measured: CPU seconds of a distance, and of comparing a query with a cell.
        known: numbers of cells and how many of them are visited, from elsewhere.

    Returns:
        all costs that ``search`` measures, by their names.
    """
    distance_s, cell_s = measured
    builds, searches = ([figures_of(folder, rows, stage) for rows in sizes] for stage in ("build", "search"))
    found = {
        "accelerator_distance_s": distance_s,
        "query_cell_s": cell_s,
        "query_code_s": CODE_COST * _SCORE_S,
    }
    visited = [*((cells_for(one["images"]), one["measurement"]["cells"]) for one in searches), *known]
    doublings = [math.log2(cells / 1024) for cells, _ in visited]
    visits = [math.log2(some) for _, some in visited]
    found["cells_power"], visits_of_1024 = _line(doublings, visits)
    found["cells_of_1024"] = 2**visits_of_1024
    spent = [one["cpu"] - distance_s * distances(rows) for one, rows in zip(builds, sizes, strict=True)]
    found["accelerator_row_s"], found["accelerator_start_s"] = _line(sizes, spent)
    without = {**cost, "accelerator_process_bytes": 0.0}
    found["accelerator_process_bytes"] = builds[-1]["peak"] * 2**20 - build_peak_bytes(without, sizes[-1])
    without = found | {"query_start_s": 0.0}
    found["query_start_s"] = statistics.mean(
        one["times"]["accelerator"]["cpu"] / 1000 - query_core_s(without, rows)
        for one, rows in zip(searches, sizes, strict=True)
    )
    return found


def _line(at: Sequence[float], values: Sequence[float]) -> tuple[float, float]:
    """Fit a line by least squares; give its slope and its value at 0."""
    fitted = statistics.linear_regression(at, values)
    return fitted.slope, fitted.intercept


def _distance_s() -> float:
    """CPU seconds in which FAISS compares a row with a centre."""
    centres, rows = _random(2048, _RANK), _random(32_768, _RANK)
    index = faiss.IndexFlatL2(_RANK)
    index.add(centres)
    return _fastest(lambda: index.search(rows, 1)) / (len(rows) * len(centres))


def _cell_s() -> float:
    """CPU seconds in which a query is compared with a cell: what more cells take more."""
    spent = []
    faiss.omp_set_num_threads(1)
    for cells in (4096, 65_536):
        rows = _random(cells, _COARSE)
        index = faiss.IndexScalarQuantizer(_COARSE, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        index.train(rows)
        index.add(rows)
        query = rows[:1].copy()
        spent.append(_fastest(partial(index.search, query, 64)))
    return (spent[1] - spent[0]) / (65_536 - 4096)


def _random(rows: int, dimension: int) -> Any:
    return np.random.default_rng(0).standard_normal((rows, dimension), np.float32)


def _fastest(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of five tries, of all threads."""
    spent = []
    for _ in range(5):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent)
