"""The text tower of mini's recipe from ImageNet's weights."""

from __future__ import annotations

import torch
from torch import Tensor

from recipes.mini.from_imagenet.student import without_attention
from retrieval.encoders.two_tower.config import TextConfig
from retrieval.encoders.two_tower.text_towers import BagTower
from retrieval.encoders.two_tower.tokenization import PAD


def test_attention_that_has_not_learned_may_be_left_out() -> None:
    torch.manual_seed(0)
    text = BagTower(TextConfig("bag", 50, 16, 32, attention_layers=2, attention_width=8))
    ids = torch.randint(PAD + 1, 50, (20, 9)).masked_fill(torch.arange(9) > 6, PAD)
    plain = [
        value for name, value in text.named_parameters() if not name.startswith(("attention.", "places."))
    ]

    def learned() -> list[Tensor]:
        rows = text(ids)
        return [rows.detach(), *torch.autograd.grad((rows * torch.randn(20, 16)).sum(), plain)]

    torch.manual_seed(1)
    with_layers = learned()
    torch.manual_seed(1)
    with without_attention(text):
        without = learned()

    assert all(torch.equal(one, other) for one, other in zip(with_layers, without, strict=True))
    assert len(text.attention) == 2
