"""Fine-tune the last image stages against text vectors that stay, on places that are computed once.

A batch of photographs is small, since they pass through the stages, but texts and all other photographs cost a product
each: every photograph tells its captions from thousands, and every caption its photograph from all. Beside that the
model as it was when the stage began teaches, as in the heads' stage: over these thousands each has to choose as before.
"""

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
from recipes.mini import checkpoint, fast_stages
from recipes.mini.frozen import Features, pooled, torch_pool, tuned_stages
from recipes.mini.heads import learn_projection
from recipes.mini.names import Names
from recipes.mini.objective import asymmetric, both_ways, divergence, multi_positive_info_nce
from recipes.mini.photographs import Photograph
from recipes.mini.start import Tensors, weights_of
from recipes.mini.texts import NameScores, Said, TextEncoder, TextRows, draw_texts, present
from retrieval.encoders.two_tower.model import TwoTowerModel

Log = Callable[..., None]


@dataclass(frozen=True)
class ImagePlan:
    """Settings; the weights are those of the terms beside captions, which have 1.

    The rate falls as if there were ``schedule`` steps: weights are averaged, which stands in for its end.

    Attributes:
        runs: the steps of each run; their weights are averaged.
        others: captions of other photographs that a step tells its own from.
        told: weight of the contrast among thousands.
        chosen: weight of what was chosen among them when the stage began.
    """

    runs: tuple[int, ...] = (200, 500, 300)
    schedule: int = 500
    captioned: int = 56
    labelled: int = 64
    unnamed: int = 12
    rate: float = 3e-4
    projection_rate: float = 5e-4
    pull: float = 0.1
    features_dropped: float = 0.2
    names: float = 1.0
    beliefs: float = 0.3
    kept: float = 2.0
    composed: float = 0.5
    others: int = 6000
    told: float = 0.7
    chosen: float = 3.0
    average: float = 0.99
    save_every: int = 20


@dataclass(frozen=True)
class Remembered:
    """Where the model had captions, which stay, and the captioned photographs when the stage began.

    Attributes:
        scale: 1/temperature.
        texts: (n, D) float16 unit rows of captions.
        owners: (n,) the photograph of each.
        photographs: (m, D) float32 unit rows of the plain views.
    """

    scale: float
    texts: Tensor
    owners: Tensor
    photographs: Tensor


@dataclass(frozen=True)
class Shown:
    """Photographs and their views.

    Attributes:
        photographs: what is known of each.
        views: what the frozen part gives.
        start: (n, learned) unit rows, the learned part of the start's vectors of the plain view.
    """

    photographs: Sequence[Photograph]
    views: Sequence[Features]
    start: NDArray[np.float32]


@dataclass(frozen=True)
class Scenes:
    """What the image tower learns from: photographs with captions, with labels, and others that only stay.

    Attributes:
        captioned: with captions in both languages.
        labelled: with labels.
        unnamed: whose vectors stay near the start's.
        guessed: pseudo-captions of the labelled.
        unsure: (labelled, names) bool.
        class_rows: (2, 1000, D) the text vectors of ImageNet's classes, English and Chinese.
        classifier: (1000, 1280) weights, and (1000,) biases, of the kept features' classifier.
        remembered: what the captioned are told from.
    """

    captioned: Shown
    labelled: Shown
    unnamed: Shown
    guessed: Sequence[Sequence[Said]]
    unsure: Tensor
    class_rows: Tensor
    classifier: tuple[Tensor, Tensor]
    remembered: Remembered


def train_images(
    encoder: TextEncoder, scenes: Scenes, names: Names, plan: ImagePlan, run: int, path: Path, log: Log
) -> Tensors:
    """Train the tuned stages and the learned part of the projection from where the model is.

    A killed run goes on at its checkpoint.

    Args:
        encoder: has the model, which keeps its weights.
        scenes: what is learned from.
        names: of the things.
        plan: settings.
        run: which one of ``plan.runs``; the seed of what is drawn.
        path: the checkpoint.
        log: told how the terms fall.

    Returns:
        All weights.
    """
    model, stages, before = encoder.model, tuned_stages(encoder.model), weights_of(encoder.model)
    steps = plan.runs[run]
    model.requires_grad_(False)
    stages.requires_grad_(True)
    fast_stages.fix_depthwise(stages)
    handles = learn_projection(model)
    scale = nn.Parameter(torch.log(model.scale().detach().clone()))
    scores, texts = NameScores(len(names.all)), TextRows(encoder, {})
    trunk: list[Tensor] = [value for value in stages.parameters() if value.requires_grad]
    start = [value.detach().clone() for value in trunk]
    optimizer = torch.optim.AdamW(
        [
            {"params": trunk, "peak": plan.rate},
            {"params": [*model.image_projection.parameters()], "peak": plan.projection_rate},
            {"params": [*scores.parameters(), scale], "peak": 3e-3},
        ],
        weight_decay=0.0,
        fused=True,
    )
    average = checkpoint.Average(model, plan.average)
    labels = present(scenes.labelled.photographs, names)
    progress = _Progress(model, scores, scale, start, optimizer, average)
    first = progress.restore(path)
    if not first:
        calibrate(model, stages, scores, scenes, texts.of([one.label for one in names.all]), labels)
    begun, losses = time.monotonic(), []
    for step in range(first, steps):
        loss, parts = step_loss(model, stages, scores, scale, scenes, labels, names, texts, plan, run, step)
        share = warmup_cosine(step, 30, plan.schedule)
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * share
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(trunk, 5.0)
        optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(trunk, start, plan.rate * share * plan.pull)
        average.update()
        losses.append(parts)
        if (step + 1) % plan.save_every == 0 or step + 1 == steps:
            means = {key: round(float(np.mean([one[key] for one in losses])), 4) for key in parts}
            log(stage=path.stem, step=step + 1, seconds=round(time.monotonic() - begun), **means)
            losses.clear()
            progress.save(path, step + 1)
    for handle in handles:
        handle.remove()
    model.requires_grad_(False)
    model.load_state_dict(before)
    return {**before, **average.apply()}


@dataclass(frozen=True)
class _Progress:
    """What a run changes, and the weights that it is pulled to: what a checkpoint holds."""

    model: TwoTowerModel
    scores: NameScores
    scale: Tensor
    start: list[Tensor]
    optimizer: torch.optim.Optimizer
    average: checkpoint.Average

    @torch.no_grad()
    def restore(self, path: Path) -> int:
        """Go on from a checkpoint, if there is one; give the steps that were done."""
        if not path.exists():
            return 0
        state = checkpoint.read(path)
        self.model.load_state_dict(state["model"])
        self.scores.load_state_dict(state["scores"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load(state["average"])
        self.scale.copy_(state["scale"])
        for value, own in zip(self.start, state["start"], strict=True):
            value.copy_(own)
        return int(state["step"])

    def save(self, path: Path, step: int) -> None:
        """Write a checkpoint after so many steps."""
        state = {"model": self.model.state_dict(), "scores": self.scores.state_dict(), "start": self.start}
        state |= {"optimizer": self.optimizer.state_dict(), "average": self.average.state()}
        checkpoint.write(path, state | {"scale": self.scale.detach(), "step": step})


@torch.no_grad()
def calibrate(
    model: TwoTowerModel, stages: nn.Module, scores: NameScores, scenes: Scenes, rows: Tensor, labels: Tensor
) -> None:
    """Fit the temperature and biases of names to a part of the labelled photographs."""
    view = scenes.labelled.views[0]
    part = Features(view.places[:1000], view.kept[:1000])
    images = model.project_image(torch.from_numpy(pooled(torch_pool(stages), part)).float())
    scores.fit(images @ rows.T, labels[:1000])


def step_loss(
    model: TwoTowerModel,
    stages: nn.Module,
    scores: NameScores,
    scale: Tensor,
    scenes: Scenes,
    labels: Tensor,
    names: Names,
    texts: TextRows,
    plan: ImagePlan,
    run: int,
    step: int,
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one step, whose draws depend on its number alone."""
    torch.manual_seed(1000 * run + step)
    rng = random.Random(f"{run} {step}")
    sets = (scenes.captioned, scenes.labelled, scenes.unnamed)
    sizes = (plan.captioned, plan.labelled, plan.unnamed)
    chosen = [rows_of_step(len(s.photographs), n, step, run) for s, n in zip(sets, sizes, strict=True)]
    views = [rng.choice(shown.views) for shown in sets]
    places = np.concatenate([v.places[rows] for v, rows in zip(views, chosen, strict=True)])
    kept = torch.from_numpy(
        np.concatenate([v.kept[rows] for v, rows in zip(views, chosen, strict=True)])
    ).float()
    tuned = fast_stages.forward(stages, torch.from_numpy(places.astype(np.float32)))
    features = torch.cat([tuned, kept], 1)
    images = model.project_image(nn.functional.dropout(features, plan.features_dropped))

    # --- captions, human, composed and guessed
    captioned, labelled = chosen[0], chosen[1]
    batch = [scenes.captioned.photographs[row] for row in captioned]
    batch += [scenes.labelled.photographs[row] for row in labelled]
    guessed = [()] * len(captioned) + [scenes.guessed[row] for row in labelled]
    drawn = draw_texts(batch, guessed, names, rng, plan.composed)
    pairs = scale.exp().clamp(max=100) * images[: len(batch)] @ texts.of(drawn.texts).T
    captions = both_ways(pairs, *drawn.relation(batch))

    # --- names over labelled photographs
    own = images[len(captioned) : len(batch)]
    naming = torch.stack(
        [
            asymmetric(
                scores(own @ texts.of([name.draw(rng, language) for name in names.all]).T),
                labels[labelled],
                scenes.unsure[labelled],
            )
            for language in ("en", "zh")
        ]
    ).mean()

    # --- what the kept features' classifier says, and where the start had these photographs
    weight, bias = scenes.classifier
    believed = (kept @ weight.T + bias).softmax(1)
    said = torch.log_softmax(40 * images @ scenes.class_rows[step % 2].T, 1)
    beliefs = -(believed * said).sum(1).mean()
    learned = images[:, : model.config.image_parts[0]]
    before = np.concatenate([shown.start[rows] for shown, rows in zip(sets, chosen, strict=True)])
    staying = distillation(learned, torch.from_numpy(before))
    told, chosen_so = remember(images[: len(captioned)], captioned, scenes.remembered, plan.others)
    loss = captions + plan.names * naming + plan.beliefs * beliefs + plan.kept * staying
    loss = loss + plan.told * told + plan.chosen * chosen_so
    parts = {"captions": captions, "names": naming, "beliefs": beliefs, "kept": staying}
    parts |= {"told": told, "chosen": chosen_so}
    return loss, {name: value.item() for name, value in parts.items()}


def remember(images: Tensor, rows: Sequence[int], before: Remembered, others: int) -> tuple[Tensor, Tensor]:
    """The contrast among thousands, and how far choices among them are from those before.

    Args:
        images: (b, D) unit rows of photographs as they are now.
        rows: which photographs these are.
        before: where all were.
        others: captions of other photographs, drawn by torch's generator.

    Returns:
        The mean of InfoNCE from photographs to captions and from captions to photographs; the sum of the mean
        Kullback-Leibler divergences of both choices.
    """
    own = torch.isin(before.owners, torch.tensor(rows))
    away = torch.nonzero(~own).squeeze(1)
    drawn = torch.cat([torch.nonzero(own).squeeze(1), away[torch.randperm(len(away))[:others]]])
    texts, owners = before.texts[drawn].float(), before.owners[drawn]
    right = torch.tensor(rows)[:, None] == owners
    nobody = torch.zeros_like(right)
    was, now = (before.scale * one @ texts.T for one in (before.photographs[rows], images))
    told = multi_positive_info_nce(now, right, nobody)
    chosen = divergence(was, now)

    asked = texts[: int(own.sum())]
    photographs = before.photographs.index_copy(0, torch.tensor(rows), images)
    was, now = (before.scale * asked @ one.T for one in (before.photographs, photographs))
    right = owners[: len(asked), None] == torch.arange(len(photographs))
    told = (told + multi_positive_info_nce(now, right, torch.zeros_like(right))) / 2
    return told, chosen + divergence(was, now)


def rows_of_step(count: int, size: int, step: int, seed: int) -> list[int]:
    """The rows of a step's batch: every photograph once an epoch."""
    size = min(size, count)
    each = count // size
    order = np.random.default_rng((seed, step // each)).permutation(count)
    place = step % each * size
    rows: list[int] = np.sort(order[place : place + size]).tolist()
    return rows
