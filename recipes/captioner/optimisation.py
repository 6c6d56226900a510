"""AdamW on float32 copies of weights that are computed in bfloat16, their running mean, and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_DECAY = 0.02


class Optimisation:
    """Change a module's weights by the gradients of its bfloat16 computation.

    Args:
        module: brought to bfloat16.
        clip: largest norm of a step's gradients.
        mean: largest share of the running mean that stays at a step.
    """

    def __init__(self, module: nn.Module, clip: float, mean: float) -> None:
        self.module, self._clip, self._mean = module.to(torch.bfloat16), clip, mean
        self._names = [name for name, _ in module.named_parameters()]
        self._low = list(module.parameters())
        self._whole = [one.detach().float() for one in self._low]
        for one in self._whole:
            one.grad = torch.zeros_like(one)
        self.running = [one.clone() for one in self._whole]
        groups = [
            {"params": [one for one in self._whole if one.dim() > 1], "weight_decay": _DECAY},
            {"params": [one for one in self._whole if one.dim() <= 1], "weight_decay": 0.0},
        ]
        self._adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        self.step = 0

    @torch.no_grad()
    def take(self, rate: float) -> None:
        """Take a step by the gradients that the module has, which are gone then."""
        for whole, low in zip(self._whole, self._low, strict=True):
            assert whole.grad is not None
            assert low.grad is not None
            whole.grad.copy_(low.grad)
        torch.nn.utils.clip_grad_norm_(self._whole, self._clip)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        for whole, low in zip(self._whole, self._low, strict=True):
            low.copy_(whole)
            low.grad = None
        self.step += 1
        stays = min(self._mean, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(self.running, self._whole, 1 - stays)

    def mean_state(self) -> dict[str, Tensor]:
        """Give the running mean, float32 by name."""
        return dict(zip(self._names, self.running, strict=True))

    @torch.no_grad()
    def begin_with(self, state: dict[str, Tensor]) -> None:
        """Set the weights and their running mean."""
        for name, whole, low, mean in zip(self._names, self._whole, self._low, self.running, strict=True):
            for one in (whole, low, mean):
                one.copy_(state[name])

    def save(self, file: Path) -> None:
        """Write a checkpoint."""
        facts = {
            "step": self.step,
            "whole": self._whole,
            "running": self.running,
            "adam": self._adam.state_dict(),
        }
        new = file.with_suffix(".new")
        torch.save(facts, new)
        new.replace(file)

    @torch.no_grad()
    def restore(self, file: Path) -> None:
        """Go on from a checkpoint, if there is one."""
        if not file.exists():
            return
        facts: dict[str, Any] = torch.load(file, weights_only=True)
        self.step = facts["step"]
        self._adam.load_state_dict(facts["adam"])
        for ours, theirs in (("_whole", "whole"), ("running", "running"), ("_low", "whole")):
            for mine, saved in zip(getattr(self, ours), facts[theirs], strict=True):
                mine.copy_(saved)
