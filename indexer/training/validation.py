"""Validation: how a model ranks held-out pairs, exactly, in both directions, with the figures that ``eval`` has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from indexer.training.image_cache import ImageCache
from indexer.training.listing import languages_of
from indexer.training.trainable import Trainable
from retrieval.evaluation.metrics import hit_rate_at_k
from retrieval.evaluation.ranks import rank_vectors
from retrieval.evaluation.relevance import Relevance

CUTS = (1, 5, 10)
_BATCH = 64

Figures = dict[str, dict[str, float]]
"""Hit rates in per cent, ``t2i_r1`` to ``i2t_r10``, by language."""


def hit_rates(
    images: NDArray[np.float32], texts: NDArray[np.float32], links: Sequence[tuple[int, int]]
) -> dict[str, float]:
    """Compute hit rates (which image-text papers print as R@K) in per cent, in both directions.

    Args:
        images: (I, D) float32 unit rows.
        texts: (T, D) float32 unit rows.
        links: (text row, image row) of every caption and an image that it describes.
    """
    to_images = Relevance.of_pairs(links, len(texts), len(images))
    forth = rank_vectors(texts, images, to_images).exact
    back = rank_vectors(images, texts, to_images.transposed()).exact
    rates = {f"t2i_r{k}": 100 * hit_rate_at_k(forth, min(k, len(images))).value for k in CUTS}
    return rates | {f"i2t_r{k}": 100 * hit_rate_at_k(back, min(k, len(texts))).value for k in CUTS}


def encode_images(model: Trainable, cache: ImageCache) -> NDArray[np.float32]:
    """Encode prepared images to unit rows, (n, D)."""
    rows = np.empty((len(cache), model.facts.dimension), np.float32)
    with torch.inference_mode():
        for start in range(0, len(cache), _BATCH):
            end = min(start + _BATCH, len(cache))
            stack = np.stack([cache[row] for row in range(start, end)])
            rows[start:end] = model.encode_images(torch.from_numpy(stack)).cpu().numpy()
    return rows


def encode_texts(model: Trainable, texts: Sequence[str]) -> NDArray[np.float32]:
    """Encode texts to unit rows, (n, D); those of similar length go together."""
    ids = model.tokenize(texts)
    order = sorted(range(len(ids)), key=lambda row: (len(ids[row]), row))
    rows = np.empty((len(texts), model.facts.dimension), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            rows[places] = model.encode_tokens([ids[place] for place in places]).cpu().numpy()
    return rows


def validate(model: Trainable, cache: ImageCache) -> Figures:
    """Compute :func:`hit_rates` by language, over the captions of that language and the images that have one.

    Leaves the model's module in evaluation mode.
    """
    model.module.eval()
    images = encode_images(model, cache)
    figures: Figures = {}
    for language in languages_of(cache.captions):
        texts: dict[str, int] = {}
        links: list[tuple[int, int]] = []
        kept: list[int] = []
        for row, captions in enumerate(cache.captions):
            own = [caption.text for caption in captions if caption.lang == language]
            if own:
                links += [(texts.setdefault(text, len(texts)), len(kept)) for text in own]
                kept.append(row)
        figures[language] = hit_rates(images[kept], encode_texts(model, list(texts)), links)
    return figures


def mean_r1(figures: Figures) -> float:
    """Average R@1 over both directions and all languages, in per cent: the best weights are chosen by it."""
    return float(np.mean([own[key] for own in figures.values() for key in ("t2i_r1", "i2t_r1")]))
