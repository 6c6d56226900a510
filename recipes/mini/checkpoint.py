"""Checkpoints of a stage: all that the next step needs, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recipes.mini.start import Tensors


class Average:
    """The exponential moving average of the weights of a module that learn."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module, self._decay = module, decay
        self.values = {name: value.detach().clone() for name, value in self._learned().items()}
        self._steps = 0

    def _learned(self) -> dict[str, nn.Parameter]:
        return {name: value for name, value in self._module.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Follow the weights; quickly in the first steps."""
        self._steps += 1
        decay = min(self._decay, self._steps / (self._steps + 10))
        for name, value in self._learned().items():
            self.values[name].lerp_(value, 1 - decay)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"values": self.values, "steps": self._steps}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.values, self._steps = state["values"], state["steps"]

    def apply(self) -> Tensors:
        """The averaged weights."""
        return {name: value.clone() for name, value in self.values.items()}


def write(path: Path, state: Any) -> None:
    """Write or replace a file in one step."""
    new = path.with_suffix(f".{os.getpid()}.new")
    torch.save(state, new)
    new.replace(path)


def read(path: Path) -> Any:
    """What :func:`write` wrote; tensors and plain values only."""
    return torch.load(path, weights_only=True)
