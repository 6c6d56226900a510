"""Captions of photographs as rows of a step: those of one photograph one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recipes.captioner.texts import BEGIN
from retrieval.generators.captioner.config import END, UNKNOWN

IGNORED = -100


@dataclass(frozen=True)
class Rows:
    """Rows of a step, all (n, t) but the mask.

    Attributes:
        tokens: that are read.
        wanted: that follow; :data:`IGNORED` where nothing counts.
        places: of tokens in their captions.
        captions: numbers of captions in their row, -1 for padding.
        chinese: bool, of Chinese captions.
        mask: (n, 1, t, t), added to attention: a caption attends to its own words so far.
    """

    tokens: Tensor
    wanted: Tensor
    places: Tensor
    captions: Tensor
    chinese: Tensor
    mask: Tensor

    def of(self, language: str) -> Tensor:
        """Where a token of a language is wanted, (n, t) bool."""
        return (self.wanted != IGNORED) & (self.chinese == (language == "zh"))


def make_rows(
    captions: Sequence[Sequence[Sequence[int]]], forgotten: float, rng: np.random.Generator
) -> Rows:
    """Lay captions, each with its begin, of n photographs into rows.

    Args:
        captions: of each photograph.
        forgotten: share of words that are read as unknown.
        rng: draws them.
    """
    length = max(sum(len(caption) - 1 for caption in own) for own in captions)
    shape = (len(captions), length)
    tokens, places = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    wanted, numbers, chinese = np.full(shape, IGNORED), np.full(shape, -1), np.zeros(shape, np.bool_)
    for row, own in enumerate(captions):
        start = 0
        for number, caption in enumerate(own):
            part = slice(start, start + len(caption) - 1)
            tokens[row, part], wanted[row, part] = caption[:-1], caption[1:]
            places[row, part], numbers[row, part] = np.arange(len(caption) - 1), number
            chinese[row, part] = caption[0] == BEGIN["zh"]
            start += len(caption) - 1
    tokens[(rng.random(shape) < forgotten) & (places > 0)] = UNKNOWN
    wanted[wanted == UNKNOWN] = IGNORED
    of_caption = torch.from_numpy(numbers)
    earlier = torch.ones(length, length, dtype=torch.bool).tril()
    seen = (of_caption[:, :, None] == of_caption[:, None, :]) & earlier
    mask = torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(~seen, float("-inf"))[:, None]
    read, follows, where = (torch.from_numpy(part) for part in (tokens, wanted, places))
    return Rows(read, follows, where, of_caption, torch.from_numpy(chinese), mask)


def classes(wanted: Tensor, first: int) -> Tensor:
    """Give the columns of logits that tokens have: the end first, then the words of the language from ``first``."""
    return torch.where(wanted == END, wanted, wanted - first + 1)
