"""Whole images and their regions ranked together: an image scores as the best of its vectors does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.collection.search import Candidates, best_of
from retrieval.collection.stores import VectorStore
from retrieval.collection.stores.region_store import BestRegions


def with_regions(
    whole: Candidates, regions: BestRegions, store: VectorStore, query: NDArray[np.float32], k: int
) -> Candidates:
    """Join the best whole images and the images with the best regions into those with the best vectors of either kind.

    An image whose best region is not among the ``regions`` has k others before it, and so has one that is in neither,
    unless an accelerator has missed it. Where the whole scores as its best region does, it is the whole that counts.

    Args:
        whole: that score at least as the k-th whole image does.
        regions: images whose best regions score at least as the k-th best image's.
        store: the vectors of whole images.
        query: (d,) float32 unit row.
        k: >= 1.

    Raises:
        KeyError: there are regions of what is not an image of the store.
    """
    others = np.setdiff1d(regions.ids, whole.ids)
    scores = dict(zip(whole.ids.tolist(), whole.scores.tolist(), strict=True))
    scores |= zip(others.tolist(), exact_scores(store.vectors(others), query).tolist(), strict=True)
    better = {}
    for number, score in zip(regions.ids.tolist(), regions.scores.tolist(), strict=True):
        if score > scores[number]:
            scores[number], better[number] = score, regions.boxes[number]
    joined = best_of(np.array(list(scores), np.int64), np.array(list(scores.values()), np.float32), k)
    return Candidates(joined.ids, joined.scores, better)
