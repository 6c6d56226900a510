"""Pairs of pictures that may be the same: exact, over all pairs, by one product of matrices.

A row is the picture's vector beside a descriptor of its fingerprint that turning and mirroring do not change. The
vector keeps cropped, reduced and mirrored copies together, the descriptor turned ones, which the vector does not know.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

_FREQUENCIES = 8  # along each axis
_WEIGHT = 4.0  # of a descriptor's cosine against a vector's likeness
LEAST = 3.9
"""Likeness + 4 * cosine of descriptors, of candidates: turned copies have nearly as much by their descriptor alone."""

_BLOCK = 2048  # rows: their products take 16 MiB
_BLOCKS_AHEAD = 2  # of each thread: where all pictures are alike a block has millions of pairs
_CHUNK = 8192  # fingerprints that are transformed at a time


@dataclass(frozen=True, slots=True, eq=False)
class CandidatePairs:
    """Pairs of fingerprints that may show the same picture.

    Attributes:
        pairs: (n, 2) int64 numbers of fingerprints, the lower first.
        likeness: (n,) of the vectors, 0 for any two pictures and 1 for equal ones.
        described: (n,) cosine of the descriptors.
    """

    pairs: NDArray[np.int64]
    likeness: NDArray[np.float32]
    described: NDArray[np.float32]

    def only(self, chosen: NDArray[np.bool_]) -> CandidatePairs:
        """Give some of the pairs."""
        return CandidatePairs(self.pairs[chosen], self.likeness[chosen], self.described[chosen])


def descriptors(prints: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Describe (n, side, side) fingerprints by unit rows, the same for all orientations; zeros for blank ones.

    The amplitudes of the lowest frequencies of the discrete cosine transform: mirroring changes their signs alone,
    and a quarter turn exchanges two axes, so of each such pair the larger comes first.
    """
    basis = _cosines(prints.shape[1])
    upper, middle = np.triu_indices(_FREQUENCIES, 1), np.arange(1, _FREQUENCIES)
    rows = []
    for start in range(0, len(prints), _CHUNK):
        grey = prints[start : start + _CHUNK].astype(np.float32)
        amplitude = np.abs(basis @ grey @ basis.T)
        one, other = amplitude[:, upper[0], upper[1]], amplitude[:, upper[1], upper[0]]
        rows.append(
            np.concatenate([np.maximum(one, other), np.minimum(one, other), amplitude[:, middle, middle]], 1)
        )
    found = np.concatenate(rows) if rows else np.empty((0, _FREQUENCIES**2 - 1), np.float32)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.where(length > 1, found / np.maximum(length, 1), 0).astype(np.float32)
    return unit


def candidate_pairs(
    vectors: NDArray[np.float32],
    described: NDArray[np.float32],
    base: float,
    least: float = LEAST,
    threads: int | None = None,
    is_known: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None = None,
) -> Iterator[CandidatePairs]:
    """Find all pairs of rows that may show the same picture.

    Args:
        vectors: (n, d) float32 unit rows.
        described: (n, 63) float32, by :func:`descriptors`.
        base: cosine of the vectors of any two pictures, by :func:`~retrieval.duplicates.likeness.cosine_of_any_two`.
        least: of a pair's likeness and four times the cosine of its descriptors together; minus infinity for all.
        threads: that compute; one a core by default.
        is_known: says of (m, 2) pairs which are known to, and need not be given; asked by several threads.
    """
    # likeness + weight * cosine >= least, where likeness = (product - base) / (1 - base), as one product of rows
    scale = np.float32(np.sqrt(_WEIGHT * (1 - base)))
    rows = np.concatenate([vectors, described * scale], axis=1)
    del vectors  # of the fingerprints, and made for this call alone
    least_product = np.float32(least * (1 - base) + base)
    starts = range(0, len(rows), _BLOCK)
    blocks = [(first, second) for first in starts for second in starts if second >= first]

    def close(block: tuple[int, int]) -> CandidatePairs:
        first, second = block
        products = rows[first : first + _BLOCK] @ rows[second : second + _BLOCK].T
        row, column = np.nonzero(products >= least_product)
        pairs = np.stack([row + first, column + second], 1)
        wanted = pairs[:, 0] < pairs[:, 1]
        if is_known is not None:
            wanted &= ~is_known(pairs)
        pairs, product = pairs[wanted], products[row[wanted], column[wanted]]
        cosine = _cosines_of(described, pairs)
        likeness = (product - base) / np.float32(1 - base) - _WEIGHT * cosine
        return CandidatePairs(pairs, likeness.astype(np.float32), cosine)

    workers = threads or os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        begun: deque[Future[CandidatePairs]] = deque()
        for block in blocks:
            begun.append(pool.submit(close, block))
            if len(begun) > _BLOCKS_AHEAD * workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()


def _cosines_of(described: NDArray[np.float32], pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute the cosine of each pair of descriptors, (m,), some at a time."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), _CHUNK):
        one, other = pairs[start : start + _CHUNK].T
        found[start : start + _CHUNK] = np.einsum("nd,nd->n", described[one], described[other])
    return found


@cache
def _cosines(side: int) -> NDArray[np.float32]:
    """The lowest frequencies of the orthonormal DCT-II: (frequencies, side)."""
    angle = np.pi * (np.arange(side) + 0.5) * np.arange(_FREQUENCIES)[:, None] / side
    basis = np.cos(angle)
    unit: NDArray[np.float32] = (basis / np.linalg.norm(basis, axis=1, keepdims=True)).astype(np.float32)
    return unit
