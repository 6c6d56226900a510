"""CLIPScore and RefCLIPScore (Hessel et al., EMNLP 2021), with any encoder.

They compare vectors, so that figures of two encoders cannot be compared; papers use CLIP ViT-B/32. English captions
and references get the authors' prefix ``A photo depicts``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.embedding import embed_images, embed_texts
from retrieval.types import CorpusImage, Limits, OnProgress

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

WEIGHT = 2.5
PREFIX = "A photo depicts {}"


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Means over all pictures; ``clip_score`` lies in [0, 2.5]."""

    encoder: str
    clip_score: float
    ref_clip_score: float


def clip_scores(
    encoder: Encoder,
    images: Sequence[CorpusImage],
    captions: Sequence[str],
    references: Sequence[Sequence[str]],
    language: str,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    limits: Limits | None = None,
) -> ClipScores:
    """Score captions by their pictures, and by their pictures and references.

    Raises:
        EvaluationError: a picture cannot be decoded.
    """
    templates = (PREFIX,) if language.split("-")[0].lower() == "en" else ("{}",)
    rows, _, _ = embed_images(encoder, images, cache, on_progress, limits or Limits())
    texts = [*captions, *(text for some in references for text in some)]
    vectors, _ = embed_texts(encoder, texts, templates, cache, on_progress)
    starts = np.cumsum([len(captions), *(len(some) for some in references)])
    accepted = [vectors[start:end] for start, end in pairwise(starts)]
    means = clip_score_means(rows, vectors[: len(captions)], accepted)
    return ClipScores(encoder.identity.name, *means)


def clip_score_means(
    images: NDArray[np.float32], captions: NDArray[np.float32], references: Sequence[NDArray[np.float32]]
) -> tuple[float, float]:
    """Compute mean CLIPScore and mean RefCLIPScore of n >= 1 captions.

    Args:
        images: (n, d) float32 unit rows.
        captions: (n, d) float32 unit rows.
        references: of each, (m, d) float32 unit rows, m >= 1.
    """
    by_image = WEIGHT * np.maximum(np.sum(images * captions, axis=1, dtype=np.float64), 0.0)
    nearest = np.array(
        [max(0.0, float((some @ own).max())) for some, own in zip(references, captions, strict=True)]
    )
    total = by_image + nearest
    harmonic = 2 * by_image * nearest / np.where(total > 0, total, 1.0)
    return float(by_image.mean()), float(harmonic.mean())
