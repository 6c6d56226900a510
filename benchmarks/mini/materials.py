"""What the stages of mini's training learn from: teachers' rows, captions, labelled photographs, drawn class names."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from student import FEATURES, Student, unit
from torch import Tensor
from torchvision.transforms.functional import resize
from vocabulary import Vocabulary

LANGUAGES = ("en", "zh", "zh-machine")


def load_lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def read_captions(facts: Path, machine: Path) -> list[dict[str, list[str]]]:
    """By picture and language; machine translations come from Flickr8k-CN's table."""
    translated: dict[str, list[str]] = {}
    for line in load_lines(machine)[1:]:
        image, _, source, text = line.split("\t")
        if source == "machine":
            translated.setdefault(image, []).append(text)
    return [
        {"en": one["captions"], "zh": one["captions_zh"], "zh-machine": translated[one["image_id"]]}
        for one in json.loads(facts.read_text(encoding="utf-8"))
    ]


@dataclass(frozen=True)
class Taught:
    """Texts with the rows of both teachers, centred.

    ``second_rows`` is -1 where MiniLM has read neither a text nor what it translates. The first ``captions`` texts are
    captions.
    """

    texts: tuple[str, ...]
    first: Tensor
    second: Tensor
    second_rows: Tensor
    captions: int

    @classmethod
    def load(cls, folder: Path, flickr8k: Path) -> Taught:
        """What ``texts.py`` and ``teach.py`` wrote."""
        names = ("captions", "words", "names")
        texts = [text for name in names for text in load_lines(folder / f"{name}.txt")]
        first = torch.from_numpy(
            np.concatenate([np.load(folder / f"{name}.npy").astype(np.float32) for name in names])
        )
        second = torch.from_numpy(np.load(folder / "minilm.npy").astype(np.float32))
        place = {text: row for row, text in enumerate(load_lines(folder / "minilm.txt"))}
        place |= _translations(place, flickr8k)
        rows = torch.tensor([place.get(text, -1) for text in texts])
        captions = len(load_lines(folder / "captions.txt"))
        return cls(tuple(texts), first - first.mean(0), second - second.mean(0), rows, captions)


def _translations(place: dict[str, int], flickr8k: Path) -> dict[str, int]:
    """Machine Chinese caption n translates English caption n, so it takes its row."""
    english = {
        tuple(line.split("\t")[:2]): line.split("\t")[2].strip()
        for line in load_lines(flickr8k / "captions_en.tsv")[1:]
    }
    found = {}
    for line in load_lines(flickr8k / "captions_zh.tsv")[1:]:
        image, number, source, text = line.split("\t")
        if source == "machine" and english[image, number] in place:
            found[text.strip()] = place[english[image, number]]
    return found


@dataclass(frozen=True)
class Labelled:
    """The class photographs; every second label (in order) is held out of training."""

    labels: tuple[str, ...]
    owners: NDArray[np.int64]

    @classmethod
    def load(cls, facts: Path) -> Labelled:
        """What ``data.py`` wrote."""
        found = [one["label"] for one in json.loads(facts.read_text(encoding="utf-8"))]
        labels = sorted(set(found))
        return cls(tuple(labels), np.array([labels.index(label) for label in found]))

    @property
    def held_out(self) -> NDArray[np.bool_]:
        """(n,): whose label is kept from training."""
        held: NDArray[np.bool_] = self.owners % 2 == 1
        return held

    @property
    def trainable(self) -> list[int]:
        """The pictures with the other labels."""
        rows: list[int] = np.flatnonzero(~self.held_out).tolist()
        return rows

    def same(self, rows: Sequence[int]) -> tuple[list[str], Tensor]:
        """The labels at ``rows``, and which of them are equal, (B, B) bool."""
        names = [self.labels[self.owners[row]] for row in rows]
        return names, torch.tensor([[one == other for other in names] for one in names])


@dataclass(frozen=True)
class Lexicon:
    """Class names, and where they belong in the class part of the space."""

    vocabulary: Vocabulary
    places: Tensor

    def draw(
        self, rng: random.Random, classes: Sequence[int], broad: int
    ) -> tuple[list[str], Tensor, Tensor]:
        """Texts; the classes that each stands for, (1000, texts) bool; and the place of each, (texts, 256)."""
        texts, meant = self.vocabulary.draw(rng, classes, broad)
        stands_for = torch.zeros(len(self.places), len(texts), dtype=torch.bool)
        for column, indices in enumerate(meant):
            stands_for[list(indices), column] = True
        targets = unit(torch.stack([self.places[list(indices)].mean(0) for indices in meant]), dim=1)
        return texts, stands_for, targets


def prototypes(student: Student, features: Tensor) -> Tensor:
    """(1000, 2560): features that a picture of each class might have, while tuned and kept ones are equal.

    From the mean of all features along the class's row times their covariance (what a linear classifier's row says of
    its class's mean), so far that the classifier is sure of most of them.
    """
    kept = features[:, -FEATURES:]
    mean = kept.mean(0)
    centred = kept - mean
    towards = unit((student.rows - student.rows.mean(0)) @ (centred.T @ centred / len(kept)), dim=1)
    radius = centred.norm(dim=1).mean()
    for share in (0.25, 0.5, 0.75, 1.0):
        rows = (mean + share * radius * towards).clamp_min(0)
        if student.logits(rows).softmax(1).diag().mean() > 0.6:
            break
    return torch.cat([rows, rows], 1)


def look_alikes(
    similarity: Tensor, order: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The pictures of ``order`` in groups whose captions are alike, groups in random order: hard negatives."""
    free = np.ones(len(order), bool)
    groups = []
    for first in order:
        if free[first]:
            near = similarity[first].masked_fill(~torch.from_numpy(free), -9)
            group = near.topk(min(size, int(free.sum()))).indices.numpy()
            free[group] = False
            groups.append(group)
    rng.shuffle(groups)
    return np.concatenate(groups)


def vary(pixels: NDArray[np.uint8], size: int, may_flip: Sequence[bool], rng: random.Random) -> Tensor:
    """Random resized crops, (B, 3, size, size) uint8, varied in scale, aspect, sharpness, colour, light and side."""
    out = torch.empty((len(pixels), 3, size, size), dtype=torch.uint8)
    full = pixels.shape[1]
    for row, picture in enumerate(pixels):
        area = rng.uniform(0.5, 1.0) if rng.random() < 0.8 else 1.0
        aspect = np.exp(rng.uniform(-0.25, 0.25))
        height, width = (
            min(full, round(full * (area / aspect) ** 0.5)),
            min(full, round(full * (area * aspect) ** 0.5)),
        )
        top, left = rng.randint(0, full - height), rng.randint(0, full - width)
        crop = torch.from_numpy(np.array(picture[top : top + height, left : left + width])).permute(2, 0, 1)
        if rng.random() < 0.15:  # a soft picture: detail thrown away first
            crop = resize(crop, [round(size * 0.6)] * 2, antialias=True)
        crop = resize(crop, [size, size], antialias=True)
        if may_flip[row] and rng.random() < 0.5:
            crop = crop.flip(2)
        values = crop.float()
        if rng.random() < 0.15:
            values = values.mean(0, keepdim=True) * 0.7 + values * 0.3
        middle = values.mean()
        values = (values - middle) * rng.uniform(0.75, 1.25) + middle * rng.uniform(0.8, 1.2)
        out[row] = values.clamp(0, 255).to(torch.uint8)
    return out
