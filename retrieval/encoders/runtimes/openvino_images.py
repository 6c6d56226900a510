"""Image towers through OpenVINO: seconds less to start than torch, and faster where there is AMX or AVX-512.

The graph is built in memory from layers whose weights were checked; OpenVINO opens no file of a model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders import windows
from retrieval.encoders.runtimes.openvino_bytes import rounded_activations, rounded_weights
from retrieval.encoders.runtimes.openvino_exact import keep_in_float32
from retrieval.encoders.runtimes.openvino_graph import PRECISION_HINTS, ComputedPrecision, OpenVinoGraph, Rows
from retrieval.encoders.two_tower.image_layers import FLOAT32_BLOCKS, Block, Convolution, ImageTower
from retrieval.encoders.two_tower.pooling import pooled_rows
from retrieval.openvino_runtime import import_openvino, openvino_core

if TYPE_CHECKING:
    from types import ModuleType

PASS_IMAGES = 8
"""Images of a pass: as fast as 16, and faster than 4 or 32 (``mini`` on a Xeon with AMX)."""
_MOST_AT_ONCE = 8
_UNIT_EPSILON = 1e-24  # under the root: the square of torch's, of functional.normalize


class OpenVinoImages:
    """Compute unit rows of prepared images with a graph; safe in several threads.

    The graph ends with the features of places. Their mean, the linear map and the length are computed in float32, so
    that what the places contribute to a score adds up to the score of the row, in whatever precision the layers are.

    Args:
        tower: the layers.
        precision: that they are computed in.
        check: given what computes rows, before it is first used; raises what it finds wrong.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """

    def __init__(
        self, tower: ImageTower, precision: ComputedPrecision, check: Callable[[Rows], None]
    ) -> None:
        op = _Operations(import_openvino().opset13)
        pixels = op.parameter([-1, tower.size, tower.size, 3], np.uint8, "pixels")
        model = import_openvino().Model([_channels_last(op, pixels, tower)], [pixels], "image tower")
        self._graph = OpenVinoGraph(
            model.clone, precision, PASS_IMAGES, check, _MOST_AT_ONCE, partial(pooled_rows, tower)
        )
        self.passes_at_once = self._graph.passes_at_once
        self.tower, self._kept = tower, op.kept

    def rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (n, d) float32 unit rows of (n, size, size, 3) uint8 images."""
        return self._graph.rows(prepared)

    def features(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute the features of places of one image, (1, size, size, 3) uint8: (1, rows, columns, features)."""
        return self._graph.unfinished(prepared)

    @property
    def depends_on_place(self) -> bool:
        """Whether an image gets other last bits in another place of a pass."""
        return self._graph.depends_on_place()


class _Operations:
    """OpenVINO's operations, and the arrays whose memory constants share.

    OpenVINO drops its references to arrays in threads that do not hold the GIL. So each constant gets a view of its
    own, of which nobody else counts references, and ``kept`` is to live as long as the graph, so that OpenVINO's
    reference is never the last one. (Copies cost 39 MB for mini.)
    """

    def __init__(self, opset: ModuleType) -> None:
        self._opset = opset
        self.kept: list[NDArray[np.float32]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opset, name)


class OpenVinoFeatures:
    """Compute the features of the places of an image of any size with a graph; safe in several threads.

    Args:
        tower: the layers.
        precision: that they are computed in.
    """

    def __init__(self, tower: ImageTower, precision: ComputedPrecision) -> None:
        op = _Operations(import_openvino().opset13)
        pixels = op.parameter([1, -1, -1, 3], np.uint8, "pixels")
        model = import_openvino().Model([_channels_last(op, pixels, tower)], [pixels], "features")
        hints = {"INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
        settings = hints | {"ENABLE_CPU_PINNING": False}
        self._compiled, self._kept = openvino_core().compile_model(model, "CPU", settings), op.kept

    def __call__(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (1, rows, columns, features) float32 of (1, height, width, 3) uint8 images."""
        request = self._compiled.create_infer_request()
        return np.array(request.infer([np.ascontiguousarray(prepared)])[0], np.float32)


class OpenVinoWindows:
    """Compute unit rows of the windows of images with a graph of one larger size; safe in several threads.

    Args:
        tower: the layers.
        side: of the images, in pixels.
        precision: that they are computed in.
    """

    def __init__(self, tower: ImageTower, side: int, precision: ComputedPrecision) -> None:
        op = _Operations(import_openvino().opset13)
        pixels = op.parameter([-1, side, side, 3], np.uint8, "pixels")
        model = import_openvino().Model([_window_rows(op, pixels, tower)], [pixels], "windows")
        # The layers are those of the image tower, whose rows are checked before it is used.
        self._graph = OpenVinoGraph(
            model.clone, precision, windows.PASS_IMAGES, lambda _: None, _MOST_AT_ONCE
        )
        self._kept = op.kept

    def rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (n, 9, d) float32 unit rows of (n, side, side, 3) uint8 images."""
        return self._graph.rows(prepared)


def _window_rows(op: _Operations, pixels: Any, tower: ImageTower) -> Any:
    """Build the graph: ``pixels`` to the unit rows of windows, whose places are pooled before the linear map."""
    features = _features(op, pixels, tower)
    places = int(features.output(0).get_partial_shape()[2].get_length())
    count, step = windows.window_places(places)
    pooled = op.avg_pool(features, [step] * 2, [0, 0], [0, 0], [count] * 2, True)
    means = op.transpose(pooled, op.constant([0, 2, 3, 1], np.int64))
    rows = op.reshape(means, op.constant([-1, tower.weight.shape[1]], np.int64), False)
    projected = op.matmul(rows, _constant(op, tower.weight), False, True)
    unit = _normalised(op, op.add(projected, _constant(op, tower.bias[None])), tower.parts)
    return op.reshape(unit, op.constant([-1, windows.A_SIDE**2, len(tower.bias)], np.int64), False)


def _features(op: _Operations, pixels: Any, tower: ImageTower) -> Any:
    """Build the graph up to the features of places, (n, c, rows, columns)."""
    shared = _shared(op, pixels, tower)
    branches = [_blocks(op, shared, branch) for branch in tower.branches]
    return op.concat(branches, 1) if len(branches) > 1 else branches[0]


def _channels_last(op: _Operations, pixels: Any, tower: ImageTower) -> Any:
    """Build the graph up to the features of places, (n, rows, columns, c)."""
    return op.transpose(_features(op, pixels, tower), op.constant([0, 2, 3, 1], np.int64))


def _shared(op: _Operations, pixels: Any, tower: ImageTower) -> Any:
    """Normalise pixels, and compute the blocks that all branches have in common."""
    channels_first = op.transpose(op.convert(pixels, np.float32), op.constant([0, 3, 1, 2], np.int64))
    scale, shift = (_constant(op, values.reshape(1, 3, 1, 1)) for values in (tower.scale, tower.shift))
    normalised = op.add(op.multiply(channels_first, scale), shift)
    early = _blocks(op, normalised, tower.shared[:FLOAT32_BLOCKS])
    keep_in_float32(early)
    return _blocks(op, early, tower.shared[FLOAT32_BLOCKS:])


def _constant(op: _Operations, values: NDArray[np.float32]) -> Any:
    """Make a constant that shares the memory of an array, which may not be changed any more."""
    op.kept.append(np.ascontiguousarray(values).view())
    return op.constant(op.kept[-1], shared_memory=True)


def _blocks(op: _Operations, node: Any, blocks: Sequence[Block]) -> Any:
    for block in blocks:
        node = _block(op, node, block)
    return node


def _block(op: _Operations, given: Any, block: Block) -> Any:
    in_bytes = bool(block.ranges)
    ranges = iter(block.ranges)

    def rounded(node: Any) -> Any:
        return rounded_activations(op, node, next(ranges)) if in_bytes else node

    node = given = rounded(given)
    for place, convolution in enumerate(block.convolutions):
        node = _convolution(op, rounded(node) if place else node, convolution, in_bytes)
    return op.add(rounded(node), given) if block.residual else node


def _convolution(op: _Operations, node: Any, layer: Convolution, in_bytes: bool) -> Any:
    if layer.groups == 1:
        convolution, weight, channel_axes = op.convolution, layer.weight, 1
    else:
        weight = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
        convolution, channel_axes = op.group_convolution, 2
    kernel = _constant(op, weight)
    if in_bytes:
        kernel = rounded_weights(op, kernel, weight, channel_axes)
    strides, dilations = [layer.stride] * 2, [1, 1]
    computed = convolution(node, kernel, strides, list(layer.before), list(layer.after), dilations)
    computed = op.add(computed, _constant(op, layer.bias.reshape(1, -1, 1, 1)))
    if layer.activation is None:
        return computed
    return op.relu(computed) if layer.activation == "relu" else op.clamp(computed, 0.0, 6.0)


def _normalised(op: _Operations, rows: Any, parts: tuple[int, ...]) -> Any:
    """Scale each part to the length 1 / sqrt(number of parts), so that the whole has the length 1."""
    lengths = op.constant(np.array(parts, np.int64))
    pieces = (
        op.variadic_split(rows, op.constant(1, np.int64), lengths).outputs() if len(parts) > 1 else [rows]
    )
    axis, share = op.constant([1], np.int64), op.constant(np.float32(len(parts) ** -0.5))
    unit = [op.multiply(op.normalize_l2(piece, axis, _UNIT_EPSILON, "max"), share) for piece in pieces]
    return op.concat(unit, 1) if len(unit) > 1 else unit[0]
