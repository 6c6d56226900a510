"""Stage distil: the text tower learns the rows of two sentence encoders, for captions, class names and words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet.materials import Taught
from recipes.mini.from_imagenet.optimization import Log, groups, step
from recipes.mini.from_imagenet.student import Student


@dataclass(frozen=True)
class Distilling:
    """Settings."""

    epochs: int = 4
    batch: int = 512
    rate: float = 2e-3


def distil(student: Student, taught: Taught, plan: Distilling, seed: int, log: Log) -> None:
    """The first teacher is learned through the student's own head, the second through one that is thrown away."""
    torch.manual_seed(seed)
    second_head = nn.Linear(student.towers.text.dimension, taught.second.shape[1])
    learners = [*student.to_teacher.parameters(), *second_head.parameters(), *student.plain_text_parameters()]
    optimizer = torch.optim.AdamW(groups((learners, plan.rate, 0.0)))
    lengths = np.array([len(text) for text in taught.texts])
    done, total = 0, plan.epochs * (len(lengths) // plan.batch)
    for epoch in range(plan.epochs):
        losses = []
        for rows in batches_by_length(lengths, plan.batch, np.random.default_rng((seed, 1, epoch))):
            features = student.text_features([taught.texts[row] for row in rows])
            loss = distillation(student.to_teacher(features), taught.first[rows])
            places = taught.second_rows[rows]
            known = places >= 0
            if known.any():
                own = distillation(second_head(features[known]), taught.second[places[known]])
                loss = loss + known.float().mean() * own
            step(optimizer, loss, warmup_cosine(done, 200, total))
            done += 1
            losses.append(loss.item())
        log(stage="distil", epoch=epoch + 1, loss=float(np.mean(losses)))


def batches_by_length(
    lengths: NDArray[np.int64], size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Rows in full batches of texts of like length, in random order, one pass."""
    order = rng.permutation(len(lengths))
    chunks = np.array_split(order, len(order) // 16384 + 1)
    order = np.concatenate([chunk[np.argsort(lengths[chunk], kind="stable")] for chunk in chunks])
    for batch in rng.permutation(len(order) // size):
        yield order[batch * size : (batch + 1) * size]


def remember(student: Student, taught: Taught, count: int, rng: np.random.Generator) -> Tensor:
    """The first teacher's loss on ``count`` random texts: what was distilled shall not be forgotten."""
    rows = rng.integers(len(taught.texts), size=count)
    features = student.text_features([taught.texts[row] for row in rows])
    return distillation(student.to_teacher(features), taught.first[rows])
