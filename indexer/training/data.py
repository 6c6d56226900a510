"""What a run trains on: pictures decoded once into a memory-mapped uint8 cache, and their captions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image
from torch import Tensor
from torchvision.transforms.functional import resize

from indexer.training.errors import no_pairs
from retrieval.encoders.two_tower.encoder import squeeze
from retrieval.errors import ImageError
from retrieval.types import Entry, Failure, Picture

_SIDED = re.compile(r"\b(left|right)\b|左|右", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Pictures with their captions.

    Attributes:
        pixels: (n, S, S, 3) uint8, usually memory-mapped.
        captions: n lists, one a picture, of (language or empty, caption); none of them empty.
    """

    pixels: NDArray[np.uint8]
    captions: Sequence[Sequence[tuple[str, str]]]

    def split(self, share: float, seed: int) -> tuple[Pairs, Pairs]:
        """A random split of the pictures: (the rest, about ``share`` of them and one at least)."""
        order = np.random.default_rng(seed).permutation(len(self.captions))
        cut = max(1, round(share * len(order)))
        return self.take(np.sort(order[cut:])), self.take(np.sort(order[:cut]))

    def take(self, rows: NDArray[np.int64]) -> Pairs:
        """The pairs at ``rows``."""
        return Pairs(self.pixels[rows], [self.captions[row] for row in rows])


def cache_pairs(
    entries: Iterable[Entry | Failure], decode: Callable[[Picture], Image], path: Path, side: int
) -> tuple[Pairs, int]:
    """Decode every captioned picture of a corpus once into ``path``: the pairs, and how many pictures failed.

    Entries of the same picture add up. Raises TrainingError where nothing can be trained on.
    """
    captions: dict[str, list[tuple[str, str]]] = {}
    failed = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = path.with_suffix(".raw")
    unusable: set[str] = set()
    with raw.open("wb") as out:
        for entry in entries:
            if isinstance(entry, Failure):
                failed += 1
                continue
            if entry.picture is None or not entry.texts or entry.picture.uri in unusable:
                continue
            uri = entry.picture.uri
            if uri not in captions:
                try:
                    out.write(squeeze(decode(entry.picture), side).tobytes())
                except ImageError:
                    failed += 1
                    unusable.add(uri)
                    continue
                captions[uri] = []
            captions[uri] += [(text.lang or "", text.text) for text in entry.texts]
    if len(captions) < 2:
        raw.unlink()
        raise no_pairs(len(captions), failed)
    pixels = np.memmap(raw, np.uint8, "r", shape=(len(captions), side, side, 3))
    return Pairs(pixels, list(captions.values())), failed


def draw_captions(
    captions: Sequence[Sequence[tuple[str, str]]], rows: Sequence[int], rng: np.random.Generator
) -> tuple[list[str], list[int]]:
    """One caption of each language of each picture: the texts, and the place of each one's picture."""
    texts, owners = [], []
    for place, row in enumerate(rows):
        languages: dict[str, list[str]] = {}
        for language, text in captions[row]:
            languages.setdefault(language, []).append(text)
        for choices in languages.values():
            texts.append(choices[rng.integers(len(choices))])
            owners.append(place)
    return texts, owners


def is_sided(text: str) -> bool:
    """Whether a caption speaks of left or right, so that its picture must not be mirrored."""
    return _SIDED.search(text) is not None


def augment(
    pixels: NDArray[np.uint8], size: int, may_flip: Sequence[bool], rng: np.random.Generator
) -> Tensor:
    """Random resized crops, (B, 3, size, size) uint8, varied in scale, aspect, sharpness, light and side."""
    out = torch.empty((len(pixels), 3, size, size), dtype=torch.uint8)
    full = pixels.shape[1]
    for row, picture in enumerate(pixels):
        area, aspect = rng.uniform(0.45, 1.0), np.exp(rng.uniform(-0.22, 0.22))
        height = min(full, round(full * np.sqrt(area / aspect)))
        width = min(full, round(full * np.sqrt(area * aspect)))
        top, left = rng.integers(full - height + 1), rng.integers(full - width + 1)
        crop = torch.from_numpy(np.array(picture[top : top + height, left : left + width])).permute(2, 0, 1)
        if rng.random() < 0.15:  # a soft picture: detail thrown away first
            crop = resize(crop, [round(size * 0.6), round(size * 0.6)], antialias=True)
        crop = resize(crop, [size, size], antialias=True)
        if may_flip[row] and rng.random() < 0.5:
            crop = crop.flip(2)
        light, contrast = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.2)
        values = crop.float()
        middle = values.mean()
        out[row] = ((values - middle) * contrast + middle * light).clamp(0, 255).to(torch.uint8)
    return out
