"""Activations and weights of a graph that OpenVINO rounds to bytes, so that it multiplies these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.openvino_runtime import import_openvino

if TYPE_CHECKING:
    from retrieval.encoders.two_tower.image_layers import Range

_ACTIVATION_STEPS, _WEIGHT_STEPS = 256, 255
GROUPS = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"}
"""Activations that share a range: ViT-B/32 is as exact as in groups of 32, and a quarter faster."""


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


def linear_maps(model: Any) -> list[Any]:
    """Find the products with constant weights, (out, in), in an ``openvino.Model``."""
    return [node for node in model.get_ordered_ops() if _is_linear_map(node)]


def _is_linear_map(node: Any) -> bool:
    if node.get_type_name() != "MatMul" or not node.get_attributes()["transpose_b"]:
        return False
    weights = node.input_value(1).get_node()
    return weights.get_type_name() == "Constant" and len(weights.shape) == 2


def weights_in_bytes(model: Any) -> None:
    """Round the weights of linear maps in an ``openvino.Model`` to 255 steps for each output.

    OpenVINO then rounds what they are multiplied with too, as it comes, in the groups that ``GROUPS`` sets (dynamic
    quantization): no ranges need to be known.
    """
    op = import_openvino().opset13
    for node in linear_maps(model):
        weights = node.input_value(1).get_node().get_data().astype(np.float32, copy=False)
        scales = np.abs(weights).max(1, keepdims=True) / np.float32(_WEIGHT_STEPS // 2)
        scales[scales == 0] = 1
        steps = op.convert(op.constant(np.rint(weights / scales).astype(np.int8)), np.float32)
        node.input(1).replace_source_output(op.multiply(steps, op.constant(scales)).output(0))
    model.validate_nodes_and_infer_types()
