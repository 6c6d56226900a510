"""Losses of a dual encoder, each from its paper; pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor


def info_nce(images: Tensor, texts: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE in both directions, averaged (CLIP: Radford et al., ICML 2021), with several positives a row.

    Args:
        images: (I, D) unit rows.
        texts: (T, D) unit rows.
        positives: (I, T) bool; does text t describe picture i? Every row and column has one at least.
        scale: 1/temperature.

    Each positive meets the negatives alone: two captions of a picture are not each other's negatives.
    With one positive a row this is CLIP's loss.
    """
    logits = scale * images @ texts.T
    return (_one_way(logits, positives) + _one_way(logits.T, positives.T)) / 2


def distillation(students: Tensor, teachers: Tensor) -> Tensor:
    """Mean of one minus the cosine of (B, D) student and teacher rows (after Reimers and Gurevych, 2020)."""
    return 1 - torch.nn.functional.cosine_similarity(students, teachers, dim=-1).mean()


def _one_way(logits: Tensor, positives: Tensor) -> Tensor:
    negatives = logits.masked_fill(positives, float("-inf")).logsumexp(1, keepdim=True)
    terms = torch.logaddexp(logits, negatives) - logits
    per_row = (terms * positives).sum(1) / positives.sum(1)
    return per_row.mean()
