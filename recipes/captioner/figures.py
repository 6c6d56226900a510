"""What is printed in the end: captions of Flickr8k's val by the exported folder, and the baseline beside them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recipes.captioner.cross_entropy import LANGUAGES
from recipes.captioner.photographs import Captions, captions_of, read_photographs
from retrieval.evaluation.captioning.scores import CaptionScores, score_captions
from retrieval.generators.captioner.generator import load_captioner


def nearest(
    train: NDArray[np.float32], val: NDArray[np.float32], captions: Sequence[Sequence[str]]
) -> list[str]:
    """Give the first caption of the nearest training photograph, by unit rows: what the captioner has to beat."""
    return [captions[row][0] for row in (val @ train.T).argmax(1)]


def print_figures(
    folder: Path, data: Path, train: NDArray[np.float32], val: NDArray[np.float32], known: Captions
) -> None:
    """Print BLEU-4 and CIDEr-D (times 100) on val, and milliseconds a photograph.

    Args:
        folder: the exported captioner.
        data: holds ``flickr8k``.
        train: the encoder's rows of the training photographs.
        val: of val's.
        known: the training photographs' captions.
    """
    photographs = read_photographs("val", data)
    theirs, captioner = captions_of(photographs), load_captioner(folder)
    prepared = [captioner.preparation.prepare(one.open()) for one in photographs]
    for language in LANGUAGES:
        references, memory = (
            (captions.english if language == "en" else captions.chinese) for captions in (theirs, known)
        )
        begun = time.perf_counter()
        written = [own[0].text for own in captioner.describe_prepared(prepared, language)]
        took = 1000 * (time.perf_counter() - begun) / len(prepared)
        _show(f"{language}, {took:.0f} ms a photograph", score_captions(written, references, language))
        _show(f"{language}, nearest", score_captions(nearest(train, val, memory), references, language))


def _show(name: str, scores: CaptionScores) -> None:
    bleu = " / ".join(f"{100 * value:.1f}" for value in scores.bleu)
    print(f"{name}: BLEU-1..4 {bleu}, CIDEr-D {100 * scores.cider:.1f}, ROUGE-L {100 * scores.rouge:.1f}")
