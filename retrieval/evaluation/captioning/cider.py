"""CIDEr-D (Vedantam, Zitnick & Parikh, CVPR 2015), as ``pycocoevalcap`` computes it.

The n-grams of captions are weighted by tf-idf, where the "documents" are the pictures of this evaluation: a figure
depends on all the pictures that it is computed over. A caption's figure is the mean over its references and over n
of 1 to 4 of their cosine with the caption's weights cut to the reference's, times a Gaussian penalty for another
length, times 10. Papers print it times 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from retrieval.evaluation.captioning.ngrams import LONGEST, Tokens, count_ngrams

_SIGMA = 6.0  # of the penalty on lengths
_SCALE = 10.0


def cider_d(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """Compute CIDEr-D, in [0, 10]; of one picture alone it is 0, since every n-gram is in all documents.

    Args:
        candidates: the tokens of n captions, n >= 1.
        references: of each, the tokens of at least one reference.
    """
    accepted = [[count_ngrams(tokens) for tokens in some] for some in references]
    pictures_with = Counter(ngram for some in accepted for ngram in set().union(*some))
    rarity = _Rarity(math.log(len(candidates)), pictures_with)
    return sum(
        _similarity(_weigh(count_ngrams(candidate), rarity), [_weigh(counts, rarity) for counts in some])
        for candidate, some in zip(candidates, accepted, strict=True)
    ) / len(candidates)


@dataclass(frozen=True, slots=True)
class _Rarity:
    """Logarithm of the number of pictures, and in how many pictures' references each n-gram is."""

    log_pictures: float
    pictures_with: Mapping[Tokens, int]

    def of(self, ngram: Tokens) -> float:
        return self.log_pictures - math.log(max(1.0, self.pictures_with.get(ngram, 0)))


@dataclass(frozen=True, slots=True)
class _Weighted:
    """The tf-idf weights of a caption's n-grams and their norms, by n, and its length."""

    weights: tuple[dict[Tokens, float], ...]
    norms: tuple[float, ...]
    length: int


def _weigh(counts: Mapping[Tokens, int], rarity: _Rarity) -> _Weighted:
    weights: tuple[dict[Tokens, float], ...] = tuple({} for _ in range(LONGEST))
    for ngram, count in counts.items():
        weights[len(ngram) - 1][ngram] = count * rarity.of(ngram)
    norms = tuple(math.sqrt(sum(weight**2 for weight in some.values())) for some in weights)
    # pycocoevalcap counts a caption's bigrams, one fewer than its words, which makes no difference to a difference
    # but where one of two has no word.
    length = sum(count for ngram, count in counts.items() if len(ngram) == 2)
    return _Weighted(weights, norms, length)


def _similarity(candidate: _Weighted, accepted: Sequence[_Weighted]) -> float:
    total = 0.0
    for reference in accepted:
        penalty = math.exp(-((candidate.length - reference.length) ** 2) / (2 * _SIGMA**2))
        for order in range(LONGEST):
            total += penalty * _clipped_cosine(candidate, reference, order)
    return _SCALE * total / LONGEST / len(accepted)


def _clipped_cosine(candidate: _Weighted, reference: _Weighted, order: int) -> float:
    norms = candidate.norms[order] * reference.norms[order]
    if norms == 0:
        return 0.0
    theirs = reference.weights[order]
    shared = (
        min(weight, theirs[ngram]) * theirs[ngram]
        for ngram, weight in candidate.weights[order].items()
        if ngram in theirs
    )
    return sum(shared) / norms
