"""Balance stored vectors and queries before they are coded, so that a code of given size loses the least score.

Text queries lie outside the distribution of images: much of a text's direction falls where images hardly vary, and
the error of a code grows with the length of the query there. Let S be the covariance of the stored vectors and C the
second moment of the queries, and let ``A = (S^-1/2 (S^1/2 C S^1/2)^1/2 S^-1/2)^1/2``, the square root of the optimal
transport map between two Gaussians of covariance S and C. Stored vectors become ``A (x - mean)`` and queries
``A^-1 q``: inner products are unchanged up to a constant of the query, and both sides have the same moment matrix,
which minimises the expected product of their squared lengths. The first principal components are kept and rotated at
random, so that every part of a product quantiser gets a like share of the variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_SHRINKAGE = (
    0.1  # of the queries' second moment towards a multiple of the identity: a few hundred queries suffice
)
_IMAGE_SHARE = (
    0.25  # of the second moment that comes from stored vectors, for queries by an item of the same kind
)
_SMALLEST = 1e-6  # of the largest eigenvalue: below it a direction holds noise alone
_ZERO = 1e-12  # stands in for a variance of nothing, as of vectors that are all equal
_MOMENT_ROWS = 2048  # converted to float64 at a time


@dataclass(frozen=True, slots=True, eq=False)
class Balance:
    """A pair of linear maps, one for stored vectors and one for queries.

    Attributes:
        mean: (d,) float32, of the stored vectors.
        stored_map: (d, r) float32: a stored vector x becomes ``(x - mean) @ stored_map``.
        query_map: (d, r) float32: a query q becomes ``q @ query_map``.
    """

    mean: NDArray[np.float32]
    stored_map: NDArray[np.float32]
    query_map: NDArray[np.float32]

    @property
    def rank(self) -> int:
        """Components that are kept."""
        return int(self.stored_map.shape[1])

    def map_stored(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map stored vectors, (n, d) float32 to (n, r) float32."""
        return np.asarray((rows - self.mean) @ self.stored_map, np.float32)

    def map_queries(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map queries, (q, d) float32 to (q, r) float32."""
        return np.asarray(rows @ self.query_map, np.float32)


def fit_balance(rows: NDArray[np.float32], queries: NDArray[np.float32], rank: int, seed: int = 0) -> Balance:
    """Fit the maps to a sample of stored vectors and a sample of queries.

    Args:
        rows: (n, d) float32 stored vectors; some thousands suffice.
        queries: (q, d) float32 queries of the other kind; a few hundred suffice.
        rank: components to keep, 1 to d.
        seed: of the random rotation.
    """
    n, d = rows.shape
    mean, stored_moment = rows.mean(0, dtype=np.float64), _moment(rows)
    scatter = (stored_moment - np.outer(mean, mean)) * (n / max(1, n - 1))
    covariance = _shrunk(scatter, d / (d + n))
    moment = (1 - _IMAGE_SHARE) * _moment(queries) + _IMAGE_SHARE * stored_moment
    root, inverse = _power(covariance, np.sqrt), _power(covariance, _inverse_sqrt)
    transport = inverse @ _power(root @ _shrunk(moment, _SHRINKAGE) @ root, np.sqrt) @ inverse
    forward, back = _power(transport, np.sqrt), _power(transport, _inverse_sqrt)
    axes = np.linalg.eigh(forward @ covariance @ forward)[1][:, ::-1][:, :rank]
    rotated = axes @ np.linalg.qr(np.random.default_rng(seed).standard_normal((rank, rank)))[0]
    return Balance(_float32(mean), _float32(forward @ rotated), _float32(back @ rotated))


def _moment(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Compute the mean of the rows' outer products, in float64, of a few rows at a time."""
    total = np.zeros((rows.shape[1], rows.shape[1]))
    for start in range(0, len(rows), _MOMENT_ROWS):
        some = rows[start : start + _MOMENT_ROWS].astype(np.float64)
        total += some.T @ some
    return total / len(rows)


def _shrunk(matrix: NDArray[np.float64], share: float) -> NDArray[np.float64]:
    d = len(matrix)
    shrunk: NDArray[np.float64] = (1 - share) * matrix + share * np.trace(matrix) / d * np.eye(d)
    return shrunk


def _power(
    matrix: NDArray[np.float64], of_eigenvalues: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Apply a function to a symmetric matrix, through its eigenvalues."""
    values, vectors = np.linalg.eigh(matrix)
    powers: NDArray[np.float64] = (
        vectors * of_eigenvalues(np.maximum(values, max(_SMALLEST * values.max(), _ZERO)))
    ) @ vectors.T
    return powers


def _inverse_sqrt(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values**-0.5


def _float32(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)
