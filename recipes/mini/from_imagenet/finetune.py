"""Stage finetune: the image tower's later stages learn captions, against small networks on the teachers' rows.

Several runs start from the same ImageNet weights with seeds of their own, and the stages of all are averaged in the end
("model soup": Wortsman et al., ICML 2022); their networks are thrown away. Within a run: the networks are warmed up on
features as they were; pictures grow in the last epochs; every second epoch has look-alikes in one batch; weights are
pulled to where they started and averaged over steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet import checkpoint
from recipes.mini.from_imagenet.batches import caption_similarity, epoch_order
from recipes.mini.from_imagenet.checkpoint import Tensors
from recipes.mini.from_imagenet.judge import judge_opinion
from recipes.mini.from_imagenet.objective import contrast
from recipes.mini.from_imagenet.opinion import FEATURES, Opinion
from recipes.mini.from_imagenet.optimization import Log, groups, set_rates, step
from recipes.mini.from_imagenet.pixels import Features, Pixels, all_features, may_mirror, vary
from recipes.mini.from_imagenet.student import Student
from recipes.mini.from_imagenet.teachers import READINGS, Reading

_OPINION = "opinions.members.0."


@dataclass(frozen=True)
class Finetuning:
    """Settings.

    Attributes:
        first: the first run's seed; each has the next.
        sizes: the side of the pictures in each epoch.
        others: pictures outside of the batch, whose captions are negatives.
        smallest: area of a crop.
        pull: towards the weights at the start, times the learning rate, a step.
        average: of weights over steps.
    """

    runs: int = 3
    first: int = 0
    sizes: tuple[int, ...] = (160,) * 5 + (192,) * 4
    warm_epochs: int = 12
    warm_batch: int = 500
    batch: int = 128
    others: int = 256
    smallest: float = 0.5
    image_rate: float = 4e-4
    pull: float = 0.1
    average: float = 0.995


@dataclass(frozen=True)
class Lessons:
    """What all runs learn from: pictures, whether each may be mirrored, captions, and features before fine-tuning."""

    pixels: dict[str, Pixels]
    mirrors: list[bool]
    reading: Reading
    frozen: Features

    @classmethod
    def of(
        cls,
        pixels: dict[str, Pixels],
        captions: Sequence[dict[str, list[str]]],
        reading: Reading,
        frozen: Features,
    ) -> Lessons:
        """Choose what may be mirrored, by the captions."""
        return cls(pixels, [may_mirror(own) for own in captions], reading, frozen.tuned())


def finetune(student: Student, lessons: Lessons, plan: Finetuning, out: Path, log: Log) -> None:
    """All runs that are not done, then their mean; the opinion's projection is the first run's."""
    seeds = range(plan.first, plan.first + plan.runs)
    for seed in seeds:
        tune(student, lessons, plan, seed, out, log)
    found = [load_file(run_of(out, seed)) for seed in seeds]
    stages = [name for name in found[0] if not name.startswith(_OPINION)]
    mean = {name: torch.stack([one[name] for one in found]).mean(0) for name in stages}
    checkpoint.copy(found[0] | mean, "", learned(student))


def tune(student: Student, lessons: Lessons, plan: Finetuning, seed: int, out: Path, log: Log) -> None:
    """One run, unless it is done; the student is afterwards what it was. Processes may do different ones at a time."""
    if run_of(out, seed).exists():
        return
    weights = learned(student)
    start = {name: value.detach().clone() for name, value in weights.items() if not name.startswith(_OPINION)}
    checkpoint.write(run_of(out, seed), run(student, lessons, plan, seed, out, log))
    checkpoint_of(out, seed).unlink()
    checkpoint.copy(start, "", {name: weights[name] for name in start})


def run_of(out: Path, seed: int) -> Path:
    """Name the file of a run that is done."""
    return out / f"finetune-{seed}.safetensors"


def checkpoint_of(out: Path, seed: int) -> Path:
    """Name the checkpoint of a run that is not done."""
    return out / f"finetune-{seed}-checkpoint.safetensors"


def learned(student: Student) -> Tensors:
    """The parameters that fine-tuning changes: the tuned stages and an opinion."""
    return {
        name: value
        for name, value in student.named_parameters()
        if value.requires_grad and name.startswith(("towers.image.features.", _OPINION))
    }


def run(student: Student, lessons: Lessons, plan: Finetuning, seed: int, out: Path, log: Log) -> Tensors:
    """The averaged weights of one run; goes on at its last checkpoint."""
    # --- what learns, and its state
    torch.manual_seed(seed)
    student.opinions.members[0] = opinion = Opinion()
    optimizer, trunk = optimizer_of(student, opinion, plan)
    start = [value.detach().clone() for value in trunk]
    if not checkpoint_of(out, seed).exists():
        warm_up(opinion, lessons, plan, seed, log)
    weights = learned(student)
    averaged = {name: value.detach().clone() for name, value in weights.items()}
    first = 0
    if checkpoint_of(out, seed).exists():
        first = checkpoint.resume(checkpoint_of(out, seed), weights, averaged, optimizer)

    # --- the loop
    similarity = caption_similarity(lessons.reading.train["en"])
    batch = min(plan.batch, len(lessons.mirrors))
    steps = len(lessons.mirrors) // batch
    total = len(plan.sizes) * steps
    for epoch in range(first, len(plan.sizes)):
        torch.manual_seed(1000 * seed + epoch)  # of dropout, noise and drawn captions
        draw, rng = random.Random(1000 * seed + epoch), np.random.default_rng((3, seed, epoch))
        order = epoch_order(similarity, epoch, rng)
        losses = []
        for i in range(steps):
            done, rows = epoch * steps + i, order[i * batch : (i + 1) * batch]
            mirrors = [lessons.mirrors[row] for row in rows]
            pixels = vary(lessons.pixels["train"][rows], plan.sizes[epoch], plan.smallest, mirrors, draw)
            features = nn.functional.dropout(student.tuned_features(pixels), 0.2)
            drawn = rng.choice(len(order), min(plan.others, len(order)), replace=False)
            others = np.setdiff1d(drawn, rows).astype(np.int64)
            loss = captions_loss(opinion, features, lessons.reading, rows, others, 2)
            share = warmup_cosine(done, 40, total)
            set_rates(optimizer, share)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(weights.values(), 5.0)
            optimizer.step()
            with torch.no_grad():
                torch._foreach_lerp_(list[Tensor](trunk), start, plan.image_rate * share * plan.pull)
                follow(averaged, weights, min(plan.average, (done + 1) / (done + 11)))
            losses.append(loss.item())
        checkpoint.keep(checkpoint_of(out, seed), weights, averaged, optimizer, epoch + 1)
        line = {"stage": "finetune", "run": seed, "epoch": epoch + 1, "loss": float(np.mean(losses))}
        if epoch % 2 or epoch + 1 == len(plan.sizes):
            with lent(weights, averaged):
                features = all_features(student, lessons.pixels["val"])[:, :FEATURES]
                line["val"] = judge_opinion(opinion, features, lessons.reading.val)
        log(**line)
    return averaged


def optimizer_of(
    student: Student, opinion: Opinion, plan: Finetuning
) -> tuple[torch.optim.Optimizer, list[nn.Parameter]]:
    """AdamW over all that learns, and the tuned stages' parameters."""
    trunk: list[nn.Parameter] = [value for value in student.towers.image.parameters() if value.requires_grad]
    parts = groups(
        (trunk, plan.image_rate, 0.0),
        (opinion.texts.parameters(), 3e-4, 0.1),
        (opinion.image.parameters(), 5e-4, 0.02),
        ([opinion.log_scale], 1e-3, 0.0),
    )
    return torch.optim.AdamW(parts, fused=True), trunk


def captions_loss(
    opinion: Opinion,
    features: Tensor,
    reading: Reading,
    rows: Sequence[int] | NDArray[np.int64],
    others: Sequence[int] | NDArray[np.int64],
    times: int,
) -> Tensor:
    """InfoNCE of pictures (tuned features, in the order of ``rows``) and captions, ``times`` of each reading.

    A caption of each reading of each of the ``others`` are negatives.
    """
    asked, more = torch.as_tensor(rows).repeat(times), torch.as_tensor(others, dtype=torch.long)
    texts = opinion.read(reading, asked, noise=0.1)
    if len(more):
        texts += opinion.read(reading, more)
    owners = list(range(len(rows))) * times * len(READINGS)
    return contrast(opinion.encode_images(features), torch.cat(texts), owners, opinion.scale())


def warm_up(opinion: Opinion, lessons: Lessons, plan: Finetuning, seed: int, log: Log) -> None:
    """Fit the networks to the features as they are."""
    features = lessons.frozen.train[0]
    opinion.centre(features)
    heads = [*opinion.image.parameters(), *opinion.texts.parameters()]
    optimizer = torch.optim.AdamW(groups((heads, 1e-3, 0.1), ([opinion.log_scale], 1e-3, 0.0)))
    batch = min(plan.warm_batch, len(features))
    steps = len(features) // batch
    for epoch in range(plan.warm_epochs):
        order = np.random.default_rng((1, seed, epoch)).permutation(len(features))
        for i in range(steps):
            rows = order[i * batch : (i + 1) * batch]
            noisy_features = nn.functional.dropout(features[rows], 0.2)
            loss = captions_loss(opinion, noisy_features, lessons.reading, rows, [], 1)
            step(optimizer, loss, warmup_cosine(epoch * steps + i, 30, plan.warm_epochs * steps))
    figures = judge_opinion(opinion, lessons.frozen.val, lessons.reading.val)
    log(stage="finetune", run=seed, epoch=0, loss=loss.item(), val=figures)


@torch.no_grad()
def follow(averaged: Tensors, weights: Tensors, share: float) -> None:
    """Keep ``share`` of the averages."""
    for name, value in weights.items():
        averaged[name].lerp_(value, 1 - share)


@contextmanager
def lent(weights: Tensors, others: Tensors) -> Iterator[None]:
    """Other values in the weights, for the time being."""
    own = {name: value.detach().clone() for name, value in weights.items()}
    checkpoint.copy(others, "", weights)
    yield
    checkpoint.copy(own, "", weights)
