"""Stage balance: both projections and the text tower learn captions and classes together, on features computed once."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from indexer.training.losses import distillation, hard_triplet, info_nce, sigmoid
from indexer.training.schedule import warmup_cosine
from recipes.mini.from_imagenet.checkpoint import Tensors
from recipes.mini.from_imagenet.distil import remember
from recipes.mini.from_imagenet.lexicon import CLASSES, Drawn, Lexicon, misplaced
from recipes.mini.from_imagenet.materials import LANGUAGES, Captions, Labelled, Taught
from recipes.mini.from_imagenet.objective import which
from recipes.mini.from_imagenet.opine import Told
from recipes.mini.from_imagenet.optimization import Log, groups, step
from recipes.mini.from_imagenet.pixels import Features
from recipes.mini.from_imagenet.short import Short
from recipes.mini.from_imagenet.student import LEARNED, Student

Loss = Literal["infonce", "sigmoid", "triplet"]


@dataclass(frozen=True)
class Balancing:
    """Settings; the weights are those of the terms beside captions, which have 1."""

    loss: Loss = "infonce"
    rate: float = 1e-3  # of the text tower
    epochs: int = 12
    runs: int = 3
    kept: float = 0.25  # share of the weights before this stage in those after it
    class_share: float = 0.5  # what remains of the class part in texts, before they get their length
    batch: int = 1000
    labelled: int = 200
    features_dropped: float = 0.2
    words_dropped: float = 0.1
    beliefs: float = 0.3
    labels: float = 0.2
    places: float = 1.5
    outside: float = 1.0
    opinion: float = 4.0
    short: float = 1.0
    remembered: float = 0.3


@dataclass(frozen=True)
class Lectures:
    """What is learned from.

    Attributes:
        captions: of Flickr8k's train pictures.
        labelled: the class photographs' labels.
        features: of both.
        told: the second opinion, of captions.
        short: the same, of names and words.
        taught: the first teacher's rows.
    """

    captions: Captions
    labelled: Labelled
    features: Features
    told: Told
    short: Short
    taught: Taught


def balance(student: Student, lectures: Lectures, plan: Balancing, seed: int, log: Log) -> None:
    """Everything but the image tower, in large batches."""
    torch.manual_seed(seed)
    lexicon, features, draw = Lexicon.of(student), lectures.features, random.Random(seed)
    believed = {
        "train": student.logits(features.train[0]).softmax(1),
        "classes": student.logits(features.classes).softmax(1),
    }
    vectors, trainable = lectures.told.within(student.opinions.directions), lectures.labelled.trainable
    short = lectures.short.within(student.opinions.directions)
    bias = nn.Parameter(torch.tensor(-10.0))
    if plan.loss == "sigmoid":
        calibrate(student, lectures, plan, bias)
        log(stage="balance", scale=student.towers.scale().item(), bias=bias.item())
    optimizer = optimizer_of(student, bias, plan.rate)
    size = min(plan.batch, len(lectures.captions))
    steps = len(lectures.captions) // size
    total = plan.epochs * steps
    for epoch in range(plan.epochs):
        order = np.random.default_rng((seed, 7, epoch)).permutation(len(lectures.captions))
        losses = []
        for i in range(steps):
            done, rows = epoch * steps + i, order[i * size : (i + 1) * size]
            labelled = draw.sample(trainable, min(plan.labelled, len(trainable)))
            seen = torch.cat([draw.choice(features.train)[rows], features.classes[labelled]])
            images = student.project(nn.functional.dropout(seen, plan.features_dropped))
            texts, owners = draw_captions([lectures.captions[row] for row in rows], draw)
            captions = student.encode_texts(texts, plan.words_dropped, draw)
            scale = student.towers.scale()
            loss = captions_loss(plan.loss, images[:size], captions, which(owners, size), scale, bias)
            loss = loss + classes_loss(
                student,
                images,
                torch.cat([believed["train"][rows], believed["classes"][labelled]]),
                lexicon.draw(draw, CLASSES, 128),
                lectures.labelled.same(labelled),
                plan,
            )
            rng = np.random.default_rng((seed, 8, done))
            loss = loss + plan.remembered * remember(student, lectures.taught, 512, rng)
            some = rng.choice(len(vectors), min(768, len(vectors)), replace=False)
            asked = [lectures.told.texts[row] for row in some]
            said = student.encode_texts(asked, plan.words_dropped, draw)[:, :LEARNED]
            loss = loss + plan.opinion * distillation(said, vectors[some])
            loss = loss + plan.short * lectures.short.loss(student, short, 384, rng, draw)
            step(optimizer, loss, warmup_cosine(done, 20, total))
            losses.append(loss.item())
        log(stage="balance", epoch=epoch + 1, loss=float(np.mean(losses)))


def settled(start: Tensors, ends: Sequence[Tensors], plan: Balancing) -> Tensors:
    """Between the weights before and the mean of those after (WiSE-FT: Wortsman et al., CVPR 2022)."""
    after = {name: torch.stack([end[name] for end in ends]).mean(0) for name in start}
    return {name: after[name].lerp(value, plan.kept) for name, value in start.items()}


def calibrate(
    student: Student, lectures: Lectures, plan: Balancing, bias: nn.Parameter, steps: int = 300
) -> None:
    """Fit temperature and bias of the sigmoid loss to vectors as the stage will have them at its start.

    SigLIP's start (10 and -10; section 3.2) is for towers that know nothing. Here they know most, the stage has only
    tens of steps, and so far off the loss would pull all vectors apart first.
    """
    count, log_scale = min(1000, len(lectures.captions)), student.towers.log_scale
    draw = random.Random(0)
    with torch.no_grad():
        features = nn.functional.dropout(lectures.features.train[0][:count], plan.features_dropped)
        images = student.project(features)
        texts, owners = draw_captions(lectures.captions[:count], draw)
        parts = [texts[i : i + 500] for i in range(0, len(texts), 500)]
        captions = torch.cat([student.encode_texts(part, plan.words_dropped, draw) for part in parts])
    optimizer = torch.optim.Adam([log_scale, bias], 0.05)
    for _ in range(steps):
        loss = sigmoid(images, captions, which(owners, count), student.towers.scale(), bias)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def optimizer_of(student: Student, bias: nn.Parameter, rate: float) -> torch.optim.Optimizer:
    """Make AdamW with a rate of its own for each part."""
    towers = student.towers
    return torch.optim.AdamW(
        groups(
            (towers.text.parameters(), rate, 0.05),
            (towers.text_projection.parameters(), rate, 0.05),
            (towers.image_projection.parameters(), rate / 2, 0.0),
            (student.to_teacher.parameters(), rate, 0.0),
            ([towers.log_scale, student.class_log_scale, bias], 3e-3, 0.0),
        )
    )


def draw_captions(
    captions: Sequence[dict[str, list[str]]], rng: random.Random
) -> tuple[list[str], list[int]]:
    """A caption of each language of each picture, and its picture's place."""
    drawn = [(rng.choice(own[lang]), place) for place, own in enumerate(captions) for lang in LANGUAGES]
    return [text for text, _ in drawn], [place for _, place in drawn]


def captions_loss(
    kind: Loss, images: Tensor, texts: Tensor, positives: Tensor, scale: Tensor, bias: Tensor
) -> Tensor:
    """One of the trainer's losses, brought to a like size."""
    if kind == "infonce":
        return info_nce(images, texts, positives, scale)
    if kind == "sigmoid":  # a sum over the texts of a picture
        return sigmoid(images, texts, positives, scale, bias) / len(LANGUAGES)
    return 10 * hard_triplet(images, texts, positives, 0.2)  # cosines, where the others have logits


def classes_loss(
    student: Student,
    images: Tensor,
    believed: Tensor,
    drawn: Drawn,
    labels: tuple[list[str], Tensor],
    plan: Balancing,
) -> Tensor:
    """What the classifier believes, by drawn names; labels of photographs; and the places of names.

    Args:
        student: gives the rows of names, and the temperature.
        images: unit rows; labelled photographs last.
        believed: (pictures, 1000), the classifier's softmax.
        drawn: one text of each class in order first.
        labels: of the labelled photographs, and which of them are equal.
        plan: the weights.
    """
    scale = student.class_log_scale.exp().clamp(max=100)
    names = student.encode_texts(drawn.texts)
    said = torch.log_softmax(scale * images @ names[: len(CLASSES)].T, 1)
    beliefs = -(believed * said).sum(1).mean()
    own, equal = labels
    labelled = info_nce(images[-len(own) :], student.encode_texts(own), equal, scale)
    away, outside = misplaced(names, drawn)
    return plan.beliefs * beliefs + plan.labels * labelled + plan.places * away + plan.outside * outside
