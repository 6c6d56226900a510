"""What computes the image tower of a two-tower model, in which precision."""

from __future__ import annotations

from typing import Literal

from retrieval import openvino_runtime
from retrieval.encoders.runtimes.choice import PRECISION_VARIABLE, VARIABLE, Computation, Precision
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision
from retrieval.encoders.two_tower.activation_ranges import read_ranges
from retrieval.encoders.two_tower.folder import TwoTowerFolder
from retrieval.encoders.two_tower.image_layers import has_layers
from retrieval.encoders.two_tower.reference import read_reference
from retrieval.errors import ModelError
from retrieval.extras import require
from retrieval.processor import multiplies_bfloat16

USE_TORCH = f"use the runtime torch, with {VARIABLE}=torch"
USE_FLOAT32 = f"use float32, with {PRECISION_VARIABLE}=float32"


def image_computation(
    folder: TwoTowerFolder, device: str, asked: Computation
) -> tuple[Literal["torch", "openvino"], ComputedPrecision]:
    """Decide what computes the image tower, in which precision.

    Raises:
        ModelError: what was asked for does not know the backbone, the device or the precision.
        MissingExtra: it is not installed.
    """
    if asked.runtime == "torch":
        require("models", "the runtime torch")
    config = folder.config
    knows = device == "cpu" and has_layers(config.image)
    if asked.runtime == "openvino" and not knows:
        raise ModelError(
            f"the runtime openvino cannot compute {folder.path} ({config.image.backbone} on {device}); "
            "use the runtime torch"
        )
    lower = asked.precision in ("bfloat16", "int8")
    needed = asked.runtime == "openvino" or (knows and asked.runtime == "auto" and lower)
    if needed:
        openvino_runtime.check_installed()
    proven = knows and openvino_runtime.is_installed() and read_reference(folder.path, config) is not None
    if needed or (asked.runtime == "auto" and proven):
        if asked.precision == "int8":
            read_ranges(folder.path)  # refused now where it has none, not at the first image
        return "openvino", _resolved(asked.precision)
    if lower:
        raise ModelError(f"torch computes {folder.path} in float32 alone; {USE_FLOAT32}")
    return "torch", "float32"


def _resolved(precision: Precision) -> ComputedPrecision:
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16() else "float32"
