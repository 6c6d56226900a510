"""What the stages of mini's training learn from besides pictures: texts with their teachers' rows, captions, labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.mini.from_imagenet.teachers import load_lines, load_rows

LANGUAGES = ("en", "zh", "zh-machine")
Captions = list[dict[str, list[str]]]
"""Of each picture, by language."""


def read_captions(facts: Path, machine: Path) -> Captions:
    """The captions of a split; machine translations come from Flickr8k-CN's table."""
    translated: dict[str, list[str]] = {}
    for line in load_lines(machine)[1:]:
        image, _, source, text = line.split("\t")
        if source == "machine":
            translated.setdefault(image, []).append(text.strip())
    return [
        {
            "en": [text.strip() for text in one["captions"]],
            "zh": [text.strip() for text in one["captions_zh"]],
            "zh-machine": translated[one["image_id"]],
        }
        for one in json.loads(facts.read_text(encoding="utf-8"))
    ]


def read_translations(flickr8k: Path) -> dict[str, str]:
    """The English caption that each machine Chinese one translates (number n, number n), unless people wrote it too."""
    english = {}
    for line in load_lines(flickr8k / "captions_en.tsv")[1:]:
        image, number, text = line.split("\t")
        english[image, number] = text.strip()
    found, human = {}, set()
    for line in load_lines(flickr8k / "captions_zh.tsv")[1:]:
        image, number, source, text = line.split("\t")
        if source == "machine":
            found[text.strip()] = english[image, number]
        else:
            human.add(text.strip())
    return {text: original for text, original in found.items() if text not in human}


@dataclass(frozen=True)
class Taught:
    """Texts for the text tower, captions first, with the rows of two teachers, centred.

    ``second_rows`` is -1 where MiniLM has read neither a text nor what it translates.
    """

    texts: tuple[str, ...]
    first: Tensor
    second: Tensor
    second_rows: Tensor

    @classmethod
    def load(cls, folder: Path, translations: dict[str, str]) -> Taught:
        """What ``texts.py`` and ``teach.py`` wrote."""
        lists = [load_rows(folder, "use", name) for name in ("captions", "words", "names")]
        texts = [text for own, _ in lists for text in own]
        first = torch.from_numpy(np.concatenate([rows.astype(np.float32) for _, rows in lists]))
        read, rows = load_rows(folder, "minilm", "captions")
        second = torch.from_numpy(rows.astype(np.float32))
        place = {text: row for row, text in enumerate(read)}
        places = [place.get(text, place.get(translations.get(text, ""), -1)) for text in texts]
        return cls(tuple(texts), first - first.mean(0), second - second.mean(0), torch.tensor(places))


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
    def trainable(self) -> list[int]:
        """The pictures whose labels are not held out."""
        rows: list[int] = np.flatnonzero(self.owners % 2 == 0).tolist()
        return rows

    def same(self, rows: Sequence[int]) -> tuple[list[str], Tensor]:
        """The labels at ``rows``, and which of them are equal, (B, B) bool."""
        names = [self.labels[self.owners[row]] for row in rows]
        return names, torch.tensor([[one == other for other in names] for one in names])
