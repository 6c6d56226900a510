"""Learning rates and weight decay over a run."""

from __future__ import annotations

import math
from collections.abc import Iterable

from torch import nn


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Share of the peak learning rate at ``step`` (from 0): linear up to it, then half a cosine down to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def parameter_groups(
    parts: Iterable[tuple[nn.Module, float]], weight_decay: float
) -> list[dict[str, object]]:
    """AdamW groups of modules with their peak rates; norms, biases and other vectors do not decay."""
    groups: list[dict[str, object]] = []
    for module, rate in parts:
        trained = [p for p in module.parameters() if p.requires_grad]
        for params, decay in (
            ([p for p in trained if p.ndim >= 2], weight_decay),
            ([p for p in trained if p.ndim < 2], 0.0),
        ):
            if params:
                groups.append({"params": params, "lr": rate, "peak": rate, "weight_decay": decay})
    return groups
