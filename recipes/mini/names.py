"""Names of the 80 kinds of things in COCO, and texts made of them; and Chinese names of the class photographs' labels.

``coco_names.tsv`` is ours: label, other English names, Chinese label, other Chinese names, the English words by which a
caption mentions the thing, and the Chinese measure word. ``class_labels.tsv`` is ours too.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from recipes.mini.vocabulary import CHINESE, ENGLISH

_COMPOSED_ENGLISH = ("{}", "a photo of {}", "there is {}", "a picture with {}")
_COMPOSED_CHINESE = ("{}", "{}的照片", "图片里有{}", "有{}")
_JOINING_ENGLISH = (" and ", " with ", " next to ")
_PLURAL = frozenset({"skis", "scissors", "broccoli"})  # names that take no article


@dataclass(frozen=True)
class Name:
    """One kind of thing.

    Attributes:
        label: COCO's name.
        english: other English names.
        chinese: Chinese names; the first is that of ``coco_labels``.
        mentions: English words by which a caption mentions it.
        measure: the Chinese measure word.
    """

    label: str
    english: tuple[str, ...]
    chinese: tuple[str, ...]
    mentions: tuple[str, ...]
    measure: str

    def draw(self, rng: random.Random, language: str) -> str:
        """The label or, half as often, another name, in a template."""
        first = self.label if language == "en" else self.chinese[0]
        others = self.english if language == "en" else self.chinese[1:]
        name = rng.choice(others) if others and rng.random() < 1 / 3 else first
        if rng.random() < 0.4:  # bare names are the most frequent queries
            return name
        return rng.choice(ENGLISH if language == "en" else CHINESE).format(name)


class Names:
    """All kinds of things, in a fixed order."""

    def __init__(self, names: Sequence[Name]) -> None:
        self.all = tuple(names)
        self.place = {name.label: place for place, name in enumerate(self.all)}

    @classmethod
    def read(cls) -> Names:
        """The names of ``coco_names.tsv``."""
        text = Path(__file__).with_name("coco_names.tsv").read_text(encoding="utf-8")
        rows = [
            [tuple(filter(None, cell.split("|"))) for cell in line.split("\t")] for line in text.splitlines()
        ]
        return cls([Name(row[0][0], row[1], (*row[2], *row[3]), row[4], row[5][0]) for row in rows])

    @cached_property
    def _patterns(self) -> list[tuple[str, re.Pattern[str]]]:
        return [(one.label, re.compile(rf"\b({'|'.join(one.mentions)})\b")) for one in self.all]

    def mentioned(self, caption: str) -> frozenset[str]:
        """The labels of the things that an English caption mentions."""
        words = caption.lower()
        found = {label for label, pattern in self._patterns if pattern.search(words)}
        for longer, shorter in (("teddy bear", "bear"), ("hot dog", "dog"), ("snowboard", "skis")):
            if longer in found and not re.search(rf"(?<!teddy )(?<!stuffed )(?<!hot )\b{shorter}s?\b", words):
                found.discard(shorter)
        return frozenset(found)

    def compose(self, labels: Sequence[str], rng: random.Random, language: str) -> tuple[str, frozenset[str]]:
        """A short caption that names up to three of the labels, and which ones."""
        chosen = rng.sample(list(labels), min(len(labels), rng.choice((1, 2, 2, 3))))
        kinds = [self.all[self.place[label]] for label in chosen]
        if language == "en":
            things = [_with_article(kind.label) for kind in kinds]
            listed = rng.choice(_JOINING_ENGLISH).join(things[:2])
            listed = f"{listed} and {things[2]}" if len(things) > 2 else listed
            return rng.choice(_COMPOSED_ENGLISH).format(listed), frozenset(chosen)
        listed = "和".join(f"一{kind.measure}{kind.chinese[0]}" for kind in kinds)
        return rng.choice(_COMPOSED_CHINESE).format(listed), frozenset(chosen)


def _with_article(name: str) -> str:
    if name in _PLURAL:
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def read_class_labels(labels: Iterable[str]) -> dict[str, str]:
    """Every second one of the labels in order, which may be trained on, and its Chinese name.

    Raises:
        ValueError: the labels are others than those of ``class_labels.tsv``.
    """
    text = Path(__file__).with_name("class_labels.tsv").read_text(encoding="utf-8")
    known = dict(line.split("\t") for line in text.splitlines())
    if [*known] != (own := sorted(labels)[::2]):
        raise ValueError(
            f"the class photographs have other labels than class_labels.tsv: {set(own) ^ {*known}}"
        )
    return known
