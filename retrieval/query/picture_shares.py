"""Where in a picture its score comes from: the maps of an encoder's explainer, over the upright picture."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.relevance import ImageExplainer, ImageRelevance, Map
from retrieval.query.explanation import Grid, PictureShare, Region

AROUND = 1 / 3
"""Least relevance, against the most relevant spot, of what is connected with it to a region: of 0.25 to 0.6, the one
whose regions overlap most with the boxes of things."""
_FINER = 8  # cells of a finer grid for each one: what is smoothed has its summit between cells


def picture_share(
    explainer: ImageExplainer, relevance: ImageRelevance, width: int, height: int, score: float
) -> PictureShare:
    """Place maps over a picture.

    Args:
        explainer: that made them.
        relevance: the maps.
        width: of the upright picture, in pixels.
        height: likewise.
        score: that the contributions are of.
    """
    left, top, across, down = explainer.seen(width, height)
    seen = Region(left / width, top / height, across / width, down / height)
    fine = smoothed(relevance.relevance, _FINER)
    contributions = relevance.contributions
    peak = _peak(fine)
    return PictureShare(
        None if contributions is None else _grid(seen, contributions),
        None if contributions is None else score - float(contributions.sum()),
        _grid(seen, relevance.relevance),
        None if peak is None else _point(seen, fine.shape, peak),
        None if peak is None else _region(seen, fine, peak),
    )


def smoothed(values: Map, finer: int) -> NDArray[np.float32]:
    """Interpolate cells bicubically to a grid that has ``finer`` times as many on each side."""
    from PIL import Image  # late: brings Pillow

    rows, columns = values.shape
    size = (columns * finer, rows * finer)
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BICUBIC))


def _peak(fine: NDArray[np.float32]) -> tuple[int, int] | None:
    row, column = np.unravel_index(int(fine.argmax()), fine.shape)
    return (int(row), int(column)) if fine[row, column] > 0 else None


def _grid(seen: Region, values: Map) -> Grid:
    return Grid(seen, tuple(tuple(float(value) for value in row) for row in values))


def _point(seen: Region, shape: tuple[int, ...], peak: tuple[int, int]) -> tuple[float, float]:
    across, down = (peak[1] + 0.5) / shape[1], (peak[0] + 0.5) / shape[0]
    return seen.left + across * seen.width, seen.top + down * seen.height


def _region(seen: Region, fine: NDArray[np.float32], peak: tuple[int, int]) -> Region:
    """Bound the cells that are connected with the summit and at least :data:`AROUND` as high."""
    high = fine >= AROUND * fine[peak]
    reached, waiting = {peak}, deque([peak])
    while waiting:
        row, column = waiting.popleft()
        for near in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            inside = 0 <= near[0] < high.shape[0] and 0 <= near[1] < high.shape[1]
            if inside and high[near] and near not in reached:
                reached.add(near)
                waiting.append(near)
    rows, columns = [row for row, _ in reached], [column for _, column in reached]
    left, top = min(columns) / fine.shape[1], min(rows) / fine.shape[0]
    right, bottom = (max(columns) + 1) / fine.shape[1], (max(rows) + 1) / fine.shape[0]
    return Region(
        seen.left + left * seen.width,
        seen.top + top * seen.height,
        (right - left) * seen.width,
        (bottom - top) * seen.height,
    )
