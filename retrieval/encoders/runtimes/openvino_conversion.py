"""Towers of torch to graphs of OpenVINO, once per model: traced, converted, and compared with torch.

The converter is taken from OpenVINO's frontend directly: ``openvino.convert_model`` is the same, but lies with the
tools that report each import to their makers.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from retrieval.encoders.runtimes.openvino_graph import PRECISION_HINTS
from retrieval.openvino_runtime import import_openvino, openvino_core

if TYPE_CHECKING:
    from torch import Tensor

LEAST_COSINE = 0.9999
"""Least cosine, in float32, between a row of a graph and torch's."""

Inputs = tuple[NDArray[Any], ...]
Comparison = tuple[Inputs, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class ConvertedTower:
    """A graph with what was measured of it.

    Attributes:
        model: an ``openvino.Model`` whose first axis is free.
        cosine: the least, in float32, of all rows that were compared.
        bfloat16_cosine: the least in bfloat16.
    """

    model: Any
    cosine: float
    bfloat16_cosine: float


def convert_tower(
    compute: Callable[..., Tensor],
    example: Inputs,
    comparisons: Sequence[Comparison],
    shape: Sequence[int],
) -> ConvertedTower:
    """Convert what torch computes to a graph.

    Args:
        compute: rows, (n, d) float32, of tensors.
        example: inputs to trace it with.
        comparisons: inputs of several sizes and torch's rows of them.
        shape: of all inputs, -1 where an axis is free.

    Raises:
        ValueError: torch or the converter cannot, or the graph computes other rows; the message is a clause.
    """
    import torch

    with _quietly(), torch.no_grad():  # not inference_mode: its tensors cannot be traced
        try:
            model = _traced(compute, example)
            model.reshape({one: list(shape) for one in model.inputs})
            exact, fast = (
                _least_cosine(model, PRECISION_HINTS[precision], comparisons)
                for precision in ("float32", "bfloat16")
            )
        # The converter knows some operators and not others, and says so in many ways.
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(f"it cannot be converted ({reason[:200]})") from error
    if not exact >= LEAST_COSINE:
        raise ValueError(f"its rows have a cosine of {exact:.6f} to torch's, less than {LEAST_COSINE}")
    return ConvertedTower(model, exact, fast)


def _traced(compute: Callable[..., Tensor], example: Inputs) -> Any:
    import torch

    import_openvino()
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    class Tower(torch.nn.Module):
        def forward(self, *inputs: Tensor) -> Tensor:
            return compute(*inputs)

    trace: Any = torch.jit.trace  # has no types
    traced = trace(Tower().eval(), tuple(map(torch.from_numpy, example)), check_trace=False)
    frontend = FrontEndManager().load_by_framework("pytorch")
    decoder = TorchScriptPythonDecoder(traced)  # must outlive the conversion, which holds no reference
    return frontend.convert(frontend.load(decoder))


def _least_cosine(model: Any, hint: str, comparisons: Sequence[Comparison]) -> float:
    compiled = openvino_core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint})
    least = 1.0
    for inputs, rows in comparisons:
        found = compiled(list(inputs))[0].astype(np.float64)
        lengths = np.linalg.norm(found, axis=1)
        if found.shape != rows.shape or not (np.isfinite(found).all() and (lengths > 0).all()):
            return float("nan")
        least = min(least, float(((found * rows).sum(axis=1) / lengths).min()))
    return least


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep the warnings of tracing (of constants, which the comparison covers) and of transformers off the terminal."""
    loggers = [logging.getLogger(name) for name in ("transformers", "torch")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
