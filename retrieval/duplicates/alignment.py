"""Align fingerprints of two pictures, and say how alike they are then: crops, borders, mirrored and turned ones too.

The second of a pair is turned or mirrored as it fits best, then shifted and stretched along both axes by
Gauss-Newton steps (Lucas & Kanade, IJCAI 1981; with gain and offset of brightness estimated beside, as in
Evangelidis & Psarakis, PAMI 2008). All functions take many pairs at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

Grey = NDArray[np.float32]
"""(n, side, side): n fingerprints."""

ORIENTATIONS = 8
"""Ways to turn and mirror: 1 mirrors left and right, 2 top and bottom, 4 exchanges rows and columns before that."""

_LARGEST_STEP = 0.06  # of a side
_SMALLEST_SCALE, _LARGEST_SCALE, _LARGEST_SHIFT = 0.75, 1.34, 0.2
_DAMPING = 1e-6
_LEAST_WEIGHT = 1e-8  # of a blur
_BLANK = 1e-3  # grey levels: a standard deviation that is rounding
_BLOCKS = (
    8  # a side: differences are looked at in 64 places, so that one thing that moved is not lost in the mean
)
_PASSED_OVER = (
    3  # of the places with the largest differences: what a retouched spot or a stamped date may take
)


def turn(grey: Grey, orientation: int) -> Grey:
    """Turn and mirror (n, side, side) pictures one of :data:`ORIENTATIONS` ways."""
    if orientation & 4:
        grey = grey.swapaxes(1, 2)
    if orientation & 1:
        grey = grey[:, :, ::-1]
    return grey[:, ::-1] if orientation & 2 else grey


def halve(grey: Grey) -> Grey:
    """Average (n, side, side) pictures down to half the side."""
    four = grey[:, ::2, ::2] + grey[:, 1::2, ::2] + grey[:, ::2, 1::2] + grey[:, 1::2, 1::2]
    return (four / 4).astype(np.float32, copy=False)


def standardised(grey: Grey) -> Grey:
    """Bring pictures to a mean of 0 and a standard deviation of 1; blank ones to zeros."""
    centred = grey - grey.mean((1, 2), keepdims=True)
    deviation = np.sqrt((centred**2).mean((1, 2), keepdims=True))
    unit: Grey = np.where(deviation < _BLANK, 0, centred / np.maximum(deviation, np.float32(_BLANK)))
    return unit.astype(np.float32, copy=False)


def orientation_scores(a: Grey, b: Grey) -> NDArray[np.float32]:
    """Correlate each ``a`` with its ``b``, both :func:`standardised`, in every orientation.

    Returns:
        (n, ORIENTATIONS) in [-1, 1].
    """
    products = [np.einsum("nij,nij->n", a, turn(b, way)) for way in range(ORIENTATIONS)]
    pixels = np.float32(a.shape[1] * a.shape[2])
    scores: NDArray[np.float32] = np.divide(np.stack(products, 1), pixels, dtype=np.float32)
    return scores


def orient(b: Grey, orientations: NDArray[np.int64]) -> Grey:
    """Turn and mirror each picture its own way."""
    turned = np.empty_like(b)
    for way in range(ORIENTATIONS):
        chosen = orientations == way
        turned[chosen] = turn(b[chosen], way)
    return turned


def identity_warp(n: int) -> NDArray[np.float32]:
    """Make n warps that change nothing: (n, 4) scale and shift along columns, then along rows, in sides."""
    return np.tile(np.array([1, 0, 1, 0], np.float32), (n, 1))


def align(a: Grey, b: Grey, warp: NDArray[np.float32], blur: float, steps: int) -> NDArray[np.float32]:
    """Improve warps that bring each ``b`` upon its ``a``.

    Args:
        a: (n, side, side).
        b: likewise, in the orientation of ``a``.
        warp: (n, 4) as :func:`identity_warp`; where in ``b`` a place of ``a`` lies is ``scale * place + shift``.
        blur: standard deviation in pixels; a large one widens what is found, a small one makes it exact.
        steps: Gauss-Newton steps.

    Returns:
        The improved warps, (n, 4) float32.
    """
    side = a.shape[1]
    place = _places(side)
    a, b = _blurred(a, blur), _blurred(b, blur)
    along_rows, along_columns = (np.gradient(b, axis=axis) * side for axis in (1, 2))
    warp = warp.copy()
    for _ in range(steps):
        columns, seen_columns = _sampler(warp[:, 0], warp[:, 1], side)
        rows, seen_rows = _sampler(warp[:, 2], warp[:, 3], side)
        seen = (seen_rows[:, :, None] & seen_columns[:, None, :]).astype(np.float32)
        across = columns.swapaxes(1, 2)
        by_column, by_row = rows @ along_columns @ across * seen, rows @ along_rows @ across * seen
        slopes = [by_column * place, by_column, by_row * place[:, None], by_row, -a * seen, -seen]
        jacobian = np.stack(slopes, 1).reshape(len(a), len(slopes), side * side)
        residual = (rows @ b @ across * seen).reshape(len(a), side * side, 1)
        normal = jacobian @ jacobian.swapaxes(1, 2)
        damping = _DAMPING * np.trace(normal, axis1=1, axis2=2) + _DAMPING
        normal += damping[:, None, None] * np.eye(len(slopes), dtype=np.float32)
        step = -np.linalg.solve(normal, jacobian @ residual)[:, :4, 0]
        warp += np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
        warp[:, ::2] = np.clip(warp[:, ::2], _SMALLEST_SCALE, _LARGEST_SCALE)
        warp[:, 1::2] = np.clip(warp[:, 1::2], -_LARGEST_SHIFT, _LARGEST_SHIFT)
    return warp


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How alike aligned pictures are, for n pairs.

    Attributes:
        correlation: (n,) in [-1, 1], of the pixels that both have.
        difference: (n,) >= 0: root mean square difference in the place where it is large, against the contrast.
        overlap: (n,) share of the first picture that the second has too.
    """

    correlation: NDArray[np.float32]
    difference: NDArray[np.float32]
    overlap: NDArray[np.float32]

    def only(self, chosen: NDArray[np.bool_]) -> Likeness:
        """Give the chosen pairs' own."""
        return Likeness(self.correlation[chosen], self.difference[chosen], self.overlap[chosen])


def joined(parts: Sequence[Likeness]) -> Likeness:
    """Put likenesses of pairs one after the other."""
    none = np.empty(0, np.float32)
    return Likeness(
        np.concatenate([none, *(one.correlation for one in parts)]),
        np.concatenate([none, *(one.difference for one in parts)]),
        np.concatenate([none, *(one.overlap for one in parts)]),
    )


def compare(a: Grey, b: Grey, warp: NDArray[np.float32], blur: float = 0.5) -> Likeness:
    """Compare pictures as warps of :func:`align` bring them together."""
    side = a.shape[1]
    columns, seen_columns = _sampler(warp[:, 0], warp[:, 1], side)
    rows, seen_rows = _sampler(warp[:, 2], warp[:, 3], side)
    seen = (seen_rows[:, :, None] & seen_columns[:, None, :]).astype(np.float32)
    count: NDArray[np.float32] = (seen.sum((1, 2)) + 1e-6).astype(np.float32)
    first = _centred(_blurred(a, blur), seen, count)
    moved = (rows @ _blurred(b, blur) @ columns.swapaxes(1, 2)).astype(np.float32, copy=False)
    second = _centred(moved, seen, count)
    power, other, both = (first**2).sum((1, 2)), (second**2).sum((1, 2)), (first * second).sum((1, 2))
    gain = both / (power + 1e-6)
    contrast = np.sqrt(other / count + 1e-6)
    left = ((second - gain[:, None, None] * first) / contrast[:, None, None]) ** 2
    blocks = (len(a), _BLOCKS, side // _BLOCKS, _BLOCKS, side // _BLOCKS)
    in_block = seen.reshape(blocks).sum((2, 4))
    of_block = left.reshape(blocks).sum((2, 4)) / (in_block + 1e-6)
    of_block[in_block < (side // _BLOCKS) ** 2 / 4] = 0  # nearly all of it lies beyond the other picture
    worst = np.partition(of_block.reshape(len(a), _BLOCKS**2), -_PASSED_OVER, axis=1)[:, -_PASSED_OVER]
    return Likeness(both / np.sqrt(power * other + 1e-6), np.sqrt(worst), count / np.float32(side**2))


def _centred(grey: Grey, seen: Grey, count: NDArray[np.float32]) -> Grey:
    mean = (grey * seen).sum((1, 2)) / count
    centred: Grey = ((grey - mean[:, None, None]) * seen).astype(np.float32, copy=False)
    return centred


@cache
def _places(side: int) -> NDArray[np.float32]:
    """Where the pixels of a row lie, from the middle, in sides."""
    places: NDArray[np.float32] = ((np.arange(side) - (side - 1) / 2) / side).astype(np.float32)
    return places


def _sampler(
    scale: NDArray[np.float32], shift: NDArray[np.float32], side: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Make matrices that sample rows linearly: (n, side, side), and which samples lie within, (n, side)."""
    middle = np.float32((side - 1) / 2)
    at = (_places(side) * scale[:, None] + shift[:, None]) * np.float32(side) + middle
    far = np.abs(at[:, :, None] - np.arange(side, dtype=np.float32))
    return np.maximum(1 - far, 0).astype(np.float32, copy=False), (at >= -0.01) & (at <= side - 0.99)


def _blurred(grey: Grey, deviation: float) -> Grey:
    weights = _blur_weights(grey.shape[1], deviation)
    blurred: Grey = (weights @ grey @ weights.T).astype(np.float32, copy=False)
    return blurred


@cache
def _blur_weights(side: int, deviation: float) -> NDArray[np.float32]:
    distance = np.arange(side)[:, None] - np.arange(side)
    weights = np.exp(-(distance**2) / (2 * deviation**2))
    weights[weights < _LEAST_WEIGHT] = (
        0  # the smallest are no normal float32: they made products 20 times slower
    )
    kernel: NDArray[np.float32] = (weights / weights.sum(1, keepdims=True)).astype(np.float32)
    return kernel
