"""Windows of the places of a convolutional tower: what several vectors of one image are made of, in one larger pass.

``benchmarks/search/regions.py`` compares sizes and numbers of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.preparations import Squeeze

A_SIDE = 3
"""Windows a side; they overlap by half."""
PASS_IMAGES = 4
"""Images of a pass: the places of four at 384 pixels are those of nine at 256."""
_ENLARGED = 1.5  # side of the pass against the tower's own: 2 finds no more, for a third more time
_STRIDE = 32  # of towers
_LEAST, _LARGEST = (
    4 * _STRIDE,
    1024,
)  # pixels: three windows need four places; the most that memory is sure to bear


@runtime_checkable
class WindowTowers(Protocol):
    """Towers that compute vectors of windows of an image."""

    @property
    def window_preparation(self) -> Squeeze:
        """The rule that gives the arrays which :meth:`window_rows` takes."""
        ...

    @property
    def image_passes_at_once(self) -> int:
        """How many threads should call :meth:`window_rows` at once."""
        ...

    def window_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute unit rows, (n, 9, d) float32, of the windows of n >= 1 prepared images, row by row of windows.

        Raises:
            ModelError: the model cannot encode them, because its files are damaged or do not belong together.
        """
        ...


def enlarged(own: Squeeze) -> Squeeze:
    """Give the rule of the larger pass of a tower whose images are prepared by ``own``."""
    side = _STRIDE * round(_ENLARGED * own.size / _STRIDE)
    return replace(own, size=max(_LEAST, min(side, max(own.size // _STRIDE * _STRIDE, _LARGEST))), through=0)


def window_places(places: int) -> tuple[int, int]:
    """Give the places a side of a window, and those between the starts of two, of ``places`` >= 3 a side."""
    step = max(1, places // 4)
    return places - (A_SIDE - 1) * step, step


def window_boxes(rule: Squeeze, width: int, height: int) -> NDArray[np.float32]:
    """Give where the windows of an image lie: (9, 4) left, top, width and height, in shares of the image's.

    Args:
        rule: of the larger pass.
        width: of the upright image, in pixels.
        height: likewise.
    """
    left, top, across, down = rule.seen(width, height)
    places = rule.size // _STRIDE
    count, step = window_places(places)
    starts = range(0, A_SIDE * step, step)
    boxes = [
        (
            left + across * column / places,
            top + down * row / places,
            across * count / places,
            down * count / places,
        )
        for row in starts
        for column in starts
    ]
    shares: NDArray[np.float32] = (np.array(boxes) / [width, height, width, height]).astype(np.float32)
    return shares


def window_means(places: NDArray[np.float32], parts: Sequence[int]) -> NDArray[np.float32]:
    """Pool windows of places, (n, side, side, d), to (n, 9, d) float32 unit rows whose ``parts`` have equal lengths."""
    count, step = window_places(places.shape[1])
    starts = range(0, A_SIDE * step, step)
    means = np.stack(
        [
            places[:, top : top + count, left : left + count].mean((1, 2), dtype=np.float64)
            for top in starts
            for left in starts
        ],
        axis=1,
    )
    cut = np.split(means, np.cumsum(parts)[:-1], axis=-1)
    scaled = [one / np.maximum(np.linalg.norm(one, axis=-1, keepdims=True), 1e-12) for one in cut]
    rows: NDArray[np.float32] = (np.concatenate(scaled, axis=-1) / len(parts) ** 0.5).astype(np.float32)
    return rows
