"""Training mini's last image stages: what learns, what stays, and whom photographs are told from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recipes.mini.frozen import Features
from recipes.mini.image_stage import (
    ImagePlan,
    Remembered,
    Scenes,
    Shown,
    remember,
    rows_of_step,
    train_images,
)
from recipes.mini.photographs import Photograph
from recipes.mini.start import Tensors, weights_of
from recipes.mini.texts import TextEncoder
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import NAMES, picture

COUNT = 6
PLAN = ImagePlan(runs=(4, 4), schedule=8, captioned=3, labelled=3, unnamed=2, others=4, save_every=2)


def shown(photographs: list[Photograph], seed: int) -> Shown:
    drawn = np.random.default_rng(seed)
    views = [
        Features(drawn.random((COUNT, 2, 2, 208)).astype("f2"), drawn.random((COUNT, 1280)).astype("f2"))
        for _ in range(2)
    ]
    rows = drawn.normal(size=(COUNT, 8)).astype(np.float32)
    return Shown(photographs, views, rows / np.linalg.norm(rows, axis=1, keepdims=True))


@pytest.fixture
def scenes() -> Scenes:
    captioned = [picture(row, (f"a dog {row}", f"two people {row}")) for row in range(COUNT)]
    labelled = [picture(row, labels=(NAMES.all[row].label,)) for row in range(COUNT)]
    drawn = torch.Generator().manual_seed(1)
    texts, rows = (
        torch.nn.functional.normalize(torch.randn(count, 16, generator=drawn), dim=1)
        for count in (4 * COUNT, COUNT)
    )
    remembered = Remembered(20.0, texts.half(), torch.arange(COUNT).repeat_interleave(4), rows)
    return Scenes(
        shown(captioned, 1),
        shown(labelled, 2),
        shown([picture(row) for row in range(COUNT)], 3),
        [()] * COUNT,
        torch.zeros(COUNT, len(NAMES.all), dtype=torch.bool),
        torch.nn.functional.normalize(torch.randn(2, 1000, 16, generator=drawn), dim=2),
        (torch.randn(1000, 1280, generator=drawn), torch.zeros(1000)),
        remembered,
    )


@pytest.fixture
def train(encoder: TextEncoder, scenes: Scenes, tmp_path: Path) -> Callable[..., Tensors]:
    def train(run: int = 0, name: str = "checkpoint", plan: ImagePlan = PLAN) -> Tensors:
        return train_images(encoder, scenes, NAMES, plan, run, tmp_path / name, lambda **_: None)

    return train


def test_the_tuned_stages_learn_and_of_the_projection_what_is_not_the_class_part(
    model: TwoTowerModel, train: Callable[..., Tensors]
) -> None:
    before = weights_of(model)

    after = train()

    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    projection = {"image_projection.weight", "image_projection.bias"}
    assert projection < changed
    assert all(name in projection or name.startswith("image.features.") for name in changed)
    assert min(int(name.split(".")[2]) for name in changed - projection) == 6
    for name in projection:
        assert torch.equal(after[name][8:], before[name][8:])
    assert all(torch.equal(value, before[name]) for name, value in weights_of(model).items())
    assert not any(value.requires_grad for value in model.parameters())


def test_a_run_that_is_broken_off_goes_on_to_the_same_weights(train: Callable[..., Tensors]) -> None:
    whole, other = train(), train(1, "other")
    train(name="broken off", plan=replace(PLAN, runs=(2,)))

    again = train(name="broken off")

    projection = "image_projection.weight"
    for name, value in whole.items():  # texts are encoded in other batches, so their last bits differ
        torch.testing.assert_close(again[name], value, rtol=1e-4, atol=1e-5)
    assert (whole[projection] - other[projection]).abs().max() > 1e-4


def test_what_has_not_moved_chooses_as_before_and_each_is_told_from_all_others(scenes: Scenes) -> None:
    before = scenes.remembered
    rows = [0, 2]

    told, chosen = remember(before.photographs[rows], rows, before, others=1000)

    assert chosen.item() == pytest.approx(0, abs=1e-4)
    scores = before.scale * before.photographs @ before.texts.float().T
    own = before.owners == torch.arange(COUNT)[:, None]
    forward = [
        -torch.log_softmax(torch.cat([scores[row, text][None], scores[row, ~own[row]]]), 0)[0]
        for row in rows
        for text in own[row].nonzero().squeeze(1)
    ]
    back = [
        torch.nn.functional.cross_entropy(scores[:, text][None], torch.tensor([row]))
        for row in rows
        for text in own[row].nonzero().squeeze(1)
    ]
    expected = (torch.stack(forward).mean() + torch.stack(back).mean()) / 2
    torch.testing.assert_close(told, expected, atol=1e-3, rtol=1e-3)


def test_photographs_that_change_places_choose_otherwise_and_are_told_worse(scenes: Scenes) -> None:
    before, rows = scenes.remembered, [0, 2]
    own = torch.nn.functional.normalize(
        torch.stack([before.texts[before.owners == row].float().mean(0) for row in range(COUNT)]), dim=1
    )
    right = replace(before, photographs=own)

    well, _ = remember(own[rows], rows, right, others=1000)
    badly, chosen = remember(own[rows[::-1]], rows, right, others=1000)

    assert badly > well + 0.1
    assert chosen > 0.1


def test_every_photograph_is_seen_once_an_epoch() -> None:
    epoch = [row for step in range(4) for row in rows_of_step(12, 3, step, seed=0)]

    assert sorted(epoch) == list(range(12))
