"""Names of the 1,000 ImageNet classes in English and Chinese, and texts drawn from them.

``classes.tsv`` is ours: index, label, English synonyms, broader English words, Chinese names, broader Chinese words.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ENGLISH = (
    "{}", "{}", "a {}", "the {}", "a photo of a {}", "a picture of a {}", "a photo of {}", "{} photo",
    "a close-up of a {}", "there is a {}",
)  # fmt: skip
CHINESE = ("{}", "{}", "{}的照片", "一张{}的照片", "{}图片", "这是{}", "一个{}")
CHINESE_SHARE = 0.4

_HAN = re.compile("[\u4e00-\u9fff]")


def is_chinese(text: str) -> bool:
    """Whether a text has a Chinese character."""
    return _HAN.search(text) is not None


def templates(name: str) -> tuple[str, ...]:
    """The templates of a name's language."""
    return CHINESE if is_chinese(name) else ENGLISH


def spoken(name: str) -> list[str]:
    """A name bare and in three templates of its language."""
    return [name, *(template.format(name) for template in templates(name)[4:7])]


@dataclass(frozen=True)
class ClassNames:
    """One class: its label, and what else people call it or its kind."""

    label: str
    english: tuple[str, ...]
    broader_english: tuple[str, ...]
    chinese: tuple[str, ...]
    broader_chinese: tuple[str, ...]

    @property
    def every(self) -> tuple[str, ...]:
        """All of them."""
        return (self.label, *self.english, *self.chinese, *self.broader_english, *self.broader_chinese)


class Vocabulary:
    """All classes, and which of them a name means: one, or several for a broad word."""

    def __init__(self, classes: Sequence[ClassNames]) -> None:
        self.classes = tuple(classes)

    @classmethod
    def read(cls, path: Path) -> Vocabulary:
        """The classes of ``classes.tsv``, in order."""
        rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        return cls([ClassNames(row[1], *(_names(cell) for cell in row[2:6])) for row in rows])

    @classmethod
    def of_imagenet(cls) -> Vocabulary:
        """The 1,000 classes, from the file beside this module."""
        return cls.read(Path(__file__).with_name("classes.tsv"))

    @cached_property
    def meanings(self) -> dict[str, frozenset[int]]:
        """The classes that each name, in lower case, stands for."""
        found: dict[str, set[int]] = {}
        for index, names in enumerate(self.classes):
            for name in names.every:
                found.setdefault(name.lower(), set()).add(index)
        return {name: frozenset(classes) for name, classes in found.items()}

    @cached_property
    def broad(self) -> tuple[str, ...]:
        """Broader words, and names that several classes share, in order."""
        words = {
            word.lower()
            for names in self.classes
            for word in (*names.broader_english, *names.broader_chinese)
        }
        return tuple(sorted(words | {name for name, classes in self.meanings.items() if len(classes) > 1}))

    @cached_property
    def own(self) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
        """(English, Chinese) names of each class that no other has; the label counts twice."""
        return tuple(
            (
                (names.label, names.label, *self._only(names.english)),
                self._only(names.chinese) or (names.label,),
            )
            for names in self.classes
        )

    def texts(self) -> list[str]:
        """Every name bare and in three templates of its language, for a teacher to read."""
        return sorted({text for name in self.meanings for text in spoken(name)})

    def draw(
        self, rng: random.Random, classes: Sequence[int], broad: int
    ) -> tuple[list[str], list[frozenset[int]]]:
        """A text for each of ``classes`` and for ``broad`` broad words, and the classes that each stands for."""
        texts, meant = [], []
        for index in classes:
            english, chinese = self.own[index]
            name = rng.choice(chinese if rng.random() < CHINESE_SHARE else english)
            texts.append(rng.choice(templates(name)).format(name))
            meant.append(frozenset({index}))
        for word in rng.choices(self.broad, k=broad):
            texts.append(rng.choice(templates(word)).format(word))
            meant.append(self.meanings[word])
        return texts, meant

    def _only(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in names if len(self.meanings[name.lower()]) == 1)


def _names(cell: str) -> tuple[str, ...]:
    return tuple(filter(None, cell.split("|")))
