"""Batches of an epoch: drawn, augmented and prepared by threads, one batch ahead of the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from indexer.training.augment import augment_image, draw_captions, drop_tokens, is_sided
from indexer.training.image_cache import ImageCache
from indexer.training.listing import Caption
from indexer.training.recipe import Recipe
from indexer.training.trainable import Trainable

ORDER, TEXTS, IMAGES, DROPOUT = range(1, 5)  # what a draw is for: the second number of its seed


@dataclass(frozen=True, slots=True)
class Batch:
    """The images and texts of one step.

    Attributes:
        step: of its epoch, from 0.
        images: (I, ...) uint8, varied and prepared.
        tokens: T rows of token ids.
        positives: (I, T) bool; does text t describe image i?
        rows: I row numbers of the images.
        captions: T captions.
    """

    step: int
    images: Tensor
    tokens: list[list[int]]
    positives: Tensor
    rows: tuple[int, ...]
    captions: tuple[Caption, ...]


def steps_an_epoch(images: int, batch_size: int) -> int:
    """Count the whole batches of an epoch; images left over are not used in that epoch."""
    return max(1, images // batch_size)


def batches(
    images: ImageCache,
    model: Trainable,
    recipe: Recipe,
    epoch: int,
    first: int,
    threads: ThreadPoolExecutor,
) -> Iterator[Batch]:
    """Yield the batches of an epoch from step ``first`` on; each depends on seed, epoch and step alone."""
    order = np.random.default_rng((recipe.seed, ORDER, epoch)).permutation(len(images))
    size = min(recipe.batch_size, len(images))
    steps = steps_an_epoch(len(images), recipe.batch_size)

    def begin(step: int) -> _PendingBatch:
        rows = order[step * size : (step + 1) * size].tolist()
        return _begin(images, model, recipe, (epoch, step), rows, threads)

    ahead = begin(first) if first < steps else None
    for step in range(first, steps):
        begun = ahead
        assert begun is not None
        ahead = begin(step + 1) if step + 1 < steps else None
        yield Batch(
            step,
            torch.from_numpy(np.stack([one.result() for one in begun.images])),
            begun.tokens,
            positives_of([images.captions[row] for row in begun.rows], begun.captions),
            tuple(begun.rows),
            tuple(begun.captions),
        )


def positives_of(images: Sequence[Sequence[Caption]], texts: Sequence[Caption]) -> Tensor:
    """Tell, (I, T) bool, which image has which text among its captions; links decide, not places in the batch."""
    places: dict[str, list[int]] = {}
    for place, caption in enumerate(texts):
        places.setdefault(caption.text, []).append(place)
    positives = torch.zeros(len(images), len(texts), dtype=torch.bool)
    for row, own in enumerate(images):
        for words in {caption.text for caption in own} & places.keys():
            positives[row, places[words]] = True
    return positives


@dataclass(frozen=True, slots=True)
class _PendingBatch:
    rows: list[int]
    captions: list[Caption]
    tokens: list[list[int]]
    images: list[Future[NDArray[np.uint8]]]


def _begin(
    images: ImageCache,
    model: Trainable,
    recipe: Recipe,
    at: tuple[int, int],
    rows: list[int],
    threads: ThreadPoolExecutor,
) -> _PendingBatch:
    by, whole = recipe.augmentation, model.facts.sees_whole
    rng = np.random.default_rng((recipe.seed, TEXTS, *at))
    drawn = [draw_captions(images.captions[row], recipe.captions, rng) for row in rows]
    captions = [caption for own in drawn for caption in own]
    tokens = [
        drop_tokens(ids, by.token_dropout, rng) for ids in model.tokenize([one.text for one in captions])
    ]

    def vary(place: int) -> NDArray[np.uint8]:
        own = np.random.default_rng((recipe.seed, IMAGES, *at, place))
        may_flip = not any(is_sided(caption.text) for caption in drawn[place])
        return model.prepare(augment_image(images[rows[place]], whole, may_flip, by, own))

    return _PendingBatch(rows, captions, tokens, [threads.submit(vary, place) for place in range(len(rows))])
