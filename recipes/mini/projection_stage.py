"""Train the learned part of the image projection alone, in batches that no other stage can afford.

Fine-tuning sees some hundred texts a step, so photographs learn little of which of many captions is theirs (image to
text fell by five points of R@5 on val). Here features and text vectors are computed once, and a step of thousands of
both takes a fraction of a second.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from indexer.training.losses import distillation
from indexer.training.schedule import warmup_cosine
from recipes.mini.checkpoint import Average
from recipes.mini.names import Names
from recipes.mini.objective import asymmetric, both_ways
from recipes.mini.text_stage import Lessons, hold_fixed_part
from recipes.mini.texts import NameScores, TextEncoder, TextRows, draw_texts, present

Log = Callable[..., None]


@dataclass(frozen=True)
class ProjectionPlan:
    """Settings; the weights are those of the terms beside captions, which have 1."""

    steps: int = 150
    captioned: int = 1000
    labelled: int = 500
    captions: int = 2
    rate: float = 5e-4
    features_dropped: float = 0.3
    names: float = 0.5
    kept: float = 4.0
    composed: float = 0.5
    average: float = 0.97
    seed: int = 2


def train_projection(
    encoder: TextEncoder, lessons: Lessons, names: Names, plan: ProjectionPlan, log: Log
) -> None:
    """Train it; minutes, so that there are no checkpoints.

    Args:
        encoder: the model, of which nothing else changes.
        lessons: photographs and their features.
        names: of things.
        plan: settings.
        log: takes the losses.
    """
    model, texts = encoder.model, TextRows(encoder, {})
    model.requires_grad_(False)
    hold_fixed_part(model)
    captioned = [
        replace(one, english=one.english[: plan.captions], chinese=one.chinese[: plan.captions])
        for one in lessons.captioned
    ]
    labels, scores = present(lessons.labelled, names), NameScores(len(names.all))
    scale = nn.Parameter(torch.log(model.scale().detach().clone()))
    views = [
        torch.from_numpy(view).float() for view in (lessons.captioned_views[0], lessons.labelled_views[0])
    ]
    with torch.no_grad():
        before = [model.project_image(view) for view in views]
        scores.fit(before[1] @ texts.of([one.label for one in names.all]).T, labels)
    optimizer = torch.optim.AdamW(
        [
            {"params": [*model.image_projection.parameters()], "peak": plan.rate},
            {"params": [*scores.parameters(), scale], "peak": 3e-3},
        ],
        weight_decay=0.0,
    )
    average, losses = Average(model, plan.average), []
    for step in range(plan.steps):
        torch.manual_seed(1000 * plan.seed + step)
        rng = random.Random(f"{plan.seed} {step}")
        rows = [
            rng.sample(range(len(view)), min(count, len(view)))
            for view, count in zip(views, (plan.captioned, plan.labelled), strict=True)
        ]
        features = torch.cat([view[own] for view, own in zip(views, rows, strict=True)])
        images = model.project_image(nn.functional.dropout(features, plan.features_dropped))
        batch = [captioned[row] for row in rows[0]] + [lessons.labelled[row] for row in rows[1]]
        guessed = [()] * len(rows[0]) + [lessons.guessed[row] for row in rows[1]]
        drawn = draw_texts(batch, guessed, names, rng, plan.composed)
        pairs = scale.exp().clamp(max=100) * images @ texts.of(drawn.texts).T
        captions = both_ways(pairs, *drawn.relation(batch))
        said = texts.of([name.draw(rng, ("en", "zh")[step % 2]) for name in names.all])
        own = images[len(rows[0]) :]
        naming = asymmetric(scores(own @ said.T), labels[rows[1]], lessons.unsure[rows[1]])
        staying = distillation(images, torch.cat([one[own] for one, own in zip(before, rows, strict=True)]))
        loss = captions + plan.names * naming + plan.kept * staying
        share = warmup_cosine(step, 10, plan.steps)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update()
        losses.append([captions.item(), naming.item(), staying.item()])
        if step % 25 == 24:
            means = dict(
                zip(("captions", "names", "kept"), np.mean(losses, 0).round(4).tolist(), strict=True)
            )
            log(stage="projection", step=step + 1, **means)
            losses.clear()
    model.load_state_dict(average.apply(), strict=False)
