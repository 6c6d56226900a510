"""Hit rates on val while training, to watch only."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from indexer.training.validation import hit_rates
from recipes.mini.from_imagenet.opinion import Opinion, Opinions
from recipes.mini.from_imagenet.student import Student
from recipes.mini.from_imagenet.teachers import TEACHERS, Sentences

Figures = dict[str, dict[str, float]]
"""Per cent, by language."""


@torch.no_grad()
def judge_opinion(opinion: Opinion | Opinions, features: Tensor, sentences: dict[str, Sentences]) -> Figures:
    """Of the small networks, by the pictures' tuned features (n, 1280)."""
    opinion.eval()
    images = opinion.encode_images(features).numpy()
    figures = {}
    for language, own in sentences.items():
        texts = opinion.encode_texts(language, own.rows).numpy()
        figures[language] = hit_rates(images, texts, list(enumerate(own.owners())))
    opinion.train()
    return figures


@torch.no_grad()
def judge_towers(student: Student, features: Tensor, captions: Sequence[dict[str, list[str]]]) -> Figures:
    """Of the model that will be exported, by features (n, 2560)."""
    images = student.project(features).numpy()
    figures = {}
    for language in TEACHERS:
        texts = [text for own in captions for text in own[language]]
        owners = [row for row, own in enumerate(captions) for _ in own[language]]
        vectors = student.encode_texts(texts).numpy()
        figures[language] = hit_rates(images, vectors, list(enumerate(owners)))
    return figures
