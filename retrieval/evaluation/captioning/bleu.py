"""BLEU-1 to BLEU-4 (Papineni et al., ACL 2002), over a whole corpus, as ``pycocoevalcap`` computes them.

BLEU-n is the geometric mean of the clipped precisions of 1- to n-grams, times a penalty for captions that are shorter
than the references. The reference nearest in length counts (the shorter one of two). Matches and lengths are summed
over all captions before they are divided: the mean of the captions' own figures is something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from retrieval.evaluation.captioning.ngrams import LONGEST, Tokens, count_ngrams

# Keep fractions of nothing finite; papers' figures have them.
_SMALL, _TINY = 1e-9, 1e-15


def bleu(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> tuple[float, ...]:
    """Compute corpus-level BLEU-1 to BLEU-4, each in [0, 1].

    Args:
        candidates: the tokens of n captions, n >= 1.
        references: of each, the tokens of at least one reference.
    """
    correct, possible = [0] * LONGEST, [0] * LONGEST
    length = wanted = 0
    for candidate, accepted in zip(candidates, references, strict=True):
        length += len(candidate)
        wanted += min((abs(len(tokens) - len(candidate)), len(tokens)) for tokens in accepted)[1]
        for order, matches in enumerate(_matches(candidate, accepted)):
            correct[order] += matches
            possible[order] += max(0, len(candidate) - order)
    return _geometric_means(correct, possible, (length + _TINY) / (wanted + _SMALL))


def _matches(candidate: Tokens, accepted: Sequence[Tokens]) -> list[int]:
    """Count the n-grams, by n, that a reference has too; each at most as often as the reference with most of it."""
    most: dict[Tokens, int] = {}
    for tokens in accepted:
        for ngram, count in count_ngrams(tokens).items():
            most[ngram] = max(most.get(ngram, 0), count)
    matches = [0] * LONGEST
    for ngram, count in count_ngrams(candidate).items():
        matches[len(ngram) - 1] += min(most.get(ngram, 0), count)
    return matches


def _geometric_means(correct: Sequence[int], possible: Sequence[int], ratio: float) -> tuple[float, ...]:
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, means = 1.0, []
    for order in range(LONGEST):
        product *= (correct[order] + _TINY) / (possible[order] + _SMALL)
        means.append(penalty * product ** (1 / (order + 1)))
    return tuple(means)
