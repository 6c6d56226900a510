"""Layers that a graph computes in another form: they give what the library's layers give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from retrieval.encoders.hub_encoder import load_hub_encoder
from retrieval.encoders.hub_towers import HubTowers
from retrieval.encoders.traceable_layers import traceable_layers

BY_CLASS_TOKEN = ("altclip", "chinese-clip", "clip", "metaclip-2")
OTHERS = ("align", "siglip", "siglip2")


@dataclass(frozen=True)
class Tower:
    """An image tower of a tiny checkpoint, and images prepared for it."""

    towers: HubTowers
    prepared: torch.Tensor

    @property
    def model(self) -> Any:
        return self.towers.model

    def vectors(self) -> torch.Tensor:
        with torch.inference_mode():
            return self.towers.image_vectors(self.prepared)


@pytest.fixture
def tower(
    tiny: Callable[[str], Path], pictures: dict[str, Image.Image], request: pytest.FixtureRequest
) -> Tower:
    encoder = load_hub_encoder(tiny(request.param))
    assert isinstance(encoder.towers, HubTowers)
    prepared = [encoder.preparation.prepare(picture.convert("RGB")) for picture in pictures.values()]
    return Tower(encoder.towers, torch.from_numpy(np.stack(prepared)))


def forward_of_each(model: Any) -> dict[str, Any]:
    return {name: vars(module).get("forward") for name, module in model.named_modules()}


@pytest.mark.parametrize("tower", BY_CLASS_TOKEN + OTHERS, indirect=True)
def test_they_give_the_same_vectors_and_are_gone_after_the_block(tower: Tower) -> None:
    expected, forwards = tower.vectors(), forward_of_each(tower.model)

    with traceable_layers(tower.model):
        found = tower.vectors()
        assert forward_of_each(tower.model) != forwards

    assert float((found * expected).sum(1).min()) > 0.999999
    assert float((expected[0] * expected[1]).sum()) < 0.999  # different pictures do differ
    assert forward_of_each(tower.model) == forwards
    assert torch.equal(tower.vectors(), expected)


@pytest.mark.parametrize("tower", BY_CLASS_TOKEN, indirect=True)
def test_the_last_layer_computes_one_token_where_one_makes_the_vector(tower: Tower) -> None:
    assert tokens_of_each_layer(tower)[-2:] == [17, 1]  # 4 x 4 patches and a class token


@pytest.mark.parametrize("tower", ["siglip", "siglip2"], indirect=True)
def test_the_last_layer_computes_all_tokens_where_a_head_pools_them(tower: Tower) -> None:
    assert tokens_of_each_layer(tower)[-2:] == [16, 16]


def tokens_of_each_layer(tower: Tower) -> list[int]:
    """How many tokens go through each layer's MLP."""
    counted: list[int] = []
    hooks = [
        layer.mlp.register_forward_hook(lambda _, given, __: counted.append(given[0].shape[1]))
        for layer in tower.model.vision_model.encoder.layers
    ]
    with traceable_layers(tower.model):
        tower.vectors()
    for hook in hooks:
        hook.remove()
    return counted


@pytest.mark.parametrize("tower", ["clip", "siglip"], indirect=True)
def test_patches_that_lie_side_by_side_are_not_convolved(
    tower: Tower, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convolve(*_: object) -> None:
        raise AssertionError("a convolution")

    monkeypatch.setattr(torch.nn.Conv2d, "forward", convolve)

    with traceable_layers(tower.model):
        tower.vectors()
    with pytest.raises(AssertionError, match="a convolution"):
        tower.vectors()


@pytest.mark.parametrize(
    "other",
    [
        torch.nn.Conv2d(3, 6, 8, stride=4),
        torch.nn.Conv2d(3, 6, 8, stride=8, padding=1),
        torch.nn.Conv2d(3, 6, 8, stride=8, dilation=2),
        torch.nn.Conv2d(3, 6, 8, stride=8, groups=3),
        torch.nn.Conv2d(3, 6, 1),
        torch.nn.Conv2d(6, 6, 2, stride=2),
    ],
    ids=["overlapping", "padded", "dilated", "grouped", "of one pixel", "of features"],
)
def test_another_convolution_stays_as_it_is(other: torch.nn.Conv2d) -> None:
    with traceable_layers(torch.nn.Sequential(other)):
        assert "forward" not in vars(other)


def test_pixels_beyond_the_last_whole_patch_count_for_nothing() -> None:
    patches = torch.nn.Conv2d(3, 5, (4, 6), (4, 6))
    images = torch.rand(2, 3, 15, 13)
    expected = patches(images)

    with traceable_layers(torch.nn.Sequential(patches)):
        found = patches(images)

    assert found.shape == expected.shape == (2, 5, 3, 2)
    assert torch.allclose(found, expected, atol=1e-6)
