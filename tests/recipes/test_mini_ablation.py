"""What the rows of mini's ablation leave out, and that they leave out nothing else."""

from __future__ import annotations

from dataclasses import replace

import torch

from recipes.mini.ablation import described, line
from recipes.mini.heads_stage import HeadsPlan, train_heads
from recipes.mini.objective import sigmoid_both_ways
from recipes.mini.start import weights_of
from recipes.mini.texts import TextEncoder
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import NAMES
from tests.recipes.random_lessons import lessons

FEW = HeadsPlan(steps=2, captioned=4, asked=3, labelled=4, described=3, plain=2, classes=2, words=2, shown=3)


def test_lessons_with_fewer_descriptions_have_every_other_text_where_it_was(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before = lessons(model, encoder)

    after = described(before, lambda row, said: row % 2 == 0 and said[0].isascii())

    left = [[said for said in own if said[0].isascii()] for own in before.spoken.described]
    assert after.spoken.described == [own if row % 2 == 0 else [] for row, own in enumerate(left)]
    assert 0 < len(after.spoken.every()) < len(before.spoken.every())
    for text, row in after.place.items():
        assert torch.equal(after.bags[row], before.bags[before.place[text]]), text
        assert torch.equal(after.start.texts[row], before.start.texts[before.place[text]]), text


def test_another_contrast_teaches_something_else_from_the_same_draws(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    taught, said = lessons(model, encoder), []

    own = train_heads(model, taught, NAMES, FEW, 0, lambda **terms: said.append(terms))
    other = train_heads(model, taught, NAMES, FEW, 0, lambda **terms: said.append(terms), sigmoid_both_ways)

    assert said[0]["captions"] != said[1]["captions"]
    assert said[0]["described"] != said[1]["described"]
    learned = "text_projection.weight"
    assert not torch.equal(own[learned], other[learned])
    assert not torch.equal(own[learned], weights_of(model)[learned])


def test_where_the_image_projection_has_no_rate_the_text_tower_learns_alone(
    model: TwoTowerModel, encoder: TextEncoder
) -> None:
    before, plan = weights_of(model), replace(FEW, image_rate=0.0, described_weight=0.0)

    after = train_heads(model, lessons(model, encoder), NAMES, plan, 0, lambda **_: None)

    changed = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"text", "text_projection"}


def test_a_row_of_the_table_shows_the_families_in_the_order_of_the_columns() -> None:
    kinds = ["names_map_en", "names_map_zh"]
    kinds += [
        f"{name}_{way}_r{k}"
        for name in ("val_en", "val_zh", "coco_mini")
        for way in ("t2i", "i2t")
        for k in (1, 5, 10)
    ]
    kinds += ["one_a_class_en_r1", "one_a_class_zh_r1"]

    shown = line("start", {kind: float(place) for place, kind in enumerate(kinds)})

    captions = [
        f"{at}.0 / {at + 1}.0 / {at + 2}.0, {at + 3}.0 / {at + 4}.0 / {at + 5}.0" for at in (2, 8, 14)
    ]
    assert shown == f"| {' | '.join(['start', '0.0 / 1.0', *captions, '20.0 / 21.0'])} |"
