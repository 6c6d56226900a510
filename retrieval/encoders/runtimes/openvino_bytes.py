"""Activations and weights of a graph that OpenVINO rounds to bytes, so that it multiplies these."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.image_layers import Range

_ACTIVATION_STEPS, _WEIGHT_STEPS = 256, 255


def rounded_activations(op: Any, node: Any, within: Range) -> Any:
    """Round activations to 256 steps of a range; one that has negative numbers is made symmetric."""
    low, high = within
    if low < 0:
        largest = max(-low, high)
        low, high = -largest, largest * 127 / 128
    ends = [op.constant(np.full((1, 1, 1, 1), end, np.float32)) for end in (low, high)]
    return op.fake_quantize(node, *ends, *ends, _ACTIVATION_STEPS)


def rounded_weights(op: Any, node: Any, weights: NDArray[np.float32], channel_axes: int) -> Any:
    """Round the weights of a constant to 255 steps for each channel.

    Args:
        op: OpenVINO's operations.
        node: the constant.
        weights: that it holds.
        channel_axes: how many of their first axes tell output channels apart.
    """
    largest = np.abs(weights).max(tuple(range(channel_axes, weights.ndim)), keepdims=True)
    largest = np.where(largest > 0, largest, 1).astype(np.float32)
    ends = op.constant(-largest), op.constant(largest)
    return op.fake_quantize(node, *ends, *ends, _WEIGHT_STEPS)
