"""The end of an image tower: features of places to the unit row of their image, in float32."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.image_layers import ImageTower
from retrieval.encoders.two_tower.numpy_products import ONE_THREAD

Array = NDArray[np.float32]

_ROWS = 8  # that are multiplied at a time, filled up: so a row has the same bits in a pass of one and of many
_COLUMNS = 32
_DEPTH = ONE_THREAD // (_ROWS * _COLUMNS)


def pooled_rows(tower: ImageTower, features: Array) -> Array:
    """Pool features of places, (n, ..., features), to (n, d) unit rows."""
    means = features.reshape(len(features), -1, features.shape[-1]).mean(1)
    rows = _mapped(tower, means)
    share = np.float32(len(tower.parts) ** -0.5)
    pieces = np.split(rows, np.cumsum(tower.parts)[:-1], 1)
    return np.concatenate(
        [share * piece / np.linalg.norm(piece, axis=1, keepdims=True) for piece in pieces], 1
    )


def place_rows(tower: ImageTower, features: Array) -> Array:
    """Take features of places, (..., features), to their vectors, (..., d): the mean of these is not yet unit."""
    return _mapped(tower, features.reshape(-1, features.shape[-1])).reshape(*features.shape[:-1], -1)


def _mapped(tower: ImageTower, features: Array) -> Array:
    """Apply the linear map to (n, features), in pieces that BLAS does not spread over threads.

    Its threads wait for each other on a busy machine: an explanation took four times the CPU time there.
    """
    count = len(features)
    filled = np.zeros((-(-count // _ROWS) * _ROWS, features.shape[1]), np.float32)
    filled[:count] = features
    product = np.zeros((len(filled), len(tower.weight)), np.float32)
    for depth in _slices(features.shape[1], _DEPTH):
        for columns in _slices(len(tower.weight), _COLUMNS):
            piece = tower.weight[columns, depth].T
            for rows in _slices(len(filled), _ROWS):
                product[rows, columns] += filled[rows, depth] @ piece
    return product[:count] + tower.bias


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(start, start + step) for start in range(0, length, step))
