"""What the teachers say of captions: their rows, as ``teach.py`` wrote them, all brought to one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WIDTHS = {"use": 512, "minilm": 384, "e5": 384}
TEACHERS = {"en": ("use", "minilm", "e5"), "zh": ("use", "e5")}
READINGS = {
    "en": ("en", "en"),
    "zh": ("zh", "zh"),
    "zh-machine": ("zh-machine", "zh"),
    "en-too": ("en", "zh"),
}
"""Which captions are read by the network of which language: the Chinese one has English too, in a space of its own
teachers that both languages share, since there is more to learn from it."""
WIDTHS_BY_LANGUAGE = {lang: sum(WIDTHS[teacher] for teacher in own) for lang, own in TEACHERS.items()}


def load_lines(path: Path) -> list[str]:
    """Read a text file's lines."""
    return path.read_text(encoding="utf-8").splitlines()


def load_rows(folder: Path, teacher: str, texts: str) -> tuple[list[str], NDArray[np.float16]]:
    """The texts of one list that a teacher has read, and (n, width) rows."""
    path = folder / f"{teacher}-{texts}"
    lines, rows = load_lines(path.with_suffix(".txt")), np.load(path.with_suffix(".npy"))
    if len(lines) != len(rows):
        raise ValueError(f"{path}.txt was not written to its end: delete it, and start again")
    return lines, rows


@dataclass(frozen=True)
class Teacher:
    """One teacher's rows of all texts; its list of captions gives its centre and its mean distance from that."""

    place: dict[str, int]
    rows: NDArray[np.float16]
    centre: NDArray[np.float32]
    distance: float

    @classmethod
    def load(cls, folder: Path, name: str) -> Teacher:
        """Read what ``teach.py`` wrote."""
        texts, rows = load_rows(folder, name, "captions")
        centre = rows.mean(0, dtype=np.float32)
        distance = float(np.linalg.norm(rows - centre, axis=1).mean())
        others = [load_rows(folder, name, other) for other in ("val", "names", "words")]
        place = {text: row for row, text in enumerate(chain(texts, *(own for own, _ in others)))}
        return cls(place, np.concatenate([rows, *(own for _, own in others)]), centre, distance)

    def read(self, texts: Sequence[str]) -> Tensor:
        """(n, width) float32, centred, of mean length about 1."""
        places = [self.place[text] for text in texts]
        return torch.from_numpy((self.rows[places] - self.centre) / np.float32(self.distance))


@dataclass(frozen=True)
class Teachers:
    """All of them."""

    by_name: dict[str, Teacher]

    @classmethod
    def load(cls, folder: Path) -> Teachers:
        """Read what ``teach.py`` wrote."""
        return cls({name: Teacher.load(folder, name) for name in WIDTHS})

    def have_read(self, language: str, text: str) -> bool:
        """Whether all teachers of the language have."""
        return all(text in self.by_name[name].place for name in TEACHERS[language])

    def read(self, language: str, texts: Sequence[str]) -> Tensor:
        """(n, all widths): the rows of the language's teachers side by side."""
        return torch.cat([self.by_name[name].read(texts) for name in TEACHERS[language]], 1)


@dataclass(frozen=True)
class Sentences:
    """The captions of pictures in one language, as its teachers see them; those of one picture follow each other."""

    rows: Tensor
    starts: Tensor
    counts: Tensor

    @classmethod
    def of(cls, teachers: Teachers, language: str, captions: Sequence[Sequence[str]]) -> Sentences:
        """Gather the rows of all captions, photograph by photograph."""
        counts = torch.tensor([len(own) for own in captions])
        rows = teachers.read(language, [text for own in captions for text in own])
        return cls(rows, counts.cumsum(0) - counts, counts)

    def draw(self, pictures: Tensor) -> Tensor:
        """(B, all widths): a caption of each of the pictures (B,)."""
        chosen = (torch.rand(len(pictures)) * self.counts[pictures]).long()
        return self.rows[self.starts[pictures] + chosen]

    def owners(self) -> list[int]:
        """The picture of each caption."""
        return torch.arange(len(self.counts)).repeat_interleave(self.counts).tolist()

    def means(self) -> Tensor:
        """(pictures, all widths) mean rows."""
        sums = torch.zeros(len(self.counts), self.rows.shape[1])
        return sums.index_add_(0, torch.tensor(self.owners()), self.rows) / self.counts[:, None]


@dataclass(frozen=True)
class Reading:
    """The captions of train and of val (for watching) by language, as the teachers see them."""

    train: dict[str, Sentences]
    val: dict[str, Sentences]

    @classmethod
    def of(
        cls, teachers: Teachers, train: Sequence[dict[str, list[str]]], val: Sequence[dict[str, list[str]]]
    ) -> Reading:
        """Train by reading, val by language."""

        def sentences(captions: Sequence[dict[str, list[str]]], name: str) -> Sentences:
            written, read = READINGS[name]
            return Sentences.of(teachers, read, [own[written] for own in captions])

        return cls(
            {name: sentences(train, name) for name in READINGS},
            {language: sentences(val, language) for language in TEACHERS},
        )
