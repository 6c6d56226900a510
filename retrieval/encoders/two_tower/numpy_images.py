"""The image tower of a two-tower model in numpy: for a picture that is asked with in a new process.

Its layers are decoded one after another while they are computed, so that little more than the largest is in memory:
OpenVINO takes 70 MB for its code alone, and as long to come up as numpy takes for a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.image_layers import (
    FLOAT32_BLOCKS,
    Block,
    Convolution,
    ImageLayers,
    ImageTower,
    Range,
)

Array = NDArray[np.float32]

_STRIP_BYTES = 2**18  # of what a depthwise convolution adds up at once: as much as stays in a core's cache


def image_row(layers: ImageLayers, prepared: NDArray[np.uint8]) -> Array:
    """Compute the unit row, (1, d) float32, of one prepared image, (1, size, size, 3) uint8.

    Raises:
        KeyError: a weight is missing.
        ValueError: one has another shape.
    """
    scale, shift = layers.scale_and_shift
    shared = _run(prepared[0].astype(np.float32) * scale + shift, layers.shared())
    pooled = [_run(shared, branch).mean((0, 1)) for branch in layers.branches()]
    weight, bias = layers.projection()
    row = weight @ np.concatenate(pooled) + bias
    share = np.float32(len(layers.parts) ** -0.5)
    pieces = np.split(row, np.cumsum(layers.parts)[:-1])
    return np.concatenate([share * piece / np.linalg.norm(piece) for piece in pieces])[None]


def tower_features(tower: ImageTower, prepared: NDArray[np.uint8]) -> Array:
    """Compute the features of the places, (places, features) float32, of one prepared image, (size, size, 3) uint8."""
    shared = _run(prepared.astype(np.float32) * tower.scale + tower.shift, tower.shared)
    joined = np.concatenate([_run(shared, branch) for branch in tower.branches], 2)
    return joined.reshape(-1, joined.shape[2])


def activation_ends(tower: ImageTower, prepared: NDArray[np.uint8]) -> list[Range]:
    """Measure the least and the largest activation of one prepared image, (size, size, 3) uint8.

    Returns:
        One for each input of a convolution and each output that a residual block adds its input to, in the order in
        which they are computed, behind the blocks that stay in float32.
    """
    ends: list[Range] = []

    def measure(activations: Array) -> None:
        ends.append((float(activations.min()), float(activations.max())))

    pixels = prepared.astype(np.float32) * tower.scale + tower.shift
    early = _run(pixels, tower.shared[:FLOAT32_BLOCKS])
    shared = _run(early, tower.shared[FLOAT32_BLOCKS:], measure)
    for branch in tower.branches:
        _run(shared, branch, measure)
    return ends


def _ignore(activations: Array) -> None:
    """Look at nothing."""


def _run(given: Array, blocks: Iterable[Block], look: Callable[[Array], None] = _ignore) -> Array:
    """Compute blocks of an image, (height, width, channels); ``look`` sees what a range would be of."""
    for block in blocks:
        found = given
        for convolution in block.convolutions:
            look(found)
            found = _convolved(found, convolution)
        if block.residual:
            look(found)
        given = found + given if block.residual else found
    return given


def _convolved(given: Array, layer: Convolution) -> Array:
    kernel = layer.weight.shape[-1]
    if layer.groups > 1:
        found = _depthwise(_padded(given, layer), layer, kernel)
    elif kernel == 1:
        found = given @ layer.weight[:, :, 0, 0].T
    else:
        found = _of_all_channels(_padded(given, layer), layer, kernel)
    found += layer.bias
    if layer.activation is not None:
        np.clip(found, 0, 6 if layer.activation == "relu6" else None, out=found)
    return found


def _padded(given: Array, layer: Convolution) -> Array:
    rows, columns = ((layer.before[axis], layer.after[axis]) for axis in (0, 1))
    return np.pad(given, (rows, columns, (0, 0)))


def _of_all_channels(padded: Array, layer: Convolution, kernel: int) -> Array:
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel, kernel), (0, 1))
    windows = windows[:: layer.stride, :: layer.stride]  # (rows, columns, channels, k, k)
    rows, columns = windows.shape[:2]
    out = len(layer.weight)
    flat = windows.reshape(rows * columns, -1) @ layer.weight.reshape(out, -1).T
    return flat.reshape(rows, columns, out)


def _depthwise(padded: Array, layer: Convolution, kernel: int) -> Array:
    """Convolve each channel with its own kernel, a few rows at a time."""
    stride = layer.stride
    height, width = ((side - kernel) // stride + 1 for side in padded.shape[:2])
    weight = layer.weight[:, 0]
    found = np.zeros((height, width, padded.shape[2]), np.float32)
    strip = max(1, _STRIP_BYTES // max(1, found[0].nbytes))
    product = np.empty((strip, *found.shape[1:]), np.float32)
    for top in range(0, height, strip):
        part = found[top : top + strip]
        for down in range(kernel):
            first = top * stride + down
            rows = padded[first : first + stride * (len(part) - 1) + 1 : stride]
            for right in range(kernel):
                shifted = rows[:, right : right + stride * (width - 1) + 1 : stride]
                np.multiply(shifted, weight[:, down, right], out=product[: len(part)])
                part += product[: len(part)]
    return found
