"""Queries to tune and measure an approximate index with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from indexer.store.bundled_queries import bundled_queries
from retrieval.collection.stores import KindStore
from retrieval.types import Kind

Encode = Callable[[list[str]], NDArray[np.float32]]
"""Texts to (n, d) float32 unit rows, by the collection's encoder."""


def choose_queries(
    other: KindStore, kind: Kind, masked: NDArray[np.int64], encode: Encode, fewest: int, most: int
) -> tuple[NDArray[np.float32], str]:
    """Choose stored vectors of the other kind, or bundled texts where there are too few; the same ones each time.

    Args:
        other: vectors of the kind that is not searched.
        kind: that is searched.
        masked: ids of encodings that are not to be found.
        encode: called for bundled texts.
        fewest: stored vectors that suffice.
        most: queries to choose.

    Returns:
        (n, d) float32 unit rows, and what they are, as a measurement says it.
    """
    rng = np.random.default_rng(0)
    ids = np.setdiff1d(other.ids, masked)
    if len(ids) < fewest:
        rows = encode(bundled_queries())
        return rows[rng.permutation(len(rows))[:most]], "bundled texts"
    return other.vectors(
        ids[rng.permutation(len(ids))[:most]]
    ), f"stored {'texts' if kind == 'image' else 'images'}"
