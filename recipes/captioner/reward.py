"""CIDEr-D of single captions against people's, with the end of a caption as a word: what drawn captions are worth.

Without the end as a word, the best captions break off behind "in a" (Rennie et al., CVPR 2017).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from retrieval.evaluation.captioning.ngrams import LONGEST, Tokens, count_ngrams

_SIGMA, _SCALE = 6.0, 10.0
Weighted = tuple[tuple[dict[Tokens, float], ...], tuple[float, ...], int]


class Reward:
    """The figures of captions of known photographs.

    Args:
        references: tokens of people's captions, by photograph.
    """

    def __init__(self, references: Sequence[Sequence[Tokens]]) -> None:
        counted = [[count_ngrams(tokens) for tokens in own] for own in references]
        self._with = Counter(ngram for own in counted for ngram in set().union(*own))
        self._log = math.log(len(references))
        self._references = [[self._weighed(counts) for counts in own] for own in counted]

    def of(self, photograph: int, tokens: Tokens) -> float:
        """Compute CIDEr-D, in [0, 10], of a caption of a photograph."""
        weights, norms, length = self._weighed(count_ngrams(tokens))
        total = 0.0
        for theirs, their_norms, their_length in self._references[photograph]:
            penalty = math.exp(-((length - their_length) ** 2) / (2 * _SIGMA**2))
            for order in range(LONGEST):
                if norm := norms[order] * their_norms[order]:
                    known = theirs[order]
                    shared = (min(w, known[g]) * known[g] for g, w in weights[order].items() if g in known)
                    total += penalty * sum(shared) / norm
        return _SCALE * total / LONGEST / len(self._references[photograph])

    def _weighed(self, counts: Counter[Tokens]) -> Weighted:
        weights: tuple[dict[Tokens, float], ...] = tuple({} for _ in range(LONGEST))
        for ngram, count in counts.items():
            rarity = self._log - math.log(max(1.0, self._with.get(ngram, 0)))
            weights[len(ngram) - 1][ngram] = count * rarity
        norms = tuple(math.sqrt(sum(w * w for w in some.values())) for some in weights)
        return weights, norms, sum(count for ngram, count in counts.items() if len(ngram) == 1)
