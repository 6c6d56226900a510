"""Training the heads of mini: what learns, what stays, and which texts go with which photographs."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from recipes.mini.figures import one_a_class
from recipes.mini.heads import bags, text_rows
from recipes.mini.heads_stage import (
    HeadsPlan,
    draw_batch,
    step_terms,
    train_heads,
    with_classes_placed,
)
from recipes.mini.start import weights_of
from recipes.mini.texts import NameScores, TextEncoder
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import NAMES
from tests.recipes.random_lessons import lessons

FEW = HeadsPlan(steps=3, captioned=4, asked=3, labelled=4, described=3, plain=2, classes=2, words=2, shown=3)


def test_bags_and_the_heads_after_them_are_the_text_tower(model: TwoTowerModel, encoder: TextEncoder) -> None:
    texts = ["two people ride a red bus", "一只狗", "a dog"]

    with torch.no_grad():
        found = text_rows(model, bags(encoder, texts))

    torch.testing.assert_close(found, encoder.encode(texts).detach(), rtol=1e-3, atol=1e-3)


def test_only_the_heads_learn_and_the_class_part_of_the_image_projection_stays(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before = weights_of(model)

    after = train_heads(model, lessons(model, encoder), NAMES, FEW, 0, lambda **_: None)

    changed = {name for name, value in before.items() if not torch.equal(value, after[name])}
    image = {"image_projection.weight", "image_projection.bias"}
    heads = ("text.expand.", "text.reduce.", "text.norm.", "text_projection.")
    assert image < changed
    assert all(name in image or name.startswith(heads) for name in changed)
    assert not torch.equal(after["image_projection.weight"][:8], before["image_projection.weight"][:8])
    for name in image:
        assert torch.equal(after[name][8:], before[name][8:])


def test_training_the_heads_leaves_the_model_as_it_was_and_comes_out_the_same_again(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before, taught = weights_of(model), lessons(model, encoder)

    one, again, other = (train_heads(model, taught, NAMES, FEW, seed, lambda **_: None) for seed in (0, 0, 1))

    for name, value in weights_of(model).items():
        assert torch.equal(value, before[name]), name
        assert torch.equal(one[name], again[name]), name
    assert not torch.equal(one["text_projection.weight"], other["text_projection.weight"])
    assert not any(value.requires_grad for value in model.parameters())


def test_no_term_of_what_is_kept_costs_anything_at_the_start(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught, plan = lessons(model, encoder), replace(FEW, features_dropped=0.0)
    batch = draw_batch(taught, plan, random.Random(0))
    scale = torch.tensor(taught.start.scale)

    with torch.no_grad():
        terms = step_terms(model, NameScores(len(NAMES.all)), scale, taught, NAMES, plan, batch)

    for name in ("captions_kept", "classes_kept", "texts_kept", "images_kept"):
        assert terms[name] == pytest.approx(0, abs=1e-4), name
    for name in ("names", "captions", "described"):
        assert terms[name] > 0.01, name


def test_class_names_are_placed_where_their_classes_are_and_other_texts_stay(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before = lessons(model, encoder).start
    places = torch.nn.functional.normalize(torch.randn(5, 8, generator=torch.Generator().manual_seed(7)))

    rows = with_classes_placed(before, [1, 3], [frozenset({2}), frozenset({0, 4})], places, 2.0).texts.float()

    was, same = before.texts.float(), torch.nn.functional.cosine_similarity
    assert torch.equal(rows[[0, 2]], was[[0, 2]])
    torch.testing.assert_close(rows.norm(dim=1), torch.ones(len(rows)), rtol=1e-3, atol=1e-3)
    assert same(rows[:, :8], was[:, :8]).min() > 0.999
    assert same(rows[1, 8:], places[2], dim=0) > 0.999
    assert same(rows[3, 8:], places[0] + places[4], dim=0) > 0.999
    for row, gain in ((1, 2.0), (3, 1.0)):  # a name of several classes finds none by its class part alone
        grown = (rows[row, 8:].norm() / rows[row, :8].norm()).item()
        expected = gain * (was[row, 8:].norm() / was[row, :8].norm()).item()
        assert grown == pytest.approx(expected, rel=1e-2)


def test_a_batch_gives_each_text_to_the_photograph_that_it_describes(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught = lessons(model, encoder)
    every = taught.spoken.every()

    batch = draw_batch(taught, FEW, random.Random(3))

    for text, owner in zip(batch.captions, batch.owners, strict=True):
        assert every[text] in [one for own in taught.spoken.captions[batch.captioned[owner]] for one in own]
    for text, owner, named in zip(*batch.described, strict=True):
        assert (every[text], named) in taught.spoken.described[batch.labelled[owner]]


def test_no_text_that_is_to_stay_is_a_name_that_moves(model: TwoTowerModel, encoder: TextEncoder) -> None:
    spoken = lessons(model, encoder).spoken
    moving = {name.lower() for one in NAMES.all for name in (one.label, *one.english, *one.chinese)}

    assert "a red bus" not in spoken.plain
    assert not moving & {*(text for text, _ in spoken.classes), *spoken.words}
    assert {*spoken.first_classes} < {*spoken.classes}
    assert [own[0] for own in spoken.names[0]] == [one.label for one in NAMES.all]
    assert [own[0] for own in spoken.names[1]] == [one.chinese[0] for one in NAMES.all]


def test_of_each_class_the_surest_photograph_is_chosen() -> None:
    logits = np.array([[5, 0, 0], [9, 0, 0], [0, 0.1, 0.2], [0, 0, 7]], np.float32)

    assert one_a_class(logits) == {0: 1, 2: 3}
