"""Stage opinion: fresh networks, and the image projection, are fitted to the fine-tuned tower's features.

What they say of every caption that their teachers have read is what the text tower learns next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from indexer.training.losses import info_nce
from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet.checkpoint import Tensors
from recipes.mini.from_imagenet.judge import judge_opinion
from recipes.mini.from_imagenet.objective import which
from recipes.mini.from_imagenet.opinion import FEATURES, KEPT_WIDTH, Opinion, Opinions, unit
from recipes.mini.from_imagenet.optimization import Log, groups, step
from recipes.mini.from_imagenet.pixels import Features
from recipes.mini.from_imagenet.student import LEARNED, Student
from recipes.mini.from_imagenet.teachers import READINGS, Reading, Teachers
from recipes.mini.vocabulary import is_chinese


@dataclass(frozen=True)
class Opining:
    """Settings."""

    epochs: int = 40
    batch: int = 1000


def learn_opinions(
    student: Student, features: Features, reading: Reading, plan: Opining, seed: int, log: Log
) -> None:
    """Each projection goes on from fine-tuning's; the networks start anew. ``features`` are tuned ones."""
    opinions = student.opinions
    start = opinions.each()[0].image.state_dict()
    for place in range(len(opinions.members)):
        opinions.members[place] = learn_opinion(start, features, reading, plan, seed + place, log)
    log(stage="opinion", val=judge_opinion(opinions, features.val, reading.val))


def learn_opinion(
    projection: Tensors, features: Features, reading: Reading, plan: Opining, seed: int, log: Log
) -> Opinion:
    """One opinion, whose pictures' projection starts as the weights given."""
    torch.manual_seed(seed)
    opinion = Opinion()
    opinion.image.load_state_dict(projection)
    opinion.log_scale.data.fill_(np.log(30))
    optimizer = torch.optim.AdamW(
        groups(
            (opinion.texts.parameters(), 1e-3, 0.1),
            (opinion.image.parameters(), 3e-4, 0.02),
            ([opinion.log_scale], 2e-3, 0.0),
        )
    )
    count = len(features.train[0])
    batch = min(plan.batch, count)
    steps = count // batch
    owners = which(list(range(batch)) * len(READINGS), batch)
    for epoch in range(plan.epochs):
        order = np.random.default_rng((seed, 9, epoch)).permutation(count)
        for i in range(steps):
            rows = torch.from_numpy(order[i * batch : (i + 1) * batch])
            view = features.train[(epoch * steps + i) % len(features.train)]
            images = opinion.encode_images(nn.functional.dropout(view[rows], 0.2))
            texts = opinion.read(reading, rows, noise=0.1)
            loss = info_nce(images, torch.cat(texts), owners, opinion.scale())
            step(optimizer, loss, warmup_cosine(epoch * steps + i, 20, plan.epochs * steps))
    log(stage="opinion", seed=seed, loss=loss.item(), val=judge_opinion(opinion, features.val, reading.val))
    return opinion


@dataclass(frozen=True)
class Told:
    """Captions, and where the networks put each, (n, 384) unit rows."""

    texts: list[str]
    vectors: Tensor

    @classmethod
    @torch.no_grad()
    def by(
        cls, opinions: Opinions, teachers: Teachers, texts: Sequence[str], translations: dict[str, str]
    ) -> Told:
        """All captions that their teachers have read; a machine's Chinese stands where its English original does."""
        opinions.eval()
        asked: dict[str, list[tuple[str, str]]] = {"en": [], "zh": []}
        for text in texts:
            original = translations.get(text, text)
            language = "zh" if is_chinese(original) else "en"
            if teachers.have_read(language, original):
                asked[language].append((text, original))
        vectors = [
            opinions.encode_texts(language, teachers.read(language, [original for _, original in part]))
            for language, pairs in asked.items()
            for part in (pairs[start : start + 4096] for start in range(0, len(pairs), 4096))
        ]
        opinions.train()
        return cls([text for pairs in asked.values() for text, _ in pairs], torch.cat(vectors))

    def within(self, directions: Tensor) -> Tensor:
        """(n, 256) unit rows: in the part of the space that is kept."""
        return unit(self.vectors @ directions.T, dim=1)


@torch.no_grad()
def keep_directions(student: Student, features: Features, told: Told, most: int = 20_000) -> None:
    """Keep the main directions of pictures and captions, and project pictures on them in the learned part."""
    opinions, layer = student.opinions, student.towers.image_projection
    some = told.vectors[:: len(told.vectors) // most + 1]
    rows = torch.cat([opinions.encode_images(features.train[0]), some])
    opinions.directions.copy_(torch.linalg.svd(rows, full_matrices=False)[2][:KEPT_WIDTH])
    weight, bias = opinions.projection()
    layer.weight[:LEARNED, :FEATURES] = opinions.directions @ weight
    layer.weight[:LEARNED, FEATURES:] = 0
    layer.bias[:LEARNED] = opinions.directions @ bias
