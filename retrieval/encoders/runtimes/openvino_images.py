"""Image towers through OpenVINO: seconds less to start than torch, and faster where there is AMX or AVX-512.

The graph is built in memory from layers whose weights were checked; OpenVINO opens no file of a model.
"""

from __future__ import annotations

import functools
import importlib.util
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.two_tower.image_layers import Block, Convolution, ImageTower
from retrieval.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

_PLACES = (7, 8)
_UNIT_EPSILON = 1e-24  # under the root: the square of torch's, of functional.normalize


def is_installed() -> bool:
    """Whether OpenVINO can be imported; does not import it."""
    return importlib.util.find_spec("openvino") is not None


def check_installed() -> None:
    """Refuse to go on without OpenVINO.

    Raises:
        MissingExtra: it is not installed.
    """
    if not is_installed():
        raise MissingExtra("encoding images with OpenVINO", "openvino")


class OpenVinoImages:
    """Compute unit rows of prepared images with one compiled graph; safe in several threads.

    Args:
        tower: the layers.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """

    def __init__(self, tower: ImageTower) -> None:
        check_installed()
        with _without_telemetry():
            import openvino
            from openvino import opset13
        # Left alone, the CPU plug-in computes in bfloat16 where the processor has it.
        settings = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        pixels = opset13.parameter([-1, tower.size, tower.size, 3], np.uint8, "pixels")
        graph = openvino.Model([_unit_rows(opset13, pixels, tower)], [pixels], "image tower")
        self._compiled = openvino.Core().compile_model(graph, "CPU", settings)
        self._local = threading.local()
        self._size = tower.size

    def rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute (n, d) float32 unit rows of (n, size, size, 3) uint8 images."""
        request = getattr(self._local, "request", None)
        if request is None:
            request = self._local.request = self._compiled.create_infer_request()
        found = request.infer([np.ascontiguousarray(prepared)])
        return np.array(found[0], np.float32)

    @functools.cached_property
    def depends_on_place(self) -> bool:
        """Whether an image gets other last bits in another place of a pass; computed once, from passes of noise."""
        one = np.random.default_rng(0).integers(0, 256, (1, self._size, self._size, 3), np.uint8)
        passes = [self.rows(one.repeat(places, 0)) for places in _PLACES]
        return not all((rows == rows[:1]).all() for rows in passes)


@contextmanager
def _without_telemetry() -> Iterator[None]:
    """Import OpenVINO without its conversion tools, which report each import to its makers over the network."""
    blocked = [name for name in ("openvino.tools",) if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked, None))  # type: ignore[arg-type]  # None: importing it fails
    try:
        yield
    finally:
        for name in blocked:
            sys.modules.pop(name, None)


def _unit_rows(op: ModuleType, pixels: Any, tower: ImageTower) -> Any:
    """Build the graph: ``pixels``, (n, size, size, 3) uint8, to (n, d) float32 unit rows."""
    channels_first = op.transpose(op.convert(pixels, np.float32), op.constant([0, 3, 1, 2], np.int64))
    scale, shift = (op.constant(values.reshape(1, 3, 1, 1)) for values in (tower.scale, tower.shift))
    node = op.add(op.multiply(channels_first, scale), shift)
    for block in tower.shared:
        node = _block(op, node, block)
    pooled = [_pooled(op, node, branch) for branch in tower.branches]
    features = op.concat(pooled, 1) if len(pooled) > 1 else pooled[0]
    projected = op.matmul(features, op.constant(tower.weight), False, True)
    return _normalised(op, op.add(projected, op.constant(tower.bias[None])), tower.parts)


def _pooled(op: ModuleType, node: Any, branch: tuple[Block, ...]) -> Any:
    for block in branch:
        node = _block(op, node, block)
    return op.reduce_mean(node, op.constant([2, 3], np.int64), False)


def _block(op: ModuleType, given: Any, block: Block) -> Any:
    node = given
    for convolution in block.convolutions:
        node = _convolution(op, node, convolution)
    return op.add(node, given) if block.residual else node


def _convolution(op: ModuleType, node: Any, layer: Convolution) -> Any:
    strides, dilations = [layer.stride] * 2, [1, 1]
    if layer.groups == 1:
        computed = op.convolution(
            node, op.constant(layer.weight), strides, list(layer.before), list(layer.after), dilations
        )
    else:
        weight = layer.weight.reshape(layer.groups, -1, *layer.weight.shape[1:])
        computed = op.group_convolution(
            node, op.constant(weight), strides, list(layer.before), list(layer.after), dilations
        )
    computed = op.add(computed, op.constant(layer.bias.reshape(1, -1, 1, 1)))
    if layer.activation is None:
        return computed
    return op.relu(computed) if layer.activation == "relu" else op.clamp(computed, 0.0, 6.0)


def _normalised(op: ModuleType, rows: Any, parts: tuple[int, ...]) -> Any:
    """Scale each part to the length 1 / sqrt(number of parts), so that the whole has the length 1."""
    lengths = op.constant(np.array(parts, np.int64))
    pieces = (
        op.variadic_split(rows, op.constant(1, np.int64), lengths).outputs() if len(parts) > 1 else [rows]
    )
    axis, share = op.constant([1], np.int64), op.constant(np.float32(len(parts) ** -0.5))
    unit = [op.multiply(op.normalize_l2(piece, axis, _UNIT_EPSILON, "max"), share) for piece in pieces]
    return op.concat(unit, 1) if len(unit) > 1 else unit[0]
