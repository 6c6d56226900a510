"""The end of an image tower: features of places to the unit row of their image, in float32."""

from __future__ import annotations

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
    rows = np.concatenate([_mapped(tower, means[at : at + _ROWS]) for at in range(0, len(means), _ROWS)])
    share = np.float32(len(tower.parts) ** -0.5)
    pieces = np.split(rows, np.cumsum(tower.parts)[:-1], 1)
    return np.concatenate(
        [share * piece / np.linalg.norm(piece, axis=1, keepdims=True) for piece in pieces], 1
    )


def _mapped(tower: ImageTower, means: Array) -> Array:
    """Map few means to vectors, in pieces that BLAS does not spread over threads, which would wait for each other."""
    filled = np.concatenate([means, np.zeros((_ROWS - len(means), means.shape[1]), np.float32)])
    product = np.zeros((_ROWS, len(tower.weight)), np.float32)
    for column in range(0, len(tower.weight), _COLUMNS):
        columns = slice(column, column + _COLUMNS)
        for start in range(0, means.shape[1], _DEPTH):
            depth = slice(start, start + _DEPTH)
            product[:, columns] += filled[:, depth] @ tower.weight[columns, depth].T
    return product[: len(means)] + tower.bias


def place_rows(tower: ImageTower, features: Array) -> Array:
    """Take features of places, (..., features), to their vectors, (..., d): the mean of these is not yet unit."""
    return features @ tower.weight.T + tower.bias
