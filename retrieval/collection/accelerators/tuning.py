"""How much an inverted file must look at to reach a recall, found out on queries of the other kind.

Image queries would flatter it: an image lies in the distribution that the cells and codes were fitted to, a text
does not (``docs/architecture.md`` has figures).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.inverted_file import InvertedFile, SearchParameters

_RESCORED = (100, 200, 400, 800)
# 0.2 to 0.4 find the same within a thousandth; the order by means alone must visit half as many cells again
_RADIUS_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class TunedParameters:
    """Search parameters with their measured recall and speed.

    Attributes:
        parameters: cells visited, and candidates given.
        recall: share of the exact best that is among the candidates, mean over queries, 0 to 1.
        milliseconds: a query takes on one thread, without the exact scores; median.
    """

    parameters: SearchParameters
    recall: float
    milliseconds: float


def tune(
    inverted: InvertedFile, queries: NDArray[np.float32], best: Sequence[NDArray[np.int64]], target: float
) -> TunedParameters | None:
    """Find the fastest search parameters whose recall reaches a target; None if not even the largest do.

    Args:
        inverted: what is searched.
        queries: (q, d) float32, none of which the inverted file was fitted to.
        best: for each query the ids of its exact best vectors.
        target: of the mean recall, 0 to 1.
    """
    found: list[TunedParameters] = []
    for rescored in _RESCORED:
        measured = _fewest_cells(inverted, queries, best, target, rescored)
        if measured is not None:
            found.append(measured)
    return min(found, key=lambda measured: _cost(inverted, measured), default=None)


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
    return TunedParameters(parameters, float(np.mean(shares)), 1000 * float(np.median(seconds)))


def _fewest_cells(
    inverted: InvertedFile,
    queries: NDArray[np.float32],
    best: Sequence[NDArray[np.int64]],
    target: float,
    rescored: int,
) -> TunedParameters | None:
    """Bisect for the fewest cells that reach the target, to an eighth of their number."""
    low, high = 0, max(1, inverted.cells // 2)
    reached = measure(inverted, queries, best, SearchParameters(high, rescored, _RADIUS_WEIGHT))
    if reached.recall < target:
        return None
    while high - low > max(1, high // 8):
        middle = (low + high) // 2
        measured = measure(inverted, queries, best, SearchParameters(middle, rescored, _RADIUS_WEIGHT))
        if measured.recall >= target:
            high, reached = middle, measured
        else:
            low = middle
    return reached


def _cost(inverted: InvertedFile, measured: TunedParameters) -> float:
    """Work of a query in codes scanned; a row scored exactly costs as much as some hundred codes."""
    parameters = measured.parameters
    return parameters.cells * inverted.rows / inverted.cells + 150 * parameters.rescored
