"""Gradients chunk by chunk are those of the whole batch."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from indexer.training.gradient_cache import Encode, cached_backward, plain_backward
from indexer.training.losses import hard_triplet, info_nce, sigmoid

LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "infonce": lambda i, t, p: info_nce(i, t, p, torch.tensor(10.0, dtype=i.dtype)),
    "sigmoid": lambda i, t, p: sigmoid(
        i, t, p, torch.tensor(10.0, dtype=i.dtype), torch.tensor(-5.0, dtype=i.dtype)
    ),
    "triplet": lambda i, t, p: hard_triplet(i, t, p, 0.2),
}


def tower(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Dropout(0.3), nn.Linear(8, 4)).double()


def chunks(net: nn.Module, rows: Tensor, size: int, seed: int) -> list[Encode]:
    """Encoders of chunks that draw the same dropout each time they run."""

    def encode(start: int) -> Tensor:
        torch.manual_seed(seed + start)
        return nn.functional.normalize(net(rows[start : start + size]), dim=1)

    return [lambda start=start: encode(start) for start in range(0, len(rows), size)]  # type: ignore[misc]


def gradients(*nets: nn.Module) -> list[Tensor]:
    found = [weight.grad for net in nets for weight in net.parameters()]
    for net in nets:
        net.zero_grad(set_to_none=True)
    return [grad for grad in found if grad is not None]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("size", [1, 3, 16])
def test_the_cached_gradient_is_the_plain_gradient_dropout_included(loss: str, size: int) -> None:
    pictures, words = tower(1), tower(2)
    generator = torch.Generator().manual_seed(3)
    rows = torch.randn(10, 6, generator=generator).double(), torch.randn(13, 6, generator=generator).double()
    positives = torch.zeros(10, 13, dtype=torch.bool)
    positives[torch.arange(13) % 10, torch.arange(13)] = True
    encoders = chunks(pictures, rows[0], size, 100), chunks(words, rows[1], size, 200)

    def value(images: Tensor, texts: Tensor) -> Tensor:
        return LOSSES[loss](images, texts, positives)

    plain_loss = plain_backward(*encoders, value)
    plain = gradients(pictures, words)
    cached_loss = cached_backward(*encoders, value)
    cached = gradients(pictures, words)

    assert cached_loss == pytest.approx(plain_loss, rel=1e-12)
    assert len(cached) == len(plain) == 8
    for ours, theirs in zip(cached, plain, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_locked_tower_gets_no_gradient_and_no_second_pass() -> None:
    pictures, words = tower(1).requires_grad_(False), tower(2)
    rows = torch.randn(4, 6).double()
    passes = []

    def encode() -> Tensor:
        passes.append(1)
        return nn.functional.normalize(pictures(rows), dim=1)

    def value(images: Tensor, texts: Tensor) -> Tensor:
        return LOSSES["infonce"](images, texts, torch.eye(4, dtype=torch.bool))

    cached_backward([encode], chunks(words, rows, 2, 0), value)

    assert len(gradients(pictures)) == 0
    assert len(gradients(words)) == 4
    assert len(passes) == 2  # without a graph, and once more to see that there is nothing to send back
