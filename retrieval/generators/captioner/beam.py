"""Beam search over the words of a caption, deterministic: equal scores go by the order of beams, then of words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.generators.captioner.config import END, Decoding, Language
from retrieval.generators.captioner.transformer import Memory, Transformer, WordStates

_NEVER = -1e9  # log-probability of what may not be written


@dataclass(frozen=True, slots=True)
class Found:
    """A caption that was found.

    Attributes:
        tokens: its words, without begin and end.
        score: summed log-probability, divided by a power of the length, the end included.
    """

    tokens: tuple[int, ...]
    score: float


@dataclass(frozen=True, slots=True)
class _Live:
    """Captions that are being written: tokens (k, length) with the begin, log-probabilities (k,), and states."""

    tokens: NDArray[np.int64]
    scores: NDArray[np.float64]
    states: WordStates


def search(
    transformer: Transformer, memory: Memory, language: Language, decoding: Decoding, beams: int
) -> list[Found]:
    """Search for captions of one image: at least ``beams`` where there are so many, the best first.

    A caption has at least one word, and none twice in a row. The search ends with ``beams`` captions that have come
    to their end among the best, or at ``decoding.most`` words.

    Args:
        transformer: computes what follows.
        memory: of the image.
        language: of the captions.
        decoding: the rule; ``beams`` takes the place of its own.
        beams: captions that are written at once.
    """
    live = _Live(np.array([[language.begin]]), np.zeros(1), transformer.begin())
    done: list[Found] = []
    for length in range(decoding.most):
        log_probabilities, states = transformer.next_words(live.tokens[:, -1], live.states, memory, language)
        _forbid(log_probabilities, live.tokens[:, -1], language)
        rows, words, scores = _best(live.scores[:, None] + log_probabilities, 2 * beams)
        ends = words == END
        done += [
            Found(tuple(live.tokens[row, 1:].tolist()), float(score) / (length + 1) ** decoding.length_power)
            for row, score in zip(rows[:beams][ends[:beams]], scores[:beams][ends[:beams]], strict=True)
        ]
        if len(done) >= beams:
            break
        rows, words, scores = (part[~ends][:beams] for part in (rows, words, scores))
        if not len(rows):  # no number is left
            break
        tokens = np.column_stack([live.tokens[rows], words + (language.first - 1)])
        live = _Live(tokens, scores, states.of(rows))
    else:
        power = (decoding.most + 1) ** decoding.length_power
        done += [
            Found(tuple(tokens[1:].tolist()), float(score) / power)
            for tokens, score in zip(live.tokens, live.scores, strict=True)
        ]
    return sorted(done, key=lambda found: -found.score)


def _forbid(log_probabilities: NDArray[np.float32], last: NDArray[np.int64], language: Language) -> None:
    """Forbid, in place, the end of a caption without words, and a word after itself."""
    for row, token in enumerate(last.tolist()):
        again = token - language.first + 1 if language.first <= token < language.stop else END
        if token == language.begin or again != END:
            log_probabilities[row, END if token == language.begin else again] = _NEVER


def _best(
    totals: NDArray[np.float64], most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Give rows, columns and values of the ``most`` highest, the highest first; impossible ones left out."""
    flat = totals.ravel()
    most = min(most, len(flat))
    chosen = np.argpartition(-flat, most - 1)[:most]
    chosen = chosen[np.lexsort((chosen, -flat[chosen]))]
    chosen = chosen[flat[chosen] > _NEVER / 2]
    return chosen // totals.shape[1], chosen % totals.shape[1], flat[chosen]
