"""How much an inverted file must look at to reach a recall, found out on queries of the other kind.

Image queries would flatter it: an image lies in the distribution that the cells and codes were fitted to, a text
does not (``docs/architecture.md`` has figures).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.inverted_file import InvertedFile, SearchParameters

_RESCORED = (50, 75, 100, 150, 200, 300, 400, 800)
_RADIUS_WEIGHT = (
    0.2  # 0.15 to 0.25 find the same within a thousandth; 0.1 visits a fifth more cells, 0.4 twice as many
)
_CONFIDENCE = (
    1.3  # standard errors that a recall is above its target: nine times in ten it is on other queries too
)


@dataclass(frozen=True, slots=True)
class TunedParameters:
    """Search parameters with their measured recall and speed.

    Attributes:
        parameters: cells visited, and candidates given.
        recall: share of the exact best that is among the candidates, mean over queries, 0 to 1.
        error: standard error of that mean.
        milliseconds: a query takes on one thread, without the exact scores; median.
    """

    parameters: SearchParameters
    recall: float
    error: float
    milliseconds: float


def tune(
    inverted: InvertedFile, queries: NDArray[np.float32], best: Sequence[NDArray[np.int64]], target: float
) -> TunedParameters | None:
    """Find the fastest search parameters whose recall reaches a target; None if not even the largest do.

    It does so surely enough to be expected of other queries, where any parameters do.

    Args:
        inverted: what is searched.
        queries: (q, d) float32, none of which the inverted file was fitted to.
        best: for each query the ids of its exact best vectors.
        target: of the mean recall, 0 to 1.
    """
    for confidence in (_CONFIDENCE, 0.0):
        found = [
            measured
            for rescored in _RESCORED
            if (measured := _fewest_cells(inverted, queries, best, (target, confidence), rescored))
            is not None
        ]
        if found:
            return min(found, key=lambda measured: _cost(inverted, measured))
    return None


def measure(
    inverted: InvertedFile,
    queries: NDArray[np.float32],
    best: Sequence[NDArray[np.int64]],
    parameters: SearchParameters,
) -> TunedParameters:
    """Measure recall and time of search parameters."""
    shares, seconds = [], []
    for query, wanted in zip(queries, best, strict=True):
        started = time.perf_counter()
        candidates = inverted.propose(query, parameters)
        seconds.append(time.perf_counter() - started)
        shares.append(np.isin(wanted, candidates).mean())
    error = float(np.std(shares)) / math.sqrt(len(shares))
    return TunedParameters(parameters, float(np.mean(shares)), error, 1000 * float(np.median(seconds)))


def _fewest_cells(
    inverted: InvertedFile,
    queries: NDArray[np.float32],
    best: Sequence[NDArray[np.int64]],
    target: tuple[float, float],
    rescored: int,
) -> TunedParameters | None:
    """Bisect for the fewest cells whose recall is so many errors above the target, to a sixteenth of their number."""
    recall, errors = target

    def reaching(cells: int) -> TunedParameters | None:
        measured = measure(inverted, queries, best, SearchParameters(cells, rescored, _RADIUS_WEIGHT))
        return measured if measured.recall - errors * measured.error >= recall else None

    low, high = 0, max(1, inverted.cells // 2)
    reached = reaching(high)
    if reached is None:
        return None
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        measured = reaching(middle)
        if measured is None:
            low = middle
        else:
            high, reached = middle, measured
    return reached


def _cost(inverted: InvertedFile, measured: TunedParameters) -> float:
    """Work of a query in codes scanned; a row scored exactly costs as much as two hundred codes."""
    parameters = measured.parameters
    return parameters.cells * inverted.rows / inverted.cells + 200 * parameters.rescored
