"""Short queries: class names and frequent words on their own, and where the second opinion puts each.

Captions hardly ever are one word long, and what a class name has in the learned part was left to chance: half of the
vector of "a dog" pointed anywhere. The networks know better, since their teachers do.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from indexer.training.losses import distillation
from recipes.mini.from_imagenet.opinion import Opinions, unit
from recipes.mini.from_imagenet.student import LEARNED, Student
from recipes.mini.from_imagenet.teachers import TEACHERS, Teachers
from recipes.mini.vocabulary import Vocabulary, is_chinese, spoken, templates

FREQUENT = slice(
    100, 8000
)  # of the words of each language, most frequent first; before them stand "the" and the like


@dataclass(frozen=True)
class Short:
    """Names, and words; (n, 384) unit rows, a name's the mean over the forms in which the teachers have read it."""

    texts: list[str]
    names: int
    vectors: Tensor

    @classmethod
    @torch.no_grad()
    def by(
        cls, opinions: Opinions, teachers: Teachers, vocabulary: Vocabulary, words: Sequence[str]
    ) -> Short:
        """All that the teachers of their language have read."""
        forms = {name: spoken(name) for name in sorted(vocabulary.meanings)}
        names = set(forms)
        for chinese in (False, True):
            own = [word for word in words if is_chinese(word) == chinese]
            forms |= {word: [word] for word in own[FREQUENT] if word not in names}
        said = _said(opinions, teachers, [form for own in forms.values() for form in own])
        texts = [text for text, own in forms.items() if all(form in said for form in own)]
        means = [torch.stack([said[form] for form in forms[text]]).mean(0) for text in texts]
        return cls(texts, len(names.intersection(texts)), unit(torch.stack(means), dim=1))

    def within(self, directions: Tensor) -> Tensor:
        """(n, 256) unit rows: in the part of the space that is kept."""
        return unit(self.vectors @ directions.T, dim=1)

    def loss(
        self, student: Student, vectors: Tensor, count: int, rng: np.random.Generator, draw: random.Random
    ) -> Tensor:
        """One minus the cosine in the learned part, of drawn texts; names in any template.

        Args:
            student: whose text tower learns.
            vectors: (n, 256), the texts' within the learned part.
            count: how many of them.
            rng: for the choice of texts.
            draw: for the choice of templates.
        """
        rows = rng.choice(len(self.texts), min(count, len(self.texts)), replace=False)
        asked = [
            draw.choice(templates(self.texts[row])).format(self.texts[row])
            if row < self.names
            else self.texts[row]
            for row in rows
        ]
        return distillation(student.encode_texts(asked)[:, :LEARNED], vectors[rows])


def _said(opinions: Opinions, teachers: Teachers, texts: Sequence[str]) -> dict[str, Tensor]:
    """(384,) unit rows of those texts that the teachers of their language have read."""
    found: dict[str, Tensor] = {}
    opinions.eval()
    for language in TEACHERS:
        own = [text for text in texts if is_chinese(text) == (language == "zh")]
        own = [text for text in own if teachers.have_read(language, text)]
        for start in range(0, len(own), 4096):
            part = own[start : start + 4096]
            found |= zip(part, opinions.encode_texts(language, teachers.read(language, part)), strict=True)
    opinions.train()
    return found
