"""Train the text tower on features that are computed once: names go where the photographs that show them are."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini import checkpoint
from recipes.mini.names import Names
from recipes.mini.objective import asymmetric, both_ways
from recipes.mini.photographs import Photograph
from recipes.mini.texts import NameScores, Said, TextEncoder, draw_texts, present
from retrieval.encoders.two_tower.model import TwoTowerModel

Log = Callable[..., None]


@dataclass(frozen=True)
class TextPlan:
    """Settings; the weights are those of the terms beside captions, which have 1."""

    steps: int = 70
    captioned: int = 48
    labelled: int = 96
    kept: int = 128
    rate: float = 1e-3
    image_rate: float = 0.0
    features_dropped: float = 0.2
    words_dropped: float = 0.1
    names: float = 1.0
    anchors: float = 8.0
    composed: float = 0.5
    average: float = 0.95
    seed: int = 0


@dataclass(frozen=True)
class Lessons:
    """What the text tower learns from.

    Attributes:
        captioned: photographs with captions.
        captioned_views: their features (n, 2560), view by view.
        labelled: photographs with labels.
        labelled_views: theirs.
        guessed: pseudo-captions of the labelled.
        unsure: (labelled, names) bool, labels that may have been left out.
        anchors: texts that keep their vectors.
        anchor_rows: (m, D) those vectors.
    """

    captioned: Sequence[Photograph]
    captioned_views: Sequence[NDArray[np.float16]]
    labelled: Sequence[Photograph]
    labelled_views: Sequence[NDArray[np.float16]]
    guessed: Sequence[Sequence[Said]]
    unsure: Tensor
    anchors: Sequence[str]
    anchor_rows: NDArray[np.float16]


def train_text(
    encoder: TextEncoder, lessons: Lessons, names: Names, plan: TextPlan, path: Path, log: Log
) -> None:
    """Train the text tower, and with ``image_rate`` the learned part of the image projection; a checkpoint goes on."""
    model = encoder.model
    learn(model, plan)
    scores = NameScores(len(names.all))
    optimizer = torch.optim.AdamW(
        [
            {"params": [*model.text.parameters(), *model.text_projection.parameters()], "peak": plan.rate},
            {"params": [*model.image_projection.parameters()], "peak": plan.image_rate},
            {"params": [*scores.parameters(), model.log_scale], "peak": 3e-3},
        ],
        weight_decay=0.0,
    )
    average, first = checkpoint.Average(model, plan.average), 0
    labels = present(lessons.labelled, names)
    if path.exists():
        state = checkpoint.read(path)
        model.load_state_dict(state["model"])
        scores.load_state_dict(state["scores"])
        optimizer.load_state_dict(state["optimizer"])
        average.load(state["average"])
        first = state["step"]
    else:
        with torch.no_grad():
            images = model.project_image(torch.from_numpy(lessons.labelled_views[0]).float())
            rows = encoder.encode([one.label for one in names.all])
        scores.fit(images @ rows.T, labels)
    begun, losses = time.monotonic(), []
    for step in range(first, plan.steps):
        loss, parts = step_loss(encoder, scores, lessons, labels, names, plan, step)
        share = warmup_cosine(step, 8, plan.steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.text.parameters(), 5.0)
        optimizer.step()
        average.update()
        losses.append(parts)
        if step % 10 == 9 or step + 1 == plan.steps:
            means = {key: round(float(np.mean([one[key] for one in losses])), 4) for key in parts}
            log(stage=path.stem, step=step + 1, seconds=round(time.monotonic() - begun), **means)
            losses.clear()
            state = {"model": model.state_dict(), "scores": scores.state_dict()}
            state |= {"optimizer": optimizer.state_dict(), "average": average.state(), "step": step + 1}
            checkpoint.write(path, state)
    model.load_state_dict(average.apply(), strict=False)


def learn(model: TwoTowerModel, plan: TextPlan) -> None:
    """Let the text tower learn, the image tower not; the fixed part of the image projection stays as it is."""
    model.requires_grad_(False)
    for part in (model.text, model.text_projection):
        part.requires_grad_(True)
    model.log_scale.requires_grad_(True)
    if plan.image_rate:
        hold_fixed_part(model)


def hold_fixed_part(model: TwoTowerModel) -> None:
    """Let the image projection learn but for the rows of the class part."""
    learned = model.config.image_parts[0]
    for value in model.image_projection.parameters():
        value.requires_grad_(True)
        mask = (torch.arange(len(value)) < learned).float()
        mask = mask.view(-1, *[1] * (value.dim() - 1))
        value.register_hook(lambda gradient, mask=mask: gradient * mask)  # type: ignore[no-untyped-call]


def step_loss(
    encoder: TextEncoder,
    scores: NameScores,
    lessons: Lessons,
    labels: Tensor,
    names: Names,
    plan: TextPlan,
    step: int,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one step, whose draws depend on its number alone."""
    torch.manual_seed(1000 * plan.seed + step)
    rng = random.Random(f"{plan.seed} {step}")
    captioned = rng.sample(range(len(lessons.captioned)), min(plan.captioned, len(lessons.captioned)))
    labelled = rng.sample(range(len(lessons.labelled)), min(plan.labelled, len(lessons.labelled)))
    seen = [rng.choice(lessons.captioned_views)[captioned], rng.choice(lessons.labelled_views)[labelled]]
    features = torch.from_numpy(np.concatenate(seen)).float()
    images = encoder.model.project_image(nn.functional.dropout(features, plan.features_dropped))

    # --- captions, human, composed and guessed
    batch = [lessons.captioned[row] for row in captioned] + [lessons.labelled[row] for row in labelled]
    guessed = [()] * len(captioned) + [lessons.guessed[row] for row in labelled]
    drawn = draw_texts(batch, guessed, names, rng, plan.composed)
    texts = encoder.encode(drawn.texts, plan.words_dropped, rng)
    captions = both_ways(encoder.model.scale() * images @ texts.T, *drawn.relation(batch))

    # --- names over labelled photographs
    shown, unsure = labels[labelled], lessons.unsure[labelled]
    said = [name.draw(rng, language) for language in ("en", "zh") for name in names.all]
    rows = encoder.encode(said).view(2, len(names.all), -1)
    naming = torch.stack(
        [asymmetric(scores(images[len(captioned) :] @ own.T), shown, unsure) for own in rows]
    ).mean()

    # --- texts that stay where they are
    some = rng.sample(range(len(lessons.anchors)), min(plan.kept, len(lessons.anchors)))
    now = encoder.encode([lessons.anchors[row] for row in some], plan.words_dropped, rng)
    staying = distillation(now, torch.from_numpy(lessons.anchor_rows[some]).float())
    loss = captions + plan.names * naming + plan.anchors * staying
    return loss, {"captions": captions.item(), "names": naming.item(), "anchors": staying.item()}
