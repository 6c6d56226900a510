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
Rows = Sequence[list[int]]  # of a step's photographs: captioned, labelled, unnamed


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

    @property
    def sets(self) -> tuple[Shown, Shown, Shown]:
        """In the order of a batch."""
        return self.captioned, self.labelled, self.unnamed


@dataclass(frozen=True)
class Learner:
    """What learns, and what it is told.

    Attributes:
        model: whose projection learns.
        stages: its last image stages, which learn.
        scores: of names, with a temperature and biases that learn.
        scale: (), the logarithm of captions' 1/temperature, which learns.
        names: of the things.
        texts: where the model has texts, which stay.
    """

    model: TwoTowerModel
    stages: nn.Module
    scores: NameScores
    scale: Tensor
    names: Names
    texts: TextRows


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
    scores = NameScores(len(names.all))
    learner = Learner(model, stages, scores, scale, names, TextRows(encoder, {}))
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
        calibrate(learner, scenes, labels)
    begun, losses = time.monotonic(), []
    for step in range(first, steps):
        loss, parts = step_loss(learner, scenes, labels, plan, run, step)
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
def calibrate(learner: Learner, scenes: Scenes, labels: Tensor) -> None:
    """Fit the temperature and biases of names to a part of the labelled photographs."""
    view = scenes.labelled.views[0]
    part = Features(view.places[:1000], view.kept[:1000])
    features = torch.from_numpy(pooled(torch_pool(learner.stages), part)).float()
    names = learner.texts.of([one.label for one in learner.names.all])
    learner.scores.fit(learner.model.project_image(features) @ names.T, labels[:1000])


def step_loss(
    learner: Learner, scenes: Scenes, labels: Tensor, plan: ImagePlan, run: int, step: int
) -> tuple[Tensor, dict[str, float]]:
    """The loss of one step, whose draws depend on its number alone; ``labels`` (labelled, names) 0 or 1."""
    torch.manual_seed(1000 * run + step)
    rng = random.Random(f"{run} {step}")
    sizes = (plan.captioned, plan.labelled, plan.unnamed)
    chosen = [
        rows_of_step(len(shown.photographs), size, step, run)
        for shown, size in zip(scenes.sets, sizes, strict=True)
    ]
    kept, images = _seen(learner, scenes, chosen, plan.features_dropped, rng)
    captioned, labelled, _ = chosen
    captions = _captions_loss(learner, scenes, chosen, images, plan.composed, rng)
    named = images[len(captioned) : len(captioned) + len(labelled)]
    names = _names_loss(learner, named, labels[labelled], scenes.unsure[labelled], rng)
    beliefs = _beliefs_loss(images, kept, scenes, step)
    staying = _staying_loss(images, scenes, chosen)
    told, chosen_so = remember(images[: len(captioned)], captioned, scenes.remembered, plan.others)
    loss = captions + plan.names * names + plan.beliefs * beliefs + plan.kept * staying
    loss = loss + plan.told * told + plan.chosen * chosen_so
    parts = {"captions": captions, "names": names, "beliefs": beliefs, "kept": staying}
    parts |= {"told": told, "chosen": chosen_so}
    return loss, {name: value.item() for name, value in parts.items()}


def _seen(
    learner: Learner, scenes: Scenes, chosen: Rows, dropped: float, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """The kept features of a batch, (b, 1280), and its unit rows, (b, D), each set in one of its views."""
    views = [rng.choice(shown.views) for shown in scenes.sets]
    places, kept = (
        np.concatenate([part[rows] for part, rows in zip(parts, chosen, strict=True)]).astype(np.float32)
        for parts in ([view.places for view in views], [view.kept for view in views])
    )
    tuned = fast_stages.forward(learner.stages, torch.from_numpy(places))
    features = torch.cat([tuned, torch.from_numpy(kept)], 1)
    images = learner.model.project_image(nn.functional.dropout(features, dropped))
    return torch.from_numpy(kept), images


def _captions_loss(
    learner: Learner, scenes: Scenes, chosen: Rows, images: Tensor, composed: float, rng: random.Random
) -> Tensor:
    """Captions, human, composed and guessed, of the captioned and labelled."""
    captioned, labelled, _ = chosen
    batch = [scenes.captioned.photographs[row] for row in captioned]
    batch += [scenes.labelled.photographs[row] for row in labelled]
    guessed = [()] * len(captioned) + [scenes.guessed[row] for row in labelled]
    drawn = draw_texts(batch, guessed, learner.names, rng, composed)
    scale = learner.scale.exp().clamp(max=100)
    pairs = scale * images[: len(batch)] @ learner.texts.of(drawn.texts).T
    return both_ways(pairs, *drawn.relation(batch))


def _names_loss(
    learner: Learner, images: Tensor, labels: Tensor, unsure: Tensor, rng: random.Random
) -> Tensor:
    """Names of things over labelled photographs, the mean of both languages."""
    losses = []
    for language in ("en", "zh"):
        names = learner.texts.of([name.draw(rng, language) for name in learner.names.all])
        losses.append(asymmetric(learner.scores(images @ names.T), labels, unsure))
    return torch.stack(losses).mean()


def _beliefs_loss(images: Tensor, kept: Tensor, scenes: Scenes, step: int) -> Tensor:
    """What the kept features' classifier says of each photograph, in one language after the other."""
    weight, bias = scenes.classifier
    believed = (kept @ weight.T + bias).softmax(1)
    said = torch.log_softmax(40 * images @ scenes.class_rows[step % 2].T, 1)
    return -(believed * said).sum(1).mean()


def _staying_loss(images: Tensor, scenes: Scenes, chosen: Rows) -> Tensor:
    """How far the learned part is from where the start had these photographs."""
    before = np.concatenate([shown.start[rows] for shown, rows in zip(scenes.sets, chosen, strict=True)])
    return distillation(images[:, : before.shape[1]], torch.from_numpy(before))


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
