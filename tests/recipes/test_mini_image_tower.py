"""The frozen part, the tuned stages and the exported model are one image tower."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.mini import fast_stages
from recipes.mini.frozen import compute, torch_forward, tuned_stages
from recipes.mini.photographs import Photograph
from recipes.mini.start import export, load_start
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import SIZE, picture


def test_frozen_part_and_tuned_stages_are_the_image_tower(model: TwoTowerModel, tmp_path: Path) -> None:
    photographs = [picture(seed) for seed in range(3)]
    compute(photographs, "some", 0, model, torch_forward(model), tmp_path)
    places, kept = (np.load(tmp_path / f"some-0.{name}.npy") for name in ("places", "kept"))
    pixels = torch.from_numpy(views(photographs, model)).permute(0, 3, 1, 2)

    expected = model.image_features(pixels)

    tuned = tuned_stages(model)(torch.from_numpy(places).float().permute(0, 3, 1, 2)).mean((2, 3))
    found = torch.cat([tuned, torch.from_numpy(kept).float()], 1)
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-3)


def views(photographs: list[Photograph], model: TwoTowerModel) -> NDArray[np.uint8]:
    from recipes.mini.photographs import plain_view

    return np.stack([plain_view(one, model.config.image) for one in photographs])


def test_fast_stages_compute_what_the_stages_do(model: TwoTowerModel) -> None:
    stages = tuned_stages(model).requires_grad_(True)
    fast_stages.fix_depthwise(stages)
    places = 2 * torch.rand(4, 4, 4, 208, generator=torch.Generator().manual_seed(0))
    direction = torch.randn(4, 1280, generator=torch.Generator().manual_seed(1))

    plain = stages(places.permute(0, 3, 1, 2)).mean((2, 3))
    expected = gradients(stages, (plain * direction).sum())
    fast = fast_stages.forward(stages, places)
    found = gradients(stages, (fast * direction).sum())

    assert torch.nn.functional.cosine_similarity(plain, fast).min() > 0.99
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.nn.functional.cosine_similarity(found[name].flatten(), value.flatten(), dim=0) > 0.9, (
            name
        )


def gradients(stages: torch.nn.Module, loss: Tensor) -> dict[str, Tensor]:
    learned = {name: value for name, value in stages.named_parameters() if value.requires_grad}
    return dict(zip(learned, torch.autograd.grad(loss, list(learned.values())), strict=True))


def test_depthwise_kernels_do_not_learn(model: TwoTowerModel) -> None:
    stages = tuned_stages(model).requires_grad_(True)

    fast_stages.fix_depthwise(stages)

    convolutions = [module for module in stages.modules() if isinstance(module, torch.nn.Conv2d)]
    assert {conv.groups > 1 for conv in convolutions} == {True, False}
    for conv in convolutions:
        assert conv.weight.requires_grad == (conv.groups == 1)


def test_an_exported_model_is_the_trained_one(model: TwoTowerModel, start: Path, tmp_path: Path) -> None:
    pixels = torch.from_numpy(views([picture(0), picture(1)], model)).permute(0, 3, 1, 2)

    export(model, start, tmp_path / "model")
    again = load_start(tmp_path / "model", SIZE)

    with torch.no_grad():
        agreement = (model.encode_images(pixels) * again.encode_images(pixels)).sum(1)
    assert agreement.min() > 0.999
