"""MLPs in graphs as convolutions: the same rows, and only where it is an MLP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval import openvino_runtime
from retrieval.encoders.runtimes.openvino_mlps import mlps_as_convolutions
from retrieval.openvino_runtime import import_openvino, openvino_core

pytestmark = pytest.mark.skipif(not openvino_runtime.is_installed(), reason="OpenVINO is not installed")

TOKENS, WIDTH, HIDDEN = 5, 24, 40

Node = Any
Activation = Callable[[Any, Node], Node]


def quick_gelu(op: Any, node: Node) -> Node:
    scaled = op.multiply(node, op.constant(np.full((1, 1, 1), 1.702, np.float32)))
    return op.multiply(node, op.sigmoid(scaled))


def by_channel(op: Any, node: Node) -> Node:
    return op.multiply(node, op.constant(np.linspace(0, 1, HIDDEN, dtype=np.float32)))


ACTIVATIONS: dict[str, Activation] = {
    "quick gelu": quick_gelu,
    "gelu": lambda op, node: op.gelu(node, "erf"),
    "gelu by tanh": lambda op, node: op.gelu(node, "tanh"),
    "relu": lambda op, node: op.relu(node),
}


def linear(op: Any, given: Node, width: int, out: int, seed: int) -> Node:
    random = np.random.default_rng(seed)
    weight = op.constant(random.standard_normal((out, width)).astype(np.float32) / width**0.5)
    bias = op.constant(random.standard_normal((1, 1, out)).astype(np.float32))
    return op.add(op.matmul(given, weight, False, True), bias)


def model_of(build: Callable[[Any, Node], Node], shape: tuple[int, ...] = (-1, TOKENS, WIDTH)) -> Any:
    openvino = import_openvino()
    op = openvino.opset13
    given = op.parameter(list(shape), np.float32)
    return openvino.Model([build(op, given)], [given], "model")


def rows_of(model: Any, count: int = 3) -> NDArray[np.float32]:
    given = np.random.default_rng(9).standard_normal((count, TOKENS, WIDTH)).astype(np.float32)
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(compiled([given])[0], np.float32)


def two_layers(op: Any, given: Node, activation: Activation) -> Node:
    for seed in (0, 2):
        hidden = activation(op, linear(op, given, WIDTH, HIDDEN, seed))
        given = op.add(given, linear(op, hidden, HIDDEN, WIDTH, seed + 1))
    return given


@pytest.mark.parametrize("activation", ACTIVATIONS.values(), ids=ACTIVATIONS)
@pytest.mark.parametrize("count", [1, 3])
def test_each_mlp_of_a_graph_becomes_convolutions_that_give_the_same_rows(
    activation: Activation, count: int
) -> None:
    model = model_of(lambda op, given: two_layers(op, given, activation))
    expected = rows_of(model, count)

    assert mlps_as_convolutions(model) == 2
    kinds = [node.get_type_name() for node in model.get_ordered_ops()]
    assert kinds.count("Convolution") == 4
    assert "MatMul" not in kinds
    assert np.abs(rows_of(model, count) - expected).max() < 1e-5
    assert mlps_as_convolutions(model) == 0


def used_twice(op: Any, given: Node) -> Node:
    hidden = op.relu(linear(op, given, WIDTH, HIDDEN, 0))
    return op.concat([linear(op, hidden, HIDDEN, WIDTH, 1), hidden], 2)


def into_two(op: Any, given: Node) -> Node:
    hidden = op.relu(linear(op, given, WIDTH, HIDDEN, 0))
    return op.add(linear(op, hidden, HIDDEN, WIDTH, 1), linear(op, hidden, HIDDEN, WIDTH, 2))


def gated(op: Any, given: Node) -> Node:
    gate = op.sigmoid(linear(op, given, WIDTH, HIDDEN, 0))
    return linear(op, op.multiply(gate, linear(op, given, WIDTH, HIDDEN, 1)), HIDDEN, WIDTH, 2)


def of_tokens(op: Any, given: Node) -> Node:
    bias = op.constant(np.arange(TOKENS, dtype=np.float32).reshape(TOKENS, 1))
    weight = op.constant(np.eye(TOKENS, WIDTH, dtype=np.float32))
    hidden = op.relu(op.add(op.matmul(given, weight, False, True), bias))
    return linear(op, hidden, TOKENS, WIDTH, 1)


def without_bias(op: Any, given: Node) -> Node:
    weight = op.constant(np.eye(HIDDEN, WIDTH, dtype=np.float32))
    return linear(op, op.relu(op.matmul(given, weight, False, True)), HIDDEN, WIDTH, 1)


OTHERS: dict[str, Callable[[Any, Node], Node]] = {
    "hidden values used elsewhere": used_twice,
    "two maps behind the activation": into_two,
    "a gate": gated,
    "a bias a token": of_tokens,
    "no bias": without_bias,
    "an activation that differs by channel": lambda op, given: two_layers(op, given, by_channel),
}


@pytest.mark.parametrize("build", OTHERS.values(), ids=OTHERS)
def test_what_is_not_an_mlp_is_left_as_it_is(build: Callable[[Any, Node], Node]) -> None:
    model = model_of(build)
    before = [node.get_type_name() for node in model.get_ordered_ops()]

    assert mlps_as_convolutions(model) == 0
    assert [node.get_type_name() for node in model.get_ordered_ops()] == before


def test_a_graph_of_any_number_of_tokens_is_left_as_it_is() -> None:
    model = model_of(lambda op, given: two_layers(op, given, ACTIVATIONS["relu"]), (-1, -1, WIDTH))

    assert mlps_as_convolutions(model) == 0
