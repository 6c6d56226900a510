"""Checkpoints that a killed run goes on from: one safetensors file, switched by a rename."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from retrieval.errors import TrainingError

_FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: epochs done, and the digest of the configuration that it must go on with."""

    epoch: int
    config: str
    best: float


def write_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor],
    at: Progress,
) -> None:
    """Replace the checkpoint: after a kill at any moment the old or the new one is there, whole."""
    tensors = {f"model.{n}": v for n, v in model.state_dict().items()}
    tensors |= {f"averaged.{n}": v for n, v in averaged.items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{n}": torch.as_tensor(v) for n, v in state.items()}
    temporary = folder / f"{_FILE}.tmp"
    facts = {"progress": json.dumps({"epoch": at.epoch, "config": at.config, "best": at.best})}
    save_file({n: v.detach().contiguous().clone() for n, v in tensors.items()}, temporary, metadata=facts)
    with temporary.open("rb") as written:
        os.fsync(written.fileno())
    temporary.replace(folder / _FILE)


def read_checkpoint(
    folder: Path,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    averaged: dict[str, Tensor],
    config: str,
) -> Progress | None:
    """Load the checkpoint into model, optimizer and averaged weights; None where there is none.

    Raises TrainingError where it is damaged or of a run with another configuration.
    """
    path = folder / _FILE
    if not path.exists():
        return None
    try:
        from safetensors import safe_open  # only its header interface is needed here

        with safe_open(path, "pt") as opened:
            at = Progress(**json.loads(opened.metadata()["progress"]))
        tensors = load_file(path)
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"checkpoint {path} is damaged ({error}); delete it to start again") from error
    if at.config != config:
        raise TrainingError(
            f"{folder} holds a run with other settings; repeat its settings or name another --out"
        )
    model.load_state_dict({n.removeprefix("model."): v for n, v in tensors.items() if n.startswith("model.")})
    for name in averaged:
        averaged[name] = tensors[f"averaged.{name}"]
    whole = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, index, field = name.split(".")
            state.setdefault(int(index), {})[field] = value
    whole["state"] = state
    optimizer.load_state_dict(whole)
    return at
