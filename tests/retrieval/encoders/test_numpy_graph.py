"""Graphs that OpenVINO has written, in numpy: each operation gives what OpenVINO's own runtime gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval import openvino_runtime
from retrieval.encoders.runtimes.numpy_graph import NumpyGraph, UnknownOperation

pytestmark = pytest.mark.skipif(not openvino_runtime.is_installed(), reason="OpenVINO is not installed")

Op = Any
Build = Callable[[Op, Any], Any]
GIVEN = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)


def ints(op: Op, *values: int) -> Any:
    return op.constant(np.array(values, np.int64))


def whole(op: Op, value: int) -> Any:
    return op.constant(np.array(value, np.int64))


def weights(op: Op, *shape: int) -> Any:
    return op.constant(np.random.default_rng(1).standard_normal(shape).astype(np.float32))


def as_float(op: Op, node: Any) -> Any:
    return op.convert(node, np.float32)


def attention(op: Op, x: Any, mask: Any, causal: bool) -> Any:
    scale = op.constant(np.float32(0.5))
    return op.scaled_dot_product_attention(x, x, x, mask, scale, causal)


OPERATIONS: dict[str, Build] = {
    "Abs": lambda op, x: op.abs(x),
    "Add": lambda op, x: op.add(x, weights(op, 4)),
    "BitwiseNot": lambda op, x: op.bitwise_not(op.equal(x, op.abs(x))),
    "Broadcast": lambda op, x: op.broadcast(op.reduce_l2(x, ints(op, 2), True), ints(op, 2, 3, 5)),
    "Broadcast both ways": lambda op, x: op.broadcast(
        x, ints(op, 5, 1, 3, 1), broadcast_spec="BIDIRECTIONAL"
    ),
    "Concat": lambda op, x: op.concat([x, weights(op, 2, 1, 4)], 1),
    "CumSum": lambda op, x: op.cum_sum(x, whole(op, 1)),
    "Divide": lambda op, x: op.divide(x, weights(op, 3, 1)),
    "Equal": lambda op, x: op.equal(x, op.abs(x)),
    "Gather": lambda op, x: op.gather(x, ints(op, 2, -1, 0), whole(op, 1)),
    "Gelu": lambda op, x: op.gelu(x, "ERF"),
    "Gelu by tanh": lambda op, x: op.gelu(x, "TANH"),
    "MVN": lambda op, x: op.mvn(x, ints(op, -1), True, 1e-5, "INSIDE_SQRT"),
    "MatMul": lambda op, x: op.matmul(x, weights(op, 4, 6), False, False),
    "MatMul transposed": lambda op, x: op.matmul(x, weights(op, 6, 4), False, True),
    "Maximum": lambda op, x: op.maximum(x, weights(op, 4)),
    "Multiply": lambda op, x: op.multiply(x, weights(op, 3, 1)),
    "NotEqual": lambda op, x: op.not_equal(x, op.abs(x)),
    "Range": lambda op, x: op.add(op.range(whole(op, 1), whole(op, 9), whole(op, 3), "i64"), whole(op, 0)),
    "ReduceL2": lambda op, x: op.reduce_l2(x, ints(op, 1, 2), False),
    "ReduceProd": lambda op, x: op.reduce_prod(op.shape_of(x), ints(op, 0), True),
    "Reshape": lambda op, x: op.reshape(x, ints(op, 6, -1), False),
    "Reshape by zeros": lambda op, x: op.reshape(x, ints(op, 0, -1), True),
    "SDPA with a mask": lambda op, x: attention(op, x, weights(op, 3, 3), False),
    "SDPA with a mask of booleans": lambda op, x: attention(
        op, x, op.constant(np.tri(3, dtype=np.bool_)), False
    ),
    "SDPA, causal": lambda op, x: attention(op, x, op.constant(np.float32(0)), True),
    "Select": lambda op, x: op.select(op.equal(x, op.abs(x)), x, weights(op, 4)),
    "ShapeOf": lambda op, x: op.shape_of(x),
    "Sigmoid": lambda op, x: op.sigmoid(op.multiply(x, op.constant(np.float32(30)))),
    "Slice": lambda op, x: op.slice(x, ints(op, 1, -3), ints(op, 2, 9), ints(op, 1, 2), ints(op, 0, 2)),
    "SoftMax": lambda op, x: op.softmax(x, 1),
    "Split": lambda op, x: op.split(x, whole(op, 2), 2).output(1),
    "Squeeze": lambda op, x: op.squeeze(op.reduce_l2(x, ints(op, 1), True), ints(op, 1)),
    "Subtract": lambda op, x: op.subtract(x, weights(op, 3, 1)),
    "Tanh": lambda op, x: op.tanh(x),
    "TopK": lambda op, x: op.topk(x, whole(op, 2), 2, "max", "value").output(0),
    "TopK, places": lambda op, x: op.topk(x, whole(op, 2), 2, "max", "value").output(1),
    "Transpose": lambda op, x: op.transpose(x, ints(op, 2, 0, 1)),
    "Unsqueeze": lambda op, x: op.unsqueeze(x, ints(op, 1, -1)),
}


def write(path: Path, build: Build) -> Any:
    """Write a graph of one input, (rows, 3, 4), and give it."""
    openvino = openvino_runtime.import_openvino()
    op = openvino.opset13
    given = op.parameter([-1, 3, 4], np.float32)
    found = op.multiply(
        as_float(op, build(op, given)), op.constant(np.float32(1))
    )  # no file without constants
    model = openvino.Model([found], [given], "m")
    openvino.save_model(model, str(path), compress_to_fp16=False)
    return model


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_gives_what_openvino_gives(name: str, tmp_path: Path) -> None:
    model = write(tmp_path / "m.xml", OPERATIONS[name])
    compiled = openvino_runtime.openvino_core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )

    found = NumpyGraph(tmp_path / "m.xml").rows(GIVEN)

    expected: NDArray[np.float32] = compiled([GIVEN])[0]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5


def test_the_error_function_is_that_of_python(tmp_path: Path) -> None:
    write(tmp_path / "m.xml", lambda op, x: op.gelu(x, "ERF"))
    values = np.linspace(-6, 6, 1200, dtype=np.float32).reshape(100, 3, 4)

    found = NumpyGraph(tmp_path / "m.xml").rows(values)

    expected = [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in values.ravel().tolist()]
    assert np.abs(found.ravel() - expected).max() < 1e-6


@pytest.mark.parametrize(
    "build",
    [
        lambda op, x: op.sin(x),
        lambda op, x: op.reduce_l2(op.convert(x, np.float16), op.constant(np.array([1])), True),
        lambda op, x: op.divide(op.shape_of(x), op.constant(np.array([2]))),
        lambda op, x: op.slice(x, *(op.constant(np.array([one])) for one in (-1, -3, -1, 1))),
    ],
    ids=["operation", "type", "division of whole numbers", "slice backwards"],
)
def test_what_is_not_known_is_refused(build: Build, tmp_path: Path) -> None:
    write(tmp_path / "m.xml", build)

    with pytest.raises(UnknownOperation):
        NumpyGraph(tmp_path / "m.xml").rows(GIVEN)
