"""Figures of captions against references, by the published protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.evaluation.captioning.bleu import bleu
from retrieval.evaluation.captioning.cider import cider_d
from retrieval.evaluation.captioning.rouge import rouge_l
from retrieval.evaluation.captioning.tokens import tokens_of


@dataclass(frozen=True, slots=True)
class CaptionScores:
    """How well captions agree with references; papers print all of them times 100.

    Attributes:
        bleu: BLEU-1 to BLEU-4 of the whole corpus, each in [0, 1].
        cider: CIDEr-D, in [0, 10].
        rouge: ROUGE-L, in [0, 1].
    """

    bleu: tuple[float, ...]
    cider: float
    rouge: float


def score_captions(
    captions: Sequence[str], references: Sequence[Sequence[str]], language: str
) -> CaptionScores:
    """Score n >= 1 captions, each against all of its picture's references, of which it has at least one.

    Args:
        captions: one of each picture.
        references: those of each picture.
        language: BCP 47 tag, which decides what a token is; see :mod:`retrieval.evaluation.captioning.tokens`.
    """
    written = [tuple(tokens_of(caption, language)) for caption in captions]
    accepted = [[tuple(tokens_of(text, language)) for text in texts] for texts in references]
    return CaptionScores(bleu(written, accepted), cider_d(written, accepted), rouge_l(written, accepted))
