"""Evaluation sets and evaluations built in code, without files and without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.evaluation.comparison import compare_models
from retrieval.evaluation.embedding import Embedded
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.figures import evaluate_vectors
from retrieval.evaluation.run import Evaluation, EvaluationOptions, ModelFigures
from retrieval.identity import Identity
from retrieval.types import CorpusImage, CorpusText, InlineBytes

IDENTITY = Identity("fake", "fake", "ab" * 32, "", 8, '{"size": 8, "resize": "none"}')


def unit(rows: Sequence[Sequence[float]] | NDArray[np.floating]) -> NDArray[np.float32]:
    exact = np.asarray(rows, np.float64)
    found: NDArray[np.float32] = (exact / np.linalg.norm(exact, axis=1, keepdims=True)).astype(np.float32)
    return found


def random_units(count: int, dimension: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((count, dimension)))


def set_of(
    links: Sequence[tuple[int, int]],
    images: int,
    texts: int,
    words: Sequence[str] | None = None,
    data: bytes = b"",
) -> EvaluationSet:
    """Links are (image, text)."""
    return assemble(
        "toy",
        [CorpusImage(f"test:photos/p{row}.jpg", InlineBytes(data)) for row in range(images)],
        [CorpusText(f"test:photos/t{row}", words[row] if words else f"text {row}") for row in range(texts)],
        links,
    )


def five_each(
    images: int, extra: int = 0, words: Sequence[str] | None = None, data: bytes = b""
) -> EvaluationSet:
    """Five texts an image, and one more for the first ``extra`` images, listed last."""
    owners = [*(row // 5 for row in range(5 * images)), *range(extra)]
    return set_of([(owner, row) for row, owner in enumerate(owners)], images, len(owners), words, data)


def evaluation_of(
    evaluated: EvaluationSet,
    models: Mapping[str, tuple[NDArray[np.float32], NDArray[np.float32]]],
    cuts: tuple[int, ...] = (1, 5),
) -> Evaluation:
    """Models by name, each as its (image vectors, text vectors)."""
    found = {
        name: evaluate_vectors(evaluated, images, texts, cuts) for name, (images, texts) in models.items()
    }
    return Evaluation(
        evaluated,
        EvaluationOptions(cuts),
        cuts,
        tuple(
            ModelFigures(name, IDENTITY, Embedded(*models[name], "cd" * 32, False, 1.5), figures, None, ())
            for name, figures in found.items()
        ),
        tuple(compare_models(found)),
    )
