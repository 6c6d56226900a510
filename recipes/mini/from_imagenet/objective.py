"""InfoNCE where not every text has a picture; pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def which(owners: Sequence[int], pictures: int) -> Tensor:
    """(pictures, texts) bool: text t describes picture ``owners[t]``."""
    positives = torch.zeros(pictures, len(owners), dtype=torch.bool)
    positives[torch.tensor(owners), torch.arange(len(owners))] = True
    return positives


def one_way(logits: Tensor, positives: Tensor) -> Tensor:
    """InfoNCE from rows to columns; each positive meets the negatives alone."""
    negatives = logits.masked_fill(positives, float("-inf")).logsumexp(1, keepdim=True)
    terms = torch.logaddexp(logits, negatives) - logits
    return ((terms * positives).sum(1) / positives.sum(1)).mean()


def contrast(images: Tensor, texts: Tensor, owners: Sequence[int], scale: Tensor) -> Tensor:
    """InfoNCE in both directions; texts beyond ``owners`` are negatives of pictures, and ask nothing themselves.

    Args:
        images: (I, D) unit rows.
        texts: (T, D) unit rows.
        owners: the picture of each of the first texts.
        scale: 1/temperature, a scalar.
    """
    logits, asking = scale * images @ texts.T, len(owners)
    positives = torch.zeros(logits.shape, dtype=torch.bool)
    positives[:, :asking] = which(owners, len(images))
    return (one_way(logits, positives) + one_way(logits[:, :asking].T, positives[:, :asking].T)) / 2
