"""Learning rates, weight decay and locked parts over the steps of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from torch import nn

Part = Literal["image", "text", "head", "scale"]
"""What has a learning rate of its own: a tower, the projections into the shared space, the temperature."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The steps, from 0, in which one part is trained, and its peak learning rate.

    Attributes:
        start: first step in which it learns; it is locked before.
        warmup: steps over which its rate rises.
        total: steps of the whole run.
        peak: learning rate.
    """

    start: int
    warmup: int
    total: int
    peak: float

    def is_locked(self, step: int) -> bool:
        """Whether the part is not trained in this step."""
        return step < self.start

    def rate(self, step: int) -> float:
        """Compute the learning rate at a step; 0 while the part is locked."""
        if self.is_locked(step):
            return 0.0
        return self.peak * warmup_cosine(step - self.start, self.warmup, self.total - self.start)


def warmup_cosine(step: int, warmup: int, total: int) -> float:
    """Compute the share of the peak learning rate at ``step`` (from 0): linear warm-up, then half a cosine to 0."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))


def parameter_groups(
    parts: Iterable[tuple[Part, Iterable[nn.Parameter]]], weight_decay: float
) -> list[dict[str, object]]:
    """Make AdamW groups, marked with their ``part``; norms, biases and other vectors do not decay."""
    groups: list[dict[str, object]] = []
    for part, parameters in parts:
        own = list(parameters)
        for params, decay in (
            ([p for p in own if p.ndim >= 2], weight_decay),
            ([p for p in own if p.ndim < 2], 0.0),
        ):
            if params:
                groups.append({"params": params, "lr": 0.0, "weight_decay": decay, "part": part})
    return groups
