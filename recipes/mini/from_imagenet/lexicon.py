"""Stage lexicon: the text tower learns where the names of 1,000 classes belong in the class part of the space."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet.distil import remember
from recipes.mini.from_imagenet.materials import Taught
from recipes.mini.from_imagenet.objective import one_way
from recipes.mini.from_imagenet.opinion import unit
from recipes.mini.from_imagenet.optimization import Log, groups, step
from recipes.mini.from_imagenet.student import LEARNED, Student
from recipes.mini.vocabulary import Vocabulary

CLASSES = range(1000)


@dataclass(frozen=True)
class Drawn:
    """Texts with class names.

    Attributes:
        texts: first one of each class that was asked for, in order; then broad words.
        stands_for: (1000, texts) bool, the classes that each means.
        places: (texts, 256) unit rows, where each belongs in the class part.
        specific: how many of the first are a class's own.
    """

    texts: list[str]
    stands_for: Tensor
    places: Tensor
    specific: int


@dataclass(frozen=True)
class Lexicon:
    """Class names, and where they belong in the class part of the space, (1000, 256)."""

    vocabulary: Vocabulary
    places: Tensor

    @classmethod
    def of(cls, student: Student) -> Lexicon:
        """By the student's class part, which must have been set."""
        return cls(Vocabulary.of_imagenet(), student.class_places())

    def draw(self, rng: random.Random, classes: Sequence[int], broad: int) -> Drawn:
        """A text for each of ``classes`` and for ``broad`` broad words."""
        texts, meant = self.vocabulary.draw(rng, classes, broad)
        stands_for = torch.zeros(len(self.places), len(texts), dtype=torch.bool)
        for column, indices in enumerate(meant):
            stands_for[list(indices), column] = True
        places = unit(torch.stack([self.places[list(indices)].mean(0) for indices in meant]), dim=1)
        return Drawn(texts, stands_for, places, len(classes))


def misplaced(names: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
    """How far the class part of names' rows (B, 512) is from where it belongs, and how much lies outside of it.

    A class's own name finds its class by the class part, so most of its length belongs there. Broad words ("dog") are
    words of captions too: how much of each part they have is left to captions and short queries.
    """
    part = names[:, LEARNED:]
    return distillation(part, drawn.places), 1 - part[: drawn.specific].norm(dim=1).mean()


@dataclass(frozen=True)
class Naming:
    """Settings."""

    steps: int = 1600
    classes: int = 448
    broad: int = 96
    rate: float = 2e-3


def learn_lexicon(student: Student, taught: Taught, plan: Naming, seed: int, log: Log) -> None:
    """Towards the places of names, away from those of other classes, the first teacher in mind."""
    lexicon, towers, draw = Lexicon.of(student), student.towers, random.Random(seed)
    heads = [*towers.text_projection.parameters(), *student.to_teacher.parameters()]
    optimizer = torch.optim.AdamW(groups(([*heads, *student.plain_text_parameters()], plan.rate, 0.0)))
    losses: list[float] = []
    for done in range(plan.steps):
        drawn = lexicon.draw(draw, draw.sample(CLASSES, plan.classes), plan.broad)
        rows = unit(towers.text_projection(student.text_features(drawn.texts))[:, LEARNED:], dim=1)
        loss = 2 * distillation(rows, drawn.places)
        loss = loss + 0.3 * one_way(20 * rows @ lexicon.places.T, drawn.stands_for.T)
        loss = loss + remember(student, taught, 384, np.random.default_rng((seed, 2, done)))
        step(optimizer, loss, warmup_cosine(done, 50, plan.steps) + 0.1)
        losses.append(loss.item())
        if done % 200 == 199:
            log(stage="lexicon", step=done + 1, loss=float(np.mean(losses[-200:])))
