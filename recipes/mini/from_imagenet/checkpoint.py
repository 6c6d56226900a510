"""Files that are there whole or not at all; and checkpoints of fine-tuning, with all that the next epoch needs."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]


def write(path: Path, tensors: Tensors) -> None:
    """Write or replace the file in one step."""
    new = path.with_suffix(f".{os.getpid()}.new")  # several processes may keep the same features
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, new)
    new.replace(path)


def keep(
    path: Path, learned: Tensors, averaged: Tensors, optimizer: torch.optim.Optimizer, epoch: int
) -> None:
    """Write weights, their average, the optimizer's moments and the number of epochs that are done."""
    tensors = {f"learned.{name}": value for name, value in learned.items()}
    tensors |= {f"averaged.{name}": value for name, value in averaged.items()}
    for place, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{place}.{name}": torch.as_tensor(value) for name, value in state.items()}
    write(path, tensors | {"epoch": torch.tensor(epoch)})


def resume(path: Path, learned: Tensors, averaged: Tensors, optimizer: torch.optim.Optimizer) -> int:
    """Fill all three from the checkpoint; the number of epochs that are done."""
    kept = load_file(path)
    moments: dict[int, Tensors] = {}
    for name, value in kept.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            place, _, field = rest.partition(".")
            moments.setdefault(int(place), {})[field] = value
    copy(kept, "learned.", learned)
    copy(kept, "averaged.", averaged)
    optimizer.load_state_dict(optimizer.state_dict() | {"state": moments})
    for parameter, own in optimizer.state.items():
        for field in ("exp_avg", "exp_avg_sq"):  # fused steps walk moments and weights side by side in memory
            own[field] = torch.empty_like(parameter).copy_(own[field])
    return int(kept["epoch"])


@torch.no_grad()
def copy(source: Tensors, prefix: str, target: Tensors) -> None:
    """Into each tensor of ``target`` what ``source`` has under its prefixed name."""
    for name, value in target.items():
        value.copy_(source[prefix + name])
