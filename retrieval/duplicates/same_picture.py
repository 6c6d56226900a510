"""Which pictures are the same one: resized, recompressed, cropped by up to 10 %, bordered, mirrored or turned.

Candidates are aligned at a quarter of the side, those that may be copies at half and then at the whole of it. The
thresholds were chosen on one half of the pairs that ``benchmarks/duplicates`` makes, and measured on the other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from retrieval.duplicates.alignment import (
    ORIENTATIONS,
    Grey,
    Likeness,
    align,
    compare,
    halve,
    identity_warp,
    joined,
    orient,
    orientation_scores,
    standardised,
)
from retrieval.duplicates.candidates import LEAST, CandidatePairs, candidate_pairs, descriptors
from retrieval.duplicates.fingerprint import Fingerprint
from retrieval.duplicates.groups import Joined
from retrieval.duplicates.likeness import FEW, cosine_of_any_two

# Correlations here are at a quarter of the side, in the orientation that fits best, and before alignment.
_LEAST_LIKENESS = 0.55  # of the vectors of copies that are not turned
_UPRIGHT_WEIGHT = 0.375  # of their correlation beside their likeness, as a logistic regression weighs them
_LEAST_UPRIGHT = 0.9  # likeness and weighed correlation together
_LEAST_DESCRIBED = 0.92  # cosine of the descriptors of turned copies, whose vectors say nothing
_LEAST_TURNED = 1.84  # cosine and correlation of these together
_LEAST_COARSE = 0.88  # correlation at a quarter of the side, aligned
_LEAST_MIDDLE = 0.95  # likewise at half the side
LEAST_CORRELATION = 0.97
MOST_DIFFERENCE = 0.3
LEAST_OVERLAP = 0.7

_MIRRORED = 1  # the highest orientation in which a picture is not turned
_FIRST_ROUND = 2  # candidates of each picture in a block, compared before others that these may connect
_CHUNK = 8192  # fingerprints or pairs that are looked at together
# Pairs that are aligned together: what a step works on stays in the processor's cache.
_BATCH_COARSE, _BATCH_MIDDLE, _BATCH_FINE = 512, 128, 32


@dataclass(frozen=True, slots=True, eq=False)
class Prints:
    """Fingerprints as arrays: (m, side, side) uint8, and the number of each one's picture, (m,) ascending."""

    grey: NDArray[np.uint8]
    owner: NDArray[np.int64]


def stack(fingerprints: Mapping[int, Fingerprint]) -> Prints:
    """Put fingerprints, with and without their borders, into one array; the keys say whose they are, ascending."""
    grey: list[NDArray[np.uint8]] = []
    owner: list[int] = []
    for number, one in fingerprints.items():
        for copy in (one.whole, one.inner):
            if copy is not None:
                grey.append(copy)
                owner.append(number)
    return Prints(np.stack(grey) if grey else np.empty((0, 0, 0), np.uint8), np.array(owner, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class ComparedPairs:
    """Pairs of pictures, (n, 2), that nearly look the same, and how alike they are; a pair may stand there twice."""

    pairs: NDArray[np.int64]
    alike: Likeness


def same_pictures(
    prints: Prints, vectors: NDArray[np.float32], base: float | None = None, few: bool | None = None
) -> NDArray[np.int64]:
    """Find the pairs of pictures that are the same one.

    Args:
        prints: of some of n pictures; the others are not compared.
        vectors: (n, d) float32 unit rows of the pictures.
        base: cosine of any two pictures of the collection that these are of; by default as these vectors tell it.
        few: whether the collection has so few pictures that all pairs are compared; by default whether these are.

    Returns:
        (pairs, 2) int64 numbers of pictures, the lower first, ascending; each pair once.
    """
    compared = compare_pictures(prints, vectors, base, few)
    found = [one.pairs[is_same(one.alike)] for one in compared]
    return np.unique(np.concatenate([np.empty((0, 2), np.int64), *found]), axis=0)


def same_picture_groups(prints: Prints, vectors: NDArray[np.float32]) -> list[list[int]]:
    """Find the groups of pictures that are the same one, as the pairs of :func:`same_pictures` connect them.

    Pairs that others connect already are not compared: of m versions of one picture some m pairs are, not m squared.

    Args:
        prints: of some of n pictures; the others are not compared.
        vectors: (n, d) float32 unit rows of the pictures.

    Returns:
        Groups of numbers of pictures, by the least; each ascending.
    """
    joined = Joined(len(vectors))
    for compared in compare_pictures(_different(prints, joined), vectors, joined=joined):
        joined.join(compared.pairs[is_same(compared.alike)])
    return joined.groups()


def turned_otherwise(prints: Prints, groups: Iterable[Sequence[int]]) -> set[int]:
    """Find the pictures that are mirrored or turned against more than half of their group's.

    Args:
        prints: of all pictures of the groups.
        groups: of numbers of pictures; of two it cannot be told which one is turned.
    """
    row_of = dict(
        zip(prints.owner.tolist(), range(len(prints.owner)), strict=True)
    )  # the last one has no border
    found: set[int] = set()
    for numbers in groups:
        small = _quarter(prints.grey[[row_of[number] for number in numbers]])
        ways = orientation_scores(np.broadcast_to(small[:1], small.shape), small).argmax(1)
        counts = np.bincount(ways, minlength=ORIENTATIONS)
        if 2 * counts.max() > len(numbers):
            found.update(np.asarray(numbers)[ways != counts.argmax()].tolist())
    return found


def _different(prints: Prints, joined: Joined) -> Prints:
    """Join pictures with equal fingerprints that are not blank, and keep one of these fingerprints each."""
    equal: dict[bytes, list[int]] = {}
    for number, grey in enumerate(prints.grey):
        equal.setdefault(blake2b(grey.tobytes(), digest_size=16).digest(), []).append(number)
    kept = np.ones(len(prints.owner), bool)
    for first, *others in equal.values():
        if others and descriptors(prints.grey[first : first + 1]).any():
            kept[others] = False
            joined.join(np.stack([np.full(len(others), prints.owner[first]), prints.owner[others]], 1))
    return Prints(prints.grey[kept], prints.owner[kept])


def is_same(alike: Likeness) -> NDArray[np.bool_]:
    """Whether pictures that were aligned are the same, for n pairs."""
    return (
        (alike.correlation >= LEAST_CORRELATION)
        & (alike.difference <= MOST_DIFFERENCE)
        & (alike.overlap >= LEAST_OVERLAP)
    )


def compare_pictures(
    prints: Prints,
    vectors: NDArray[np.float32],
    base: float | None = None,
    few: bool | None = None,
    joined: Joined | None = None,
) -> Iterator[ComparedPairs]:
    """Compare all pairs of pictures that may be the same, as :func:`same_pictures` does before it decides.

    Where ``joined`` is given, pairs that it connects are left out, and the caller joins what is given before the next.
    """
    if len(prints.owner) < 2:
        return
    grey, small = prints.grey, _quarter(prints.grey)
    base = cosine_of_any_two(vectors) if base is None else base
    # few pictures are all compared, so that nothing depends on how the encoder takes turned ones
    least = -np.inf if (len(vectors) < FEW if few is None else few) else LEAST
    is_known = None if joined is None else lambda pairs: joined.are_joined(prints.owner[pairs])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        candidates = candidate_pairs(vectors[prints.owner], descriptors(grey), base, least, is_known=is_known)
        for found in candidates if is_known is None else _in_rounds(candidates, is_known):
            likely = _oriented(small, found)
            parts = [
                (likely.pairs[at : at + _BATCH_COARSE], likely.ways[at : at + _BATCH_COARSE])
                for at in range(0, len(likely.pairs), _BATCH_COARSE)
            ]
            for compared in pool.map(lambda part: _compare(grey, small, *part), parts):
                owners = np.sort(prints.owner[compared.pairs], axis=1)
                others = owners[:, 0] != owners[:, 1]
                yield ComparedPairs(owners[others], compared.alike.only(others))


def _in_rounds(
    candidates: Iterable[CandidatePairs], is_known: Callable[[NDArray[np.int64]], NDArray[np.bool_]]
) -> Iterator[CandidatePairs]:
    """Give a few candidates of each picture at a time, then more, as long as they are not known by then."""
    for left in candidates:
        most = _FIRST_ROUND
        while len(left.pairs):
            now = _place_in_group(left.pairs[:, 1]) < most
            yield left.only(now)
            left = left.only(~now)
            left = left.only(~is_known(left.pairs))
            most *= 4


def _place_in_group(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how many equal values stand before each of n."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.searchsorted(ordered, ordered)
    places = np.empty(len(values), np.int64)
    places[order] = np.arange(len(values)) - starts
    return places


@dataclass(frozen=True, slots=True, eq=False)
class _Oriented:
    """Pairs of fingerprints, (n, 2), and the orientation in which the second fits the first, (n,)."""

    pairs: NDArray[np.int64]
    ways: NDArray[np.int64]


def _oriented(small: Grey, found: CandidatePairs) -> _Oriented:
    """Turn candidates as they fit best, and keep those that may be copies turned so."""
    likely = (found.likeness >= _LEAST_LIKENESS) | (found.described >= _LEAST_DESCRIBED)
    found = found.only(likely)
    ways, fits = [], []
    for start in range(0, len(found.pairs), _CHUNK):
        pairs = found.pairs[start : start + _CHUNK]
        scores = orientation_scores(small[pairs[:, 0]], small[pairs[:, 1]])
        ways.append(scores.argmax(1))
        fits.append(scores.max(1))
    way = np.concatenate(ways) if ways else np.empty(0, np.int64)
    fit = np.concatenate(fits) if fits else np.empty(0, np.float32)
    alike = found.likeness + np.float32(_UPRIGHT_WEIGHT) * fit
    upright = (way <= _MIRRORED) & (found.likeness >= _LEAST_LIKENESS) & (alike >= _LEAST_UPRIGHT)
    turned = (found.described >= _LEAST_DESCRIBED) & (found.described + fit >= _LEAST_TURNED)
    return _Oriented(found.pairs[upright | turned], way[upright | turned])


def _compare(
    grey: NDArray[np.uint8], small: Grey, pairs: NDArray[np.int64], ways: NDArray[np.int64]
) -> ComparedPairs:
    """Align pairs of fingerprints coarsely, then finer, leave out those that differ, and compare the others."""
    found = [
        _fine(grey, fine)
        for likely in _split(_coarse(small, pairs, ways), _BATCH_MIDDLE)
        for fine in _split(_middle(grey, likely), _BATCH_FINE)
    ]
    return ComparedPairs(
        np.concatenate([np.empty((0, 2), np.int64), *(one.pairs for one in found)]),
        joined([one.alike for one in found]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Aligned:
    """Pairs of fingerprints, (n, 2), the orientation of each second, (n,), and the warp so far, (n, 4)."""

    pairs: NDArray[np.int64]
    ways: NDArray[np.int64]
    warp: NDArray[np.float32]

    def only(self, chosen: NDArray[np.bool_] | slice) -> _Aligned:
        return _Aligned(self.pairs[chosen], self.ways[chosen], self.warp[chosen])

    def grey(self, grey: NDArray[np.uint8]) -> tuple[Grey, Grey]:
        """Give both fingerprints of each pair, the second turned."""
        first, second = (grey[self.pairs[:, at]].astype(np.float32) for at in (0, 1))
        return first, orient(second, self.ways)


def _split(aligned: _Aligned, batch: int) -> Iterator[_Aligned]:
    for start in range(0, len(aligned.pairs), batch):
        yield aligned.only(slice(start, start + batch))


def _coarse(small: Grey, pairs: NDArray[np.int64], ways: NDArray[np.int64]) -> _Aligned:
    """Align at a quarter of the side; what differs then is left out."""
    a, b = small[pairs[:, 0]], orient(small[pairs[:, 1]], ways)
    warp = align(a, b, identity_warp(len(pairs)), blur=1.0, steps=4)
    return _Aligned(pairs, ways, warp).only(compare(a, b, warp).correlation >= _LEAST_COARSE)


def _middle(grey: NDArray[np.uint8], likely: _Aligned) -> _Aligned:
    """Align at half the side; what differs then is left out."""
    a, b = map(halve, likely.grey(grey))
    warp = align(a, b, align(a, b, likely.warp, blur=1.5, steps=3), blur=0.6, steps=4)
    near = compare(a, b, warp, blur=0.8).correlation >= _LEAST_MIDDLE
    return _Aligned(likely.pairs, likely.ways, warp).only(near)


def _fine(grey: NDArray[np.uint8], likely: _Aligned) -> ComparedPairs:
    """Align at the whole side, and compare."""
    a, b = likely.grey(grey)
    return ComparedPairs(likely.pairs, compare(a, b, align(a, b, likely.warp, blur=1.2, steps=2), blur=0.8))


def _quarter(grey: NDArray[np.uint8]) -> Grey:
    """Average fingerprints down to a quarter of the side, some at a time, and standardise them."""
    parts = [
        standardised(halve(halve(grey[start : start + _CHUNK].astype(np.float32))))
        for start in range(0, len(grey), _CHUNK)
    ]
    return np.concatenate(parts)
