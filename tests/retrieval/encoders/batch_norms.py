"""Batch normalisations as after training: statistics that are neither 0 nor 1."""

from __future__ import annotations

import torch


def randomise(module: torch.nn.BatchNorm2d) -> None:
    assert module.running_mean is not None
    assert module.running_var is not None
    module.running_mean.uniform_(-0.5, 0.5)
    module.running_var.uniform_(0.5, 2)
