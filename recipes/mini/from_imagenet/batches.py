"""The order in which fine-tuning sees the pictures."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipes.mini.from_imagenet.opinion import unit
from recipes.mini.from_imagenet.teachers import Sentences


def caption_similarity(english: Sentences) -> Tensor:
    """(n, n) cosines of the pictures' mean English captions, as the teachers see them."""
    means = unit(english.means(), dim=1)
    return means @ means.T


def look_alikes(
    similarity: Tensor, order: NDArray[np.int64], size: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """The pictures of ``order`` in groups whose captions are alike, groups in random order: hard negatives."""
    free = torch.ones(len(order), dtype=torch.bool)
    groups = []
    for first in order:
        if free[first]:
            near = similarity[first].masked_fill(~free, -9)
            group = near.topk(min(size, int(free.sum()))).indices
            free[group] = False
            groups.append(group.numpy())
    return np.concatenate([groups[place] for place in rng.permutation(len(groups))])


def epoch_order(similarity: Tensor, epoch: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """All pictures in random order; in every second epoch look-alikes stand together."""
    order = rng.permutation(len(similarity))
    return look_alikes(similarity, order, 16, rng) if epoch % 2 else order
