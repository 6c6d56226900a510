"""Graphs that OpenVINO has written, computed in numpy: for one text in a new process.

OpenVINO takes most of a second to come up and to rearrange the weights of a large text tower, and then computes a text
in milliseconds. numpy multiplies the weights where they lie in the file, which is mapped: a twentieth of a second for
the 250 MB of ViT-B/32. What is known here are the operations that text towers of transformers become, by their
specification (https://docs.openvino.ai/2024/documentation/openvino-ir-format/operation-sets.html).
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Array = NDArray[Any]
Operation = Callable[[Sequence[Array], Mapping[str, str]], Sequence[Array]]
_Port = tuple[int, int]  # numbers of a layer and of one of its inputs or outputs

_TYPES: Mapping[str, type[np.generic]] = {
    "f32": np.float32,
    "i64": np.int64,
    "i32": np.int32,
    "boolean": np.bool_,
}


class UnknownOperation(ValueError):
    """The graph has an operation that is not known here, or one in a way that is not."""


@dataclass(frozen=True, slots=True)
class _Node:
    """One operation of a graph: where its inputs come from, and where its outputs go."""

    operation: Operation
    settings: Mapping[str, str]
    inputs: Sequence[_Port]
    outputs: Sequence[_Port]


class NumpyGraph:
    """A graph with constants that are mapped from its file; safe in several threads.

    Args:
        file: the ``.xml``, beside a ``.bin`` of the same name; both as OpenVINO has written them here.

    Raises:
        UnknownOperation: it cannot be computed here.
        OSError: it cannot be read.
        ValueError: it is damaged.
    """

    def __init__(self, file: Path) -> None:
        with file.with_suffix(".bin").open("rb") as stream:
            self._weights = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            root = ElementTree.parse(file).getroot()
        except ElementTree.ParseError as error:
            raise ValueError(f"{file} is damaged") from error
        sources = {
            (_number(edge, "to-layer"), _number(edge, "to-port")): (
                _number(edge, "from-layer"),
                _number(edge, "from-port"),
            )
            for edge in root.iterfind("edges/edge")
        }
        self._constants: dict[_Port, Array] = {}
        self._parameters: list[tuple[_Port, type[np.generic]]] = []
        self._nodes: list[_Node] = []
        self._result: _Port | None = None
        for layer in root.iterfind("layers/layer"):
            self._add(layer, sources)
        if self._result is None:
            raise ValueError(f"{file} has no result")

    def rows(self, *inputs: Array) -> NDArray[np.float32]:
        """Compute the result of inputs in the order of the graph's."""
        values = dict(self._constants)
        for (port, dtype), given in zip(self._parameters, inputs, strict=True):
            values[port] = np.asarray(given, dtype)
        for node in self._nodes:
            found = node.operation([values[port] for port in node.inputs], node.settings)
            values.update(zip(node.outputs, found, strict=True))
        assert self._result is not None, "of a graph that was read"
        return np.asarray(values[self._result], np.float32)

    def _add(self, layer: Element, sources: Mapping[_Port, _Port]) -> None:
        number, kind, data = _number(layer, "id"), layer.get("type", ""), layer.find("data")
        settings = {} if data is None else dict(data.attrib)
        inputs = [sources[number, _number(port, "id")] for port in layer.iterfind("input/port")]
        outputs = [(number, _number(port, "id")) for port in layer.iterfind("output/port")]
        if kind == "Const":
            self._constants[outputs[0]] = self._constant(settings)
        elif kind == "Parameter":
            self._parameters.append((outputs[0], _type(settings["element_type"])))
        elif kind == "Result":
            self._result = inputs[0]
        elif kind in _OPERATIONS:
            self._nodes.append(_Node(_OPERATIONS[kind], settings, inputs, outputs))
        else:
            raise UnknownOperation(kind)

    def _constant(self, settings: Mapping[str, str]) -> Array:
        dtype = np.dtype(_type(settings["element_type"]))
        shape = [int(side) for side in settings["shape"].split(",") if side.strip()]
        count = int(np.prod(shape, dtype=np.int64))
        if count * dtype.itemsize != int(settings["size"]):
            raise ValueError("a constant has another size than its shape says")
        return np.frombuffer(self._weights, dtype, count, int(settings["offset"])).reshape(shape)


def _type(name: str) -> type[np.generic]:
    if name not in _TYPES:
        raise UnknownOperation(f"elements of the type {name}")
    return _TYPES[name]


def _number(element: Element, name: str) -> int:
    return int(element.get(name, ""))


def _of_two(compute: Callable[[Array, Array], Array]) -> Operation:
    """Make an operation of two arrays that are broadcast to each other."""

    def operation(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
        if settings.get("auto_broadcast", "numpy") != "numpy":
            raise UnknownOperation("another rule of broadcasting")
        return [compute(*inputs)]

    return operation


def _of_one(compute: Callable[[Array], Array]) -> Operation:
    return lambda inputs, _: [compute(*inputs)]


def _axes(array: Array) -> tuple[int, ...]:
    return tuple(array.ravel().tolist())


def _divide(one: Array, other: Array) -> Array:
    if one.dtype.kind != "f":
        raise UnknownOperation("a division of whole numbers")
    return one / other


def _gather(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    data, indices, axis = inputs
    if settings.get("batch_dims", "0") != "0":
        raise UnknownOperation("Gather with dimensions of a batch")
    return [np.take(data, indices, int(axis))]


def _matrix_product(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    one, other = (
        array.swapaxes(-1, -2) if settings[name] == "true" else array
        for array, name in zip(inputs, ("transpose_a", "transpose_b"), strict=True)
    )
    return [one @ other]


def _mean_variance_normalised(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    if settings["eps_mode"] != "INSIDE_SQRT" or settings["normalize_variance"] != "true":
        raise UnknownOperation("MVN of another kind")
    data, axes = inputs[0], _axes(inputs[1])
    centred = data - data.mean(axes, keepdims=True)
    variance = (centred * centred).mean(axes, keepdims=True)
    return [centred / np.sqrt(variance + np.float32(settings["eps"]))]


def _reshape(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    data, shape = inputs[0], list(_axes(inputs[1]))
    if settings["special_zero"] == "true":
        shape = [data.shape[at] if side == 0 else side for at, side in enumerate(shape)]
    return [data.reshape(shape)]


def _transpose(inputs: Sequence[Array], _: Mapping[str, str]) -> Sequence[Array]:
    return [inputs[0].transpose(_axes(inputs[1]) or None)]


def _unsqueeze(inputs: Sequence[Array], _: Mapping[str, str]) -> Sequence[Array]:
    return [np.expand_dims(inputs[0], _axes(inputs[1]))]


def _squeeze(inputs: Sequence[Array], _: Mapping[str, str]) -> Sequence[Array]:
    return [inputs[0].squeeze(_axes(inputs[1]) if len(inputs) > 1 else None)]


def _slice(inputs: Sequence[Array], _: Mapping[str, str]) -> Sequence[Array]:
    data, starts, stops, steps, *rest = inputs
    axes = _axes(rest[0]) if rest else tuple(range(starts.size))
    cut = [slice(None)] * data.ndim
    for axis, start, stop, step in zip(axes, _axes(starts), _axes(stops), _axes(steps), strict=True):
        if step < 0:
            raise UnknownOperation("a slice backwards")
        cut[axis] = slice(start, stop, step)
    return [data[tuple(cut)]]


def _range(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    start, stop, step = (one.item() for one in inputs)
    return [np.arange(start, stop, step).astype(_type(settings["output_type"]))]


def _broadcast(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    data, target = inputs[0], _axes(inputs[1])
    if settings["mode"] == "bidirectional":
        target = np.broadcast_shapes(data.shape, target)
    elif settings["mode"] != "numpy":
        raise UnknownOperation(f"Broadcast in the mode {settings['mode']}")
    return [np.broadcast_to(data, target)]


def _reduced(compute: Callable[[Array, tuple[int, ...], bool], Array]) -> Operation:
    def operation(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
        return [compute(inputs[0], _axes(inputs[1]), settings["keep_dims"] == "true")]

    return operation


def _length(data: Array, axes: tuple[int, ...], keep: bool) -> Array:
    found: Array = np.sqrt((data * data).sum(axes, keepdims=keep))
    return found


def _product(data: Array, axes: tuple[int, ...], keep: bool) -> Array:
    found: Array = data.prod(axes, keepdims=keep, dtype=data.dtype)
    return found


def _sigmoid(data: Array) -> Array:
    found: Array = np.float32(0.5) * (np.tanh(np.float32(0.5) * data) + np.float32(1))
    return found


def _gelu(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    data = inputs[0]
    if settings["approximation_mode"] == "TANH":
        inner = np.float32(0.7978845608) * (data + np.float32(0.044715) * data * data * data)
        return [np.float32(0.5) * data * (np.float32(1) + np.tanh(inner))]
    return [data * (np.float32(0.5) * (np.float32(1) + _error_function(data * np.float32(0.7071067812))))]


def _error_function(data: Array) -> Array:
    """Compute erf to 1.5e-7: Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26."""
    size = np.abs(data).astype(np.float64)
    t = 1 / (1 + 0.3275911 * size)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    found: Array = (np.sign(data) * (1 - series * np.exp(-size * size))).astype(np.float32)
    return found


def _softmax(data: Array, axis: int = -1) -> Array:
    powers = np.exp(data - data.max(axis, keepdims=True))
    found: Array = powers / powers.sum(axis, keepdims=True)
    return found


def _running_sum(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    if "true" in (settings.get("exclusive"), settings.get("reverse")):
        raise UnknownOperation("CumSum of another kind")
    return [np.cumsum(inputs[0], int(inputs[1]), inputs[0].dtype)]


def _attention(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    """Compute scaled dot-product attention; what is causal ignores the mask that is given."""
    queries, keys, values, mask, scale = inputs
    scores = (queries * np.float32(scale)) @ keys.swapaxes(-1, -2)
    if settings["causal"] == "true":
        mask = np.tril(np.ones(scores.shape[-2:], np.bool_))
    scores = np.where(mask, scores, np.float32(-np.inf)) if mask.dtype == np.bool_ else scores + mask
    return [_softmax(scores) @ values]


def _largest(inputs: Sequence[Array], settings: Mapping[str, str]) -> Sequence[Array]:
    if settings["mode"] != "max" or settings["sort"] != "value":
        raise UnknownOperation("TopK of another kind")
    data, axis = inputs[0], int(settings["axis"])
    order = np.argsort(-data, axis, kind="stable").take(range(int(inputs[1])), axis)
    return [np.take_along_axis(data, order, axis), order.astype(_type(settings["index_element_type"]))]


_OPERATIONS: Mapping[str, Operation] = {
    "Abs": _of_one(np.abs),
    "Add": _of_two(np.add),
    "BitwiseNot": _of_one(np.invert),
    "Broadcast": _broadcast,
    "Concat": lambda inputs, settings: [np.concatenate(inputs, int(settings["axis"]))],
    "Convert": lambda inputs, settings: [inputs[0].astype(_type(settings["destination_type"]), copy=False)],
    "CumSum": _running_sum,
    "Divide": _of_two(_divide),
    "Equal": _of_two(np.equal),
    "Gather": _gather,
    "Gelu": _gelu,
    "MVN": _mean_variance_normalised,
    "MatMul": _matrix_product,
    "Maximum": _of_two(np.maximum),
    "Multiply": _of_two(np.multiply),
    "NotEqual": _of_two(np.not_equal),
    "Range": _range,
    "ReduceL2": _reduced(_length),
    "ReduceProd": _reduced(_product),
    "Reshape": _reshape,
    "ScaledDotProductAttention": _attention,
    "Select": lambda inputs, _: [np.where(*inputs)],
    "ShapeOf": lambda inputs, settings: [np.array(inputs[0].shape, _type(settings["output_type"]))],
    "Sigmoid": _of_one(_sigmoid),
    "Slice": _slice,
    "SoftMax": lambda inputs, settings: [_softmax(inputs[0], int(settings["axis"]))],
    "Split": lambda inputs, settings: np.split(inputs[0], int(settings["num_splits"]), int(inputs[1])),
    "Squeeze": _squeeze,
    "Subtract": _of_two(np.subtract),
    "Tanh": _of_one(np.tanh),
    "TopK": _largest,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
