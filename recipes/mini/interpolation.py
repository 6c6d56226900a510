"""Weights between two models (WiSE-FT: Wortsman et al., CVPR 2022), and the mean of several (model soup, ICML 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from recipes.mini.start import Tensors


def interpolate(start: Tensors, end: Tensors, share: float) -> Tensors:
    """Weights ``share`` of the way from ``start`` to ``end``; what is not a float is the start's."""
    return {
        name: value.lerp(end[name], share) if value.is_floating_point() else value
        for name, value in start.items()
    }


def interpolate_towers(start: Tensors, end: Tensors, images: float, texts: float) -> Tensors:
    """The same with a share of its own for the image tower and its projection, and one for everything else."""
    towers = interpolate(start, end, images), interpolate(start, end, texts)
    return {name: towers[0 if name.startswith("image") else 1][name] for name in start}


def mean(models: Sequence[Tensors]) -> Tensors:
    """The mean of several models' weights."""
    first = models[0]
    return {
        name: torch.stack([one[name] for one in models]).mean(0) if value.is_floating_point() else value
        for name, value in first.items()
    }
