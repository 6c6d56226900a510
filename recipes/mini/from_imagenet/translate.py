"""Stage translate: the text tower learns what the second opinion says of captions; class names keep their places."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet.distil import batches_by_length, remember
from recipes.mini.from_imagenet.lexicon import CLASSES, Lexicon, misplaced
from recipes.mini.from_imagenet.materials import Taught
from recipes.mini.from_imagenet.opine import Told
from recipes.mini.from_imagenet.optimization import Log, groups, step
from recipes.mini.from_imagenet.short import Short
from recipes.mini.from_imagenet.student import LEARNED, Student

CLASS_LENGTH = 0.5  # of the class part of a caption's vector: captions say something of classes too


@dataclass(frozen=True)
class Translating:
    """Settings."""

    epochs: int = 6
    batch: int = 512
    rate: float = 2e-3


def translate(
    student: Student, told: Told, short: Short, taught: Taught, plan: Translating, seed: int, log: Log
) -> None:
    """Pictures have no part in it."""
    lexicon, towers, draw = Lexicon.of(student), student.towers, random.Random(seed)
    vectors, lengths = told.within(student.opinions.directions), np.array([len(text) for text in told.texts])
    asked = short.within(student.opinions.directions)
    learners = (towers.text, towers.text_projection, student.to_teacher)
    optimizer = torch.optim.AdamW(
        groups(([p for part in learners for p in part.parameters()], plan.rate, 0.01))
    )
    done, total = 0, plan.epochs * (len(lengths) // plan.batch)
    for epoch in range(plan.epochs):
        losses = []
        for rows in batches_by_length(lengths, plan.batch, np.random.default_rng((seed, 2, epoch))):
            captions = student.encode_texts([told.texts[row] for row in rows], 0.05, draw)
            said = distillation(captions[:, :LEARNED], vectors[rows])
            length = (captions[:, LEARNED:].norm(dim=1) - CLASS_LENGTH).square().mean()
            drawn = lexicon.draw(draw, draw.sample(CLASSES, 96), 32)
            away, outside = misplaced(student.encode_texts(drawn.texts), drawn)
            rng = np.random.default_rng((seed, 8, done))
            reminder = remember(student, taught, 128, rng)
            alone = short.loss(student, asked, 192, rng, draw)
            loss = said + 0.3 * length + 0.5 * (away + outside) + 0.3 * (reminder + alone)
            step(optimizer, loss, warmup_cosine(done, 50, total))
            done += 1
            losses.append([loss.item(), said.item(), away.item(), alone.item()])
        means = dict(zip(("loss", "captions", "names", "short"), np.mean(losses, 0).tolist(), strict=True))
        log(stage="translate", epoch=epoch + 1, **means)
