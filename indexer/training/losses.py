"""Losses of a dual encoder, each from its paper; pure functions of tensors.

All take ``images`` (I, D) and ``texts`` (T, D), unit rows, and ``positives`` (I, T) bool: does text t describe
image i? Every row and every column holds one positive at least; positives are never each other's negatives.
"""

from __future__ import annotations

import torch
from torch import Tensor


def info_nce(images: Tensor, texts: Tensor, positives: Tensor, scale: Tensor) -> Tensor:
    """InfoNCE in both directions, averaged (CLIP: Radford et al., ICML 2021), with several positives a row.

    For a positive (i, t), with s = scale * <image i, text t>, the term from image to text is
    ``-log(exp(s_it) / (exp(s_it) + sum over the negatives u of exp(s_iu)))``: each positive meets the negatives
    alone. Terms are averaged over an image's positives, then over images; from text to image likewise.
    With one positive a row this is CLIP's loss.

    Args:
        images: (I, D) unit rows.
        texts: (T, D) unit rows.
        positives: (I, T) bool.
        scale: 1/temperature, a scalar.
    """
    logits = scale * images @ texts.T
    return (_one_way(logits, positives) + _one_way(logits.T, positives.T)) / 2


def sigmoid(images: Tensor, texts: Tensor, positives: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The pairwise sigmoid loss (SigLIP: Zhai et al., ICCV 2023, algorithm 1).

    ``-1/I * sum over i, t of log sigmoid(z_it * (scale * <image i, text t> + bias))``, where z is 1 for a
    positive and -1 for any other pair. With one text per image this is the paper's loss.

    Args:
        images: (I, D) unit rows.
        texts: (T, D) unit rows.
        positives: (I, T) bool.
        scale: 1/temperature, a scalar; the paper starts at 10.
        bias: a scalar; the paper starts at -10, because nearly all pairs are negatives.
    """
    logits = scale * images @ texts.T + bias
    signed = torch.where(positives, logits, -logits)
    return -torch.nn.functional.logsigmoid(signed).sum() / len(images)


def hard_triplet(images: Tensor, texts: Tensor, positives: Tensor, margin: float) -> Tensor:
    """The triplet loss with the hardest negatives of the batch (VSE++: Faghri et al., BMVC 2018, equation 6).

    For a positive (i, t) with s = <image i, text t>: ``max(0, margin + s_iu - s_it) + max(0, margin + s_jt - s_it)``,
    where u is the text most like image i among those that do not describe it, and j likewise. The mean over
    positives, where the paper has the sum: so the learning rate does not depend on the batch.

    Args:
        images: (I, D) unit rows.
        texts: (T, D) unit rows.
        positives: (I, T) bool.
        margin: of cosines; the paper has 0.2.
    """
    scores = images @ texts.T
    negatives = scores.masked_fill(positives, float("-inf"))
    hardest_text = negatives.amax(1, keepdim=True)
    hardest_image = negatives.amax(0, keepdim=True)
    terms = (margin + hardest_text - scores).clamp_min(0) + (margin + hardest_image - scores).clamp_min(0)
    return terms[positives].mean()


def distillation(students: Tensor, teachers: Tensor) -> Tensor:
    """Mean of one minus the cosine of (B, D) student and teacher rows (after Reimers and Gurevych, EMNLP 2020)."""
    return 1 - torch.nn.functional.cosine_similarity(students, teachers, dim=-1).mean()


def _one_way(logits: Tensor, positives: Tensor) -> Tensor:
    # The lowest number rather than -inf: a row without negatives would have gradients that are not numbers.
    lowest = torch.finfo(logits.dtype).min
    negatives = logits.masked_fill(positives, lowest).logsumexp(1, keepdim=True)
    terms = torch.logaddexp(logits, negatives) - logits
    per_row = (terms * positives).sum(1) / positives.sum(1)
    return per_row.mean()
