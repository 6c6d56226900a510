"""The regions of a generation's images, searched exactly: of each image the best region counts.

All regions are scanned. They may be many times the whole images in number and, at eight bits, a few times in bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import error_bound, exact_scores
from retrieval.collection.stored_values import WrongValue
from retrieval.collection.stores.region_file import RegionFile, open_region_file, read_region_facts
from retrieval.types import Region

_BLOCK_BYTES = 2**18  # of codes, decoded at a time: four times as much stays in a core's cache
_TASK_BYTES = 8 * 2**20  # of codes, that one thread scans at a time
_MORE_ROUNDING = 4 * 2.0**-24  # of a scaled sum, against a sum of scaled values


@dataclass(frozen=True, slots=True, eq=False)
class BestRegions:
    """The images whose best regions score at least as the k-th best image's does, for one query.

    Attributes:
        ids: (m,) int64 encoding ids of the images.
        scores: (m,) float32 exact scores of their best regions.
        boxes: where those lie, by encoding id.
    """

    ids: NDArray[np.int64]
    scores: NDArray[np.float32]
    boxes: dict[int, Region]


class RegionStore:
    """Files of regions, searched side by side; safe to share between threads.

    Args:
        files: mapped, each encoding in one of them.
        threads: that search.
    """

    def __init__(self, files: Sequence[RegionFile], threads: Executor) -> None:
        self.files, self._threads = list(files), threads
        self.images = sum(len(one.ids) for one in self.files)
        self.rows = sum(one.scales.size for one in self.files)
        self.bytes = sum(one.facts.size for one in self.files)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        masked: NDArray[np.int64],
        among: NDArray[np.int64] | None = None,
    ) -> list[BestRegions]:
        """Find for each query the images whose best region scores at least as the k-th best image's does.

        Args:
            queries: (q, d) float32 unit rows.
            k: >= 1.
            masked: encoding ids that are not to be found, ascending.
            among: the encoding ids that may be found; None is all.

        Raises:
            WrongValue: a box is not a part of an image.
        """
        queries = np.ascontiguousarray(queries, np.float32)
        chosen = [_chosen(one, masked, among) for one in self.files]
        scored = [self._scored(one, rows, queries) for one, rows in zip(self.files, chosen, strict=True)]
        return [
            self._best(query, k, chosen, [scores[:, number] for scores in scored])
            for number, query in enumerate(queries)
        ]

    def _scored(
        self, file: RegionFile, rows: NDArray[np.int64], queries: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Score images by float32 arithmetic, (rows, q): each by its best region; -inf where scores are not numbers."""
        step = max(1, _TASK_BYTES // file.codes[0].nbytes)
        tasks = [rows[start : start + step] for start in range(0, len(rows), step)]
        run = self._threads.map if len(tasks) > 1 else map
        parts = list(run(lambda task: _scored_rows(file, task, queries), tasks))
        return np.concatenate(parts) if parts else np.empty((0, len(queries)), np.float32)

    def _best(
        self,
        query: NDArray[np.float32],
        k: int,
        chosen: Sequence[NDArray[np.int64]],
        scored: Sequence[NDArray[np.float32]],
    ) -> BestRegions:
        """Score exactly what may be among the k best by rounded scores."""
        slack = 2 * (error_bound(len(query)) + _MORE_ROUNDING)
        floor = _kth(np.concatenate([*scored, np.empty(0, np.float32)]), k) - slack
        ids, scores, boxes = [], [], []
        for file, rows, rounded in zip(self.files, chosen, scored, strict=True):
            kept = rows[(rounded >= floor) & (rounded > -np.inf)]
            vectors = file.vectors(kept)
            exact = exact_scores(vectors.reshape(-1, len(query)), query).reshape(vectors.shape[:2])
            best = exact.argmax(axis=1)
            ids.append(file.ids[kept])
            scores.append(exact.max(axis=1))
            boxes.append(file.boxes[kept, best])
        return _at_least_kth(k, *map(np.concatenate, (ids, scores, boxes)))


def open_regions(
    connection: sqlite3.Connection,
    collection: Path,
    encoder_id: int | None,
    dimension: int,
    last: RegionStore | None,
    threads: Executor,
) -> RegionStore | None:
    """Map the files of regions of an encoder that the catalogue names in this transaction; None where it has none.

    Args:
        connection: in a read transaction.
        collection: its folder.
        encoder_id: in the catalogue.
        dimension: of its vectors.
        last: of an earlier generation, whose mapped files are shared.
        threads: that search.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file is not what the catalogue says.
    """
    mapped = {} if last is None else {one.facts: one for one in last.files}
    files = [
        mapped.get(facts) or open_region_file(collection, facts, dimension)
        for facts in read_region_facts(connection, encoder_id)
    ]
    return RegionStore(files, threads) if files else None


def _chosen(
    file: RegionFile, masked: NDArray[np.int64], among: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Give the numbers of a file's rows that may be found, ascending."""
    admitted = np.ones(len(file.ids), bool) if among is None else np.isin(file.ids, among)
    if len(masked):
        admitted &= ~np.isin(file.ids, masked)
    return np.flatnonzero(admitted)


def _scored_rows(
    file: RegionFile, rows: NDArray[np.int64], queries: NDArray[np.float32]
) -> NDArray[np.float32]:
    step = max(1, _BLOCK_BYTES // file.codes[0].nbytes)
    scores = np.empty((len(rows), len(queries)), np.float32)
    for start in range(0, len(rows), step):
        at = rows[start : start + step]
        # a slice where the rows follow each other: picking them one by one takes longer than scoring them
        block = slice(int(at[0]), int(at[-1]) + 1) if at[-1] - at[0] == len(at) - 1 else at
        codes = file.codes[block].astype(np.float32).reshape(-1, queries.shape[1])
        products = _inner_products(codes, queries)
        scaled = products.reshape(len(at), -1, len(queries)) * file.scales[block][..., None]
        scores[start : start + step] = scaled.max(axis=1)
    scores[np.isnan(scores)] = -np.inf
    return scores


def _inner_products(rows: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.float32]:
    if len(queries) > 1:
        return rows @ queries.T
    # Not BLAS, whose threads wait for each other on a busy machine.
    products: NDArray[np.float32] = np.einsum("ij,j->i", rows, queries[0])[:, None]
    return products


def _at_least_kth(
    k: int, ids: NDArray[np.int64], scores: NDArray[np.float32], boxes: NDArray[np.float32]
) -> BestRegions:
    best = scores >= _kth(scores, k)
    ids, scores, boxes = ids[best], scores[best], boxes[best]
    parts = {number: _region(box) for number, box in zip(ids.tolist(), boxes.tolist(), strict=True)}
    return BestRegions(ids, scores, parts)


def _region(box: list[float]) -> Region:
    left, top, width, height = box
    if not (min(left, top) >= 0 and min(width, height) > 0 and max(left + width, top + height) <= 1 + 1e-6):
        raise WrongValue(f"a file of regions holds the region {box}, which is not a part of an image")
    return left, top, width, height


def _kth(scores: NDArray[np.float32], k: int) -> float:
    if len(scores) < k:
        return -np.inf
    return float(np.partition(scores, len(scores) - k)[len(scores) - k])
