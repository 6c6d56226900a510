"""Groups of rows by direction: spherical k-means, and how many groups there are.

Rows are centred and brought to unit length first, because all vectors of an encoder share a direction that tells
nothing (Mu & Viswanath, ICLR 2018). Then k-means by cosine (Dhillon & Modha, Machine Learning 2001) from the best of
ten k-means++ starts (Arthur & Vassilvitskii 2007), with a fixed seed. Without a number, candidates are compared by the
simplified silhouette (Hruschka et al., IEEE Transactions on Evolutionary Computation 2006), which hardly differs
among photographs: of those within a fiftieth of the best the largest is taken, because people look for small groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 1000  # groups
MARGIN = 0.02
CANDIDATES = (4, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50)
"""Numbers of groups to choose from, those of at most the square root of the rows."""

_SEED = 0
_ROUNDS = 15  # few rows change their group after ten
_STARTS = 10  # of which the best is gone on with: one alone often puts two groups together
_START_ROUNDS = 10
_SETTLED = 0.001  # share of rows that may still change
_SAMPLE = 4000  # rows that a start is found, and a number of groups chosen, on

Rows = NDArray[np.float32]
Labels = NDArray[np.int64]


def centred(vectors: Rows) -> Rows:
    """Take the mean off rows and bring them to unit length again, (n, d) float32; rows at the mean become zeros."""
    rows = vectors - vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(np.divide(rows, length, out=np.zeros_like(rows), where=length > 1e-6), np.float32)


def spherical_kmeans(rows: Rows, count: int) -> tuple[Labels, Rows]:
    """Put unit rows into groups by the cosine with their group's centre.

    The same on one machine each time. Groups come the largest first; fewer where rows are too few or equal.

    Args:
        rows: (n, d) float32, n >= 1, by :func:`centred`.
        count: of groups, >= 1.

    Returns:
        The group of each row, (n,) int64 from 0, and the centres, (groups, d) float32 unit rows.
    """
    sampled = rows[_evenly(len(rows), _SAMPLE)]
    rng = np.random.default_rng(_SEED)
    centres = max(
        (
            _settled(sampled, _start(sampled, min(count, len(sampled)), rng), _START_ROUNDS)[1]
            for _ in range(_STARTS)
        ),
        key=lambda found: float((sampled @ found.T).max(axis=1).sum(dtype=np.float64)),
    )
    labels, centres = _settled(rows, centres, _ROUNDS)
    used, sizes = np.unique(labels, return_counts=True)
    order = used[np.lexsort((used, -sizes))]
    place = np.full(len(centres), -1)
    place[order] = np.arange(len(order))
    return place[labels], centres[order]


def choose_count(rows: Rows) -> int:
    """Choose a number of groups for rows by :func:`centred`: 1 for fewer than 16."""
    sampled = rows[_evenly(len(rows), _SAMPLE)]
    candidates = [count for count in CANDIDATES if count * count <= len(rows)]
    scores = {one: simplified_silhouette(sampled, *spherical_kmeans(sampled, one)) for one in candidates}
    best = max(scores.values(), default=0.0)
    return max((one for one, score in scores.items() if score >= best - MARGIN), default=1)


def simplified_silhouette(rows: Rows, labels: Labels, centres: Rows) -> float:
    """Mean of (b - a) / max(a, b) over rows, in [-1, 1]: a and b are 1 - cosine with the own and the next centre."""
    if len(centres) < 2:
        return -1.0
    far = 1 - rows @ centres.T
    own = far[np.arange(len(rows)), labels]
    far[np.arange(len(rows)), labels] = np.inf
    other = far.min(axis=1)
    return float(np.mean((other - own) / np.maximum(np.maximum(own, other), 1e-9)))


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _start(rows: Rows, count: int, rng: np.random.Generator) -> Rows:
    """Choose rows as first centres, each with a chance that grows with its distance from those before."""
    chosen = [int(rng.integers(len(rows)))]
    far = np.maximum(1 - rows @ rows[chosen[0]], 0).astype(np.float64)
    while len(chosen) < count and far.max() > 1e-6:
        chosen.append(int(rng.choice(len(rows), p=far / far.sum())))
        far = np.minimum(far, np.maximum(1 - rows @ rows[chosen[-1]], 0))
    return rows[chosen]


def _settled(rows: Rows, centres: Rows, rounds: int) -> tuple[Labels, Rows]:
    """Move centres to the mean of their rows until hardly a row changes its group; a group that is left stays."""
    labels = np.full(len(rows), -1, np.int64)
    for _ in range(rounds):
        nearest = (rows @ centres.T).argmax(axis=1)
        changed = int((nearest != labels).sum())
        labels = nearest
        if changed <= _SETTLED * len(rows):
            break
        centres = _means(rows, labels, centres)
    return labels, centres


def _means(rows: Rows, labels: Labels, before: Rows) -> Rows:
    order = np.argsort(labels, kind="stable")
    used, starts = np.unique(labels[order], return_index=True)
    sums = np.add.reduceat(rows[order], starts, axis=0)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    centres = before.copy()
    moved = length[:, 0] > 1e-6
    centres[used[moved]] = (sums / np.maximum(length, 1e-6))[moved]
    return centres
