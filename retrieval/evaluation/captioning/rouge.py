"""ROUGE-L (Lin, 2004), as ``pycocoevalcap`` computes it: by the longest common subsequence of words."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.evaluation.captioning.ngrams import Tokens

_BETA = 1.2  # weight of recall against precision


def rouge_l(candidates: Sequence[Tokens], references: Sequence[Sequence[Tokens]]) -> float:
    """Compute the mean ROUGE-L of captions, in [0, 1].

    Args:
        candidates: the tokens of n captions, n >= 1.
        references: of each, the tokens of at least one reference.
    """
    pairs = zip(candidates, references, strict=True)
    return sum(_of_caption(candidate, accepted) for candidate, accepted in pairs) / len(candidates)


def _of_caption(candidate: Tokens, accepted: Sequence[Tokens]) -> float:
    """Join the best precision and the best recall, which may come from two references."""
    common = [_common_subsequence(candidate, tokens) for tokens in accepted]
    precision = max(common) / max(1, len(candidate))
    recall = max(length / max(1, len(tokens)) for length, tokens in zip(common, accepted, strict=True))
    if precision == 0:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _common_subsequence(first: Tokens, second: Tokens) -> int:
    """Length of the longest common subsequence."""
    best = [0] * (len(second) + 1)
    for token in first:
        diagonal = 0
        for place, other in enumerate(second, 1):
            above = best[place]
            best[place] = diagonal + 1 if token == other else max(above, best[place - 1])
            diagonal = above
    return best[-1]
