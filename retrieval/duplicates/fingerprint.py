"""Fingerprints of pictures: small grey copies of the whole picture and of what lies within its border.

A fingerprint does not depend on size, compression or colour. A difference hash keeps one bit for each pair of
neighbours; the grey values themselves take little more room and can be aligned, which a hash cannot.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.preparations import Squash

SIDE = 64
"""Pixels of a fingerprint's side."""

RULE = Squash(2 * SIDE)
"""What a worker process makes of a picture for :func:`fingerprint_of`."""

_MOST_BORDER = 0.25  # of a side: what is uniform beyond that is a motif, and no border
_BORDER_LEVELS = 12.0  # of 255: how far a border's pixels may be from its colour, after compression
_HEAD = np.dtype("<f4")
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """Grey copies of one picture.

    Attributes:
        whole: (SIDE, SIDE) uint8, the picture squeezed to a square.
        inner: likewise of what lies within a border of one colour; None where there is no border.
        inner_share: of the picture's area, that within the border, in (0, 1].
    """

    whole: NDArray[np.uint8]
    inner: NDArray[np.uint8] | None
    inner_share: float

    def to_bytes(self) -> bytes:
        """Write the fingerprint for :meth:`from_bytes`."""
        inner = b"" if self.inner is None else self.inner.tobytes()
        return np.array([self.inner_share], _HEAD).tobytes() + self.whole.tobytes() + inner

    @classmethod
    def from_bytes(cls, data: bytes) -> Fingerprint | None:
        """Read what :meth:`to_bytes` wrote; None for anything else."""
        copies, rest = divmod(len(data) - _HEAD.itemsize, SIDE * SIDE)
        if rest or copies not in (1, 2):
            return None
        share = float(np.frombuffer(data, _HEAD, 1)[0])
        if not 0 < share <= 1:
            return None
        grey = np.frombuffer(data, np.uint8, offset=_HEAD.itemsize).reshape(copies, SIDE, SIDE)
        return cls(grey[0], grey[1] if copies == 2 else None, share)


def fingerprint_of(pixels: NDArray[np.uint8]) -> Fingerprint:
    """Make the fingerprint of a picture that :data:`RULE` has prepared.

    Args:
        pixels: (2 SIDE, 2 SIDE, 3) uint8 RGB.
    """
    grey = pixels.astype(np.float32) @ _GREY
    size = len(grey)
    top, bottom, left, right = box = _within_border(pixels)
    whole = _shrink(grey, 0, size, 0, size)
    if box == (0, size, 0, size):
        return Fingerprint(whole, None, 1.0)
    # the row at the seam mixes border and picture, so it goes with the border
    inner = (top + (top > 0), bottom - (bottom < size), left + (left > 0), right - (right < size))
    return Fingerprint(whole, _shrink(grey, *inner), (bottom - top) * (right - left) / size**2)


def _within_border(pixels: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Find the rows and columns within a border: first row, last + 1, first column, last + 1."""
    size = len(pixels)
    across = pixels.transpose(1, 0, 2)
    top, bottom = _border_rows(pixels), _border_rows(pixels[::-1])
    left, right = _border_rows(across), _border_rows(across[::-1])
    return top, size - bottom, left, size - right


def _border_rows(pixels: NDArray[np.uint8]) -> int:
    """Count the rows from the first on that have one colour; 0 where there are too many for a border."""
    most = int(_MOST_BORDER * len(pixels))
    rows = pixels[:most].astype(np.float32)
    differs = np.abs(rows - np.median(rows[0], axis=0)).max((1, 2)) >= _BORDER_LEVELS
    return int(differs.argmax())  # 0 where no row differs


def _shrink(grey: NDArray[np.float32], top: int, bottom: int, left: int, right: int) -> NDArray[np.uint8]:
    """Average a part of (n, n) grey pixels down, or stretch it, to (SIDE, SIDE)."""
    rows, columns = _areas(top, bottom, len(grey)), _areas(left, right, len(grey))
    shrunk: NDArray[np.uint8] = np.rint(rows @ grey @ columns.T).astype(np.uint8)
    return shrunk


def _areas(low: int, high: int, size: int) -> NDArray[np.float32]:
    """Weigh ``size`` pixels by how much of each lies in each of SIDE equal parts of [low, high)."""
    edges = np.linspace(low, high, SIDE + 1)
    pixel = np.arange(size)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    weights: NDArray[np.float32] = (np.maximum(overlap, 0) * SIDE / (high - low)).astype(np.float32)
    return weights
