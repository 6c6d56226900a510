"""Rows of vectors as points in a plane, so that what is alike lies together: PCA, and t-SNE from there.

t-SNE (van der Maaten & Hinton 2008) is openTSNE's (Poličar et al. 2019: the extra ``map``), started from the two
principal components, which keeps the large shape of a collection and makes the result the same each time (Kobak &
Berens 2019). Affinities are uniform over the exact 15 nearest neighbours (Böhm et al. 2022), which look like a
perplexity of 30 at a sixth of the memory. UMAP was looked at: it needs a compiler (numba, 100 MB), and is
reproducible in one thread alone.
"""

from __future__ import annotations

import os
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from retrieval.extras import is_installed, require

MapMethod = Literal["tsne", "pca"]
METHODS: tuple[MapMethod, ...] = get_args(MapMethod)

NEIGHBOURS = 15
FEWEST = 12
"""Distinct rows; of fewer t-SNE shows nothing, and they are laid out by PCA."""
MOST = 100_000
"""Rows that t-SNE lays out itself; of more, so many at even distances, and each other one beside its nearest."""

_COMPONENTS = 50
_SEED = 0
_FFT_FROM = (
    10_000  # rows: from there on the interpolated gradient is faster than the one by trees, and threads help
)
_START = 1e-4  # standard deviation of the first component at the start, as t-SNE wants it
_BESIDE = 5  # nearest that are laid out, whose mean is a point's place


def method_for(rows: int, wanted: MapMethod | None) -> MapMethod:
    """Choose how to lay out so many rows: as wanted, else by t-SNE where its extra is installed.

    Raises:
        MissingExtra: ``tsne`` is wanted and not installed.
    """
    if wanted == "tsne":
        require("map", "the map by t-SNE")
    chosen = wanted or ("tsne" if is_installed("map") else "pca")
    return "pca" if rows < FEWEST else chosen


def lay_out(vectors: NDArray[np.float32], method: MapMethod) -> NDArray[np.float32]:
    """Give each row a point in the unit square, (n, 2) float32.

    The same on one machine whenever it is called, whatever the number of threads; both axes have one scale.

    Args:
        vectors: (n, d) float32.
        method: by :func:`method_for`.
    """
    if not len(vectors):
        return np.empty((0, 2), np.float32)
    if method == "pca":
        return _in_unit_square(principal_components(vectors, 2))
    sampled = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), MOST)).astype(np.int64))
    reduced = principal_components(vectors, _COMPONENTS)
    points = _tsne(np.ascontiguousarray(reduced[sampled]))
    if len(sampled) < len(vectors):
        points = _beside(reduced, sampled, points)
    return _in_unit_square(points)


def principal_components(vectors: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Project rows on their first principal components, (n, count) float32; signs are fixed, missing ones are 0."""
    centred = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    values, axes = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = axes[:, np.argsort(-values, kind="stable")[:count]]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.where(axes[largest, np.arange(axes.shape[1])] < 0, -1.0, 1.0)
    projected = centred @ axes.astype(np.float32)
    return np.pad(projected, ((0, 0), (0, count - projected.shape[1])))


def _tsne(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    import openTSNE  # late, as scipy and scikit-learn with it: an extra
    from openTSNE.affinity import PrecomputedAffinities
    from scipy.sparse import csr_matrix

    count, neighbours = len(rows), min(NEIGHBOURS, len(rows) - 1)
    found = _nearest(rows, rows, neighbours + 1)
    of_row = np.repeat(np.arange(count), neighbours + 1)
    other = of_row != found.ravel()
    near = csr_matrix((np.ones(other.sum()), (of_row[other], found.ravel()[other])), shape=(count, count))
    affinities = csr_matrix(((near + near.T) > 0).astype(np.float64))
    start = rows[:, :2].astype(np.float64)
    start *= _START / max(float(start[:, 0].std()), 1e-12)
    gradient, threads = ("fft", os.cpu_count() or 1) if count >= _FFT_FROM else ("bh", 1)
    layout = openTSNE.TSNE(n_jobs=threads, random_state=_SEED, negative_gradient_method=gradient)
    embedding = layout.fit(affinities=PrecomputedAffinities(affinities), initialization=start)
    return np.asarray(embedding, np.float32)


def _beside(
    rows: NDArray[np.float32], laid_out: NDArray[np.int64], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Give all rows points: those of some that are laid out, and each other the mean of its nearest of them."""
    others = np.setdiff1d(np.arange(len(rows)), laid_out, assume_unique=True)
    found = np.empty((len(rows), 2), np.float32)
    found[laid_out] = points
    nearest = _nearest(np.ascontiguousarray(rows[laid_out]), np.ascontiguousarray(rows[others]), _BESIDE)
    found[others] = points[nearest].mean(axis=1)
    return found


def _nearest(rows: NDArray[np.float32], queries: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Find the nearest rows of each query, (q, count) int64, exactly."""
    from sklearn.neighbors import NearestNeighbors  # late: comes with openTSNE

    index = NearestNeighbors(n_neighbors=min(count, len(rows)), algorithm="brute").fit(rows)
    return np.asarray(index.kneighbors(queries, return_distance=False), np.int64)


def _in_unit_square(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move points into [0, 1] with one scale for both axes, the smaller extent in the middle."""
    low, high = points.min(axis=0), points.max(axis=0)
    extent = float((high - low).max()) or 1.0
    moved = (points - (low + high) / 2) / extent + 0.5
    return np.asarray(np.clip(moved, 0, 1), np.float32)
