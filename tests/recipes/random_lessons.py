"""Lessons of mini's heads from photographs of noise."""

from __future__ import annotations

import torch

from recipes.mini.caption_words import CaptionWords
from recipes.mini.heads import bags
from recipes.mini.heads_stage import Lessons, space
from recipes.mini.spoken import choose_texts
from recipes.mini.texts import TextEncoder, present
from recipes.mini.vocabulary import Vocabulary
from retrieval.encoders.two_tower.model import TwoTowerModel
from tests.recipes.noise_photographs import NAMES, picture

LABELS = {"camera": "照相机", "stapler": "订书机"}
"""Labels of class photographs, and their Chinese names."""


def lessons(model: TwoTowerModel, encoder: TextEncoder, count: int = 6) -> Lessons:
    """What the heads learn from, of random photographs."""
    captioned = [picture(row, (f"a dog {row}", f"two people {row}")) for row in range(count)]
    labelled = [picture(row, labels=(NAMES.all[row].label,)) for row in range(count)]
    captions = ["blue sky", "a red bus", "people"]
    right = torch.arange(2 * count).view(-1, 2) % 3 == 0
    spoken = choose_texts(
        captioned,
        labelled,
        [()] * count,
        captions,
        NAMES,
        Vocabulary.of_imagenet(),
        encoder.tokenizer,
        CaptionWords(["grass", "狗"], right, torch.zeros_like(right)),
        LABELS,
    )
    given = bags(encoder, spoken.every())
    views = [
        torch.rand(count, 2560, generator=torch.Generator().manual_seed(seed)).half() for seed in range(3)
    ]
    places = torch.nn.functional.normalize(torch.randn(1000, 8, generator=torch.Generator().manual_seed(6)))
    before = space(model, given, *views)
    return Lessons(spoken, given, views[:1], views[1:2], present(labelled, NAMES), places, before)
