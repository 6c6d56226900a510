"""Operations that stay in float32 in a graph that is computed in bfloat16."""

from __future__ import annotations

from typing import Any

import numpy as np

from retrieval.encoders.runtimes.openvino_exact import keep_in_float32
from retrieval.openvino_runtime import import_openvino, openvino_core
from tests.retrieval.encoders.openvino_models import needs_openvino

_GIVEN = np.random.default_rng(0).standard_normal((1, 16, 8, 8)).astype(np.float32)


def _convolution(node: Any, seed: int) -> Any:
    op = import_openvino().opset13
    weight = np.random.default_rng(seed).standard_normal((16, 16, 3, 3)).astype(np.float32)
    return op.relu(op.convolution(node, op.constant(weight), [1, 1], [1, 1], [1, 1], [1, 1]))


def _computed(hint: str, kept: bool) -> tuple[np.ndarray, np.ndarray]:
    """The output of two convolutions with a sum between them, and of one behind them."""
    op = import_openvino().opset13
    given = op.parameter(list(_GIVEN.shape), np.float32)
    first = _convolution(given, 1)
    second = op.add(_convolution(first, 2), first)
    if kept:
        keep_in_float32(second)
    model = import_openvino().Model([second, _convolution(second, 3)], [given]).clone()
    outputs = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})(_GIVEN)
    return np.array(outputs[0]), np.array(outputs[1])


@needs_openvino
def test_what_is_kept_has_the_bits_of_float32_and_what_follows_has_not() -> None:
    exact, kept, fast = _computed("f32", False), _computed("bf16", True), _computed("bf16", False)

    assert np.array_equal(kept[0], exact[0])
    computes_in_bfloat16 = not np.array_equal(fast[0], exact[0])  # old processors take float32 all the same
    assert np.array_equal(kept[1], exact[1]) is not computes_in_bfloat16
