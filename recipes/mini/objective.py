"""The losses; pure functions of tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Contrast = Callable[[Tensor, Tensor, Tensor], Tensor]
"""A loss of (images, texts) logits, positives and pairs that are left out."""


def multi_positive_info_nce(logits: Tensor, positive: Tensor, unknown: Tensor) -> Tensor:
    """InfoNCE from rows to columns with several positives a row; pairs that may be right are not negatives.

    Each positive is compared with the negatives alone. Rows without a positive count nothing.

    Args:
        logits: (R, C), similarities by temperature.
        positive: (R, C) bool.
        unknown: (R, C) bool, pairs that are left out.
    """
    lowest = torch.finfo(logits.dtype).min
    negatives = logits.masked_fill(positive | unknown, lowest).logsumexp(1, keepdim=True)
    terms = (torch.logaddexp(logits, negatives) - logits) * positive
    counts = positive.sum(1)
    rows = counts > 0
    return (terms.sum(1)[rows] / counts[rows]).mean()


def both_ways(logits: Tensor, positive: Tensor, unknown: Tensor) -> Tensor:
    """The mean of the loss from images (rows) to texts (columns) and that from texts to images."""
    forward = multi_positive_info_nce(logits, positive, unknown)
    return (forward + multi_positive_info_nce(logits.T, positive.T, unknown.T)) / 2


def sigmoid_both_ways(logits: Tensor, positive: Tensor, unknown: Tensor) -> Tensor:
    """The pairwise sigmoid loss (SigLIP: Zhai et al., ICCV 2023, algorithm 1), its bias fitted to the batch.

    The bias is the one by which as many pairs are expected to be right as are right. The sum over pairs, by the
    number of images.

    Args:
        logits: (I, C), similarities by temperature.
        positive: (I, C) bool.
        unknown: (I, C) bool, pairs that are left out.
    """
    free = ~unknown
    biased = logits + _fitted_bias(logits.detach()[free], int(positive.sum()))
    signed = torch.where(positive, biased, -biased)
    return -(torch.nn.functional.logsigmoid(signed) * free).sum() / len(logits)


def _fitted_bias(logits: Tensor, right: int) -> float:
    low, high = -float(logits.max()) - 20, -float(logits.min()) + 20
    for _ in range(40):
        bias = (low + high) / 2
        if torch.sigmoid(logits + bias).sum() > right:
            high = bias
        else:
            low = bias
    return bias


def asymmetric(
    logits: Tensor, positive: Tensor, unknown: Tensor, focus: float = 2.0, margin: float = 0.05
) -> Tensor:
    """Multi-label loss with focus on the negatives that score high (ASL: Ridnik et al., ICCV 2021).

    With ``q = max(p - margin, 0)``: the sum over positives of ``-log p`` and over negatives of
    ``-q**focus * log(1 - q)``, by the number of images.

    Args:
        logits: (I, C).
        positive: (I, C) bool.
        unknown: (I, C) bool, pairs that are left out: annotators left small things out.
        focus: exponent of the negatives.
        margin: probability that is taken off a negative's.
    """
    shifted = (torch.sigmoid(logits) - margin).clamp_min(0)
    present = torch.nn.functional.logsigmoid(logits)
    absent = shifted**focus * torch.log1p(-shifted.clamp_max(1 - 1e-6))
    terms = torch.where(positive, present, absent).masked_fill(unknown, 0)
    return -terms.sum() / len(logits)


def similarities_lost(before: Tensor, now: Tensor) -> Tensor:
    """How far similarities are from earlier ones, row by row and column by column.

    The mean Kullback-Leibler divergence of what a row (or column) chooses now from what it chose before.

    Args:
        before: (R, C), similarities by temperature.
        now: the same, of the model that learns.
    """
    return divergence(before, now) + divergence(before.T, now.T)


def divergence(before: Tensor, now: Tensor) -> Tensor:
    """The mean Kullback-Leibler divergence of what rows choose now from what they chose before; as above."""
    wanted, said = before.log_softmax(1), now.log_softmax(1)
    return (wanted.exp() * (wanted - said)).sum(1).mean()
