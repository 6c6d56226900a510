"""Gradients of a contrastive loss over batches that do not fit into memory at once.

Gradient caching (GradCache: Gao et al., RepL4NLP 2021): the rows of all chunks are computed without a graph; the
loss over all rows gives the gradient of each row; then each chunk is computed again, with a graph, and its rows'
gradients go back through it. Memory is that of one chunk, the cost one more forward pass, and the gradient is that
of the whole batch, to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Encode = Callable[[], Tensor]
"""Computes the rows of one chunk, (b, D); called again it gives the same rows, dropout included."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""A scalar from all image rows, (I, D), and all text rows, (T, D)."""


def plain_backward(images: Sequence[Encode], texts: Sequence[Encode], loss: Loss) -> float:
    """Run backward through everything at once; return the loss."""
    value = loss(torch.cat([encode() for encode in images]), torch.cat([encode() for encode in texts]))
    value.backward()  # type: ignore[no-untyped-call]
    return float(value.detach())


def cached_backward(images: Sequence[Encode], texts: Sequence[Encode], loss: Loss) -> float:
    """Run backward chunk by chunk; gradients and the loss are those of :func:`plain_backward`."""
    sides = (images, texts)
    with torch.no_grad():
        whole = [torch.cat([encode() for encode in side]) for side in sides]
    rows = [part.detach().requires_grad_() for part in whole]
    value = loss(*rows)
    value.backward()  # type: ignore[no-untyped-call]
    for side, leaf in zip(sides, rows, strict=True):
        assert leaf.grad is not None
        _send_back(side, leaf.grad)
    return float(value.detach())


def _send_back(side: Sequence[Encode], gradient: Tensor) -> None:
    start = 0
    for encode in side:
        rows = encode()
        if not rows.requires_grad:  # a locked tower: nothing to learn
            return
        rows.backward(gradient[start : start + len(rows)])  # type: ignore[no-untyped-call]
        start += len(rows)
