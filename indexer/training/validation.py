"""Validation recall: how a model ranks held-out pairs, exactly and in both directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from indexer.training.data import Pairs
from retrieval.encoders.two_tower.model import TwoTowerModel
from retrieval.encoders.two_tower.text import pad, padded_length, token_ids

CUTS = (1, 5, 10)


def hit_rates(
    images: NDArray[np.float32], texts: NDArray[np.float32], owners: NDArray[np.int64]
) -> dict[str, float]:
    """Hit rates (what image-text papers print as R@K) in per cent, ``t2i_r1`` to ``i2t_r10``.

    ``owners[t]`` is the row of the picture that text t describes; every picture has a text. Ties count
    against the model, so that rows that are all equal score 0.
    """
    scores = texts @ images.T
    own = scores[np.arange(len(texts)), owners]
    ranks = (scores >= own[:, None]).sum(1)
    best = np.full(len(images), -np.inf, np.float32)
    np.maximum.at(best, owners, own)
    foreign = owners[:, None] != np.arange(len(images))[None]
    back = 1 + ((scores >= best[None]) & foreign).sum(0)
    rates = {f"t2i_r{k}": 100 * float((ranks <= k).mean()) for k in CUTS}
    return rates | {f"i2t_r{k}": 100 * float((back <= k).mean()) for k in CUTS}


def encode_texts(model: TwoTowerModel, tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float32]:
    """Unit rows, (n, d), of texts."""
    config = model.config.text
    ids = token_ids(tokenizer, config, texts)
    length = padded_length(max(map(len, ids)), config.context)
    with torch.inference_mode():
        parts = [model.encode_texts(pad(ids[i : i + 256], length)).numpy() for i in range(0, len(ids), 256)]
    return np.concatenate(parts)


def encode_pixels(model: TwoTowerModel, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit rows, (n, d), of cached pictures, resized to the tower's size."""
    size, rows = model.config.image.size, []
    with torch.inference_mode():
        for start in range(0, len(pixels), 64):
            batch = torch.from_numpy(np.array(pixels[start : start + 64])).permute(0, 3, 1, 2)
            if batch.shape[-1] != size:
                batch = torch.nn.functional.interpolate(
                    batch, (size, size), mode="bicubic", antialias=True, align_corners=False
                )
            rows.append(model.encode_images(batch).numpy())
    return np.concatenate(rows)


def validate(model: TwoTowerModel, tokenizer: Tokenizer, pairs: Pairs) -> dict[str, dict[str, float]]:
    """:func:`hit_rates` by language, over the captions of that language alone."""
    model.eval()
    images = encode_pixels(model, pairs.pixels)
    languages = sorted({language for captions in pairs.captions for language, _ in captions})
    figures = {}
    for language in languages:
        texts: list[str] = []
        owners: list[int] = []
        kept: list[int] = []
        for row, captions in enumerate(pairs.captions):
            own = [text for found, text in captions if found == language]
            if own:
                texts += own
                owners += [len(kept)] * len(own)
                kept.append(row)
        figures[language] = hit_rates(images[kept], encode_texts(model, tokenizer, texts), np.array(owners))
    return figures
