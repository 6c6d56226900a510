"""Steps of AdamW, each group of parameters with a rate of its own; and the lines of metrics that a run leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn


class Log:
    """Lines of metrics, shown and kept."""

    def __init__(self, out: Path) -> None:
        self.path, self.started = out / "metrics.jsonl", time.monotonic()

    def __call__(self, **line: object) -> None:
        """Add one."""
        text = json.dumps(line | {"seconds": round(time.monotonic() - self.started)})
        print(text, flush=True)
        with self.path.open("a") as file:
            file.write(text + "\n")


def groups(*parts: tuple[Iterable[nn.Parameter], float, float]) -> list[dict[str, object]]:
    """Optimizer groups of (parameters, peak rate, weight decay)."""
    return [{"params": list(p), "lr": rate, "peak": rate, "weight_decay": decay} for p, rate, decay in parts]


def set_rates(optimizer: torch.optim.Optimizer, share: float) -> None:
    """Give each group a share of its peak rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak"] * share


def step(optimizer: torch.optim.Optimizer, loss: Tensor, share: float) -> None:
    """One step down ``loss`` at a share of the peak rates."""
    set_rates(optimizer, share)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
