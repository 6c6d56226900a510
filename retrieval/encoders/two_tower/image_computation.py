"""What computes the image tower of a two-tower model, in which precision."""

from __future__ import annotations

from typing import Literal

from retrieval import openvino_runtime
from retrieval.encoders.runtimes.choice import PRECISION_VARIABLE, VARIABLE, Computation
from retrieval.encoders.runtimes.openvino_graph import ComputedPrecision
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
    needed = asked.runtime == "openvino" or (knows and asked == Computation("auto", "bfloat16"))
    if needed:
        openvino_runtime.check_installed()
    proven = knows and openvino_runtime.is_installed() and read_reference(folder.path, config) is not None
    if needed or (asked.runtime == "auto" and proven):
        fast = asked.precision == "auto" and multiplies_bfloat16()
        return "openvino", "bfloat16" if fast or asked.precision == "bfloat16" else "float32"
    if asked.precision == "bfloat16":
        raise ModelError(f"torch computes {folder.path} in float32 alone; {USE_FLOAT32}")
    return "torch", "float32"
