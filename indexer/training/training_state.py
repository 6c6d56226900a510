"""Checkpoints from which a killed run continues, bit for bit: one safetensors file, replaced by a rename."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from indexer.training.messages import writing
from retrieval.errors import TrainingError, first_line

FILE = "checkpoint.safetensors"


@dataclass(frozen=True, slots=True)
class TrainingPosition:
    """How far a training run has come.

    Attributes:
        run: digest of recipe, data and initial weights; only a run with the same digest can continue from here.
        epoch: epoch of the next step, from 0.
        step: next step within that epoch, from 0.
        losses: losses of the steps of this epoch so far.
        best: best validation score so far; -1 before the first validation.
        best_epoch: epoch of the best score, from 1; 0 before the first validation.
        log_bytes: length of the metrics file at this checkpoint; later lines are cut off when the run continues.
        seconds: time spent so far.
    """

    run: str
    epoch: int = 0
    step: int = 0
    losses: tuple[float, ...] = field(default=())
    best: float = -1.0
    best_epoch: int = 0
    log_bytes: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingState:
    """State that training changes: weights and statistics of model and loss, averaged weights, the optimizer."""

    weights: dict[str, Tensor]
    objective: nn.Module
    averaged: dict[str, Tensor]
    optimizer: torch.optim.Optimizer


def write_checkpoint(folder: Path, learning: TrainingState, position: TrainingPosition) -> None:
    """Replace the checkpoint: after a kill or a power cut at any moment the old or the new one is there, whole.

    Raises:
        TrainingError: it cannot be written; the old one stays.
    """
    tensors = {f"model.{n}": v for n, v in learning.weights.items()}
    tensors |= {f"objective.{n}": v for n, v in learning.objective.state_dict().items()}
    tensors |= {f"averaged.{n}": v for n, v in learning.averaged.items()}
    for index, state in learning.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{n}": torch.as_tensor(v) for n, v in state.items()}
    plain = {n: v.detach().cpu().contiguous().clone() for n, v in tensors.items()}
    temporary = folder / f"{FILE}.tmp"
    with writing(folder / FILE):
        save_file(plain, temporary, metadata={"at": json.dumps(asdict(position))})
        _sync(temporary)
        temporary.replace(folder / FILE)
        _sync(folder)


def read_position(folder: Path) -> TrainingPosition | None:
    """Read how far the run in a folder has come; None where there is no checkpoint.

    Raises:
        TrainingError: the checkpoint is damaged.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as opened:
            facts = json.loads(opened.metadata()["at"])
        return TrainingPosition(**{**facts, "losses": tuple(facts["losses"])})
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from error


def load_checkpoint(folder: Path, learning: TrainingState) -> None:
    """Restore everything as it was when the checkpoint was written.

    Raises:
        TrainingError: it is damaged.
    """
    path = folder / FILE
    try:
        tensors = load_file(path)
        with torch.no_grad():
            for prefix, own in (("model", learning.weights), ("averaged", learning.averaged)):
                for name, value in own.items():
                    value.copy_(tensors[f"{prefix}.{name}"])
        learning.objective.load_state_dict(
            {n.partition(".")[2]: v for n, v in tensors.items() if n.startswith("objective.")}
        )
        _load_optimizer(learning.optimizer, tensors)
    except (SafetensorError, OSError, KeyError, RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Restore the optimizer's moments, each laid out in memory as its weight is.

    The fused step walks weight, gradient and moments side by side through memory: moments of another layout
    (a kernel's, channels last) would be those of other weights.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith("optimizer."):
            _, number, part = name.split(".")
            weight = weights[int(number)]
            same = value.shape == weight.shape and value.ndim > 0
            state.setdefault(int(number), {})[part] = torch.empty_like(weight).copy_(value) if same else value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _damaged(path: Path, error: Exception) -> TrainingError:
    reason = first_line(error)
    return TrainingError(f"checkpoint {path} is damaged ({reason}); delete it to start again")


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk; Windows cannot open folders and does not need it for them."""
    if path.is_dir() and os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
