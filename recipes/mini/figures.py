"""The four families of figures by which a stage is judged, from vectors; all in per cent."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from indexer.training.validation import hit_rates
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from recipes.mini.vocabulary import Vocabulary

Vectors = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Vectors]
Figures = dict[str, float]

_SURE = 0.5  # of a photograph's class, by the classifier of the kept features


def one_a_class(logits: NDArray[np.float32]) -> dict[int, int]:
    """Of each class that a classifier is sure of, the row of the photograph that is most surely of it.

    Args:
        logits: (n, classes).
    """
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    sureness = (shifted / shifted.sum(1, keepdims=True)).max(1)
    said, best = logits.argmax(1), dict[int, int]()
    for row in np.argsort(-sureness, kind="stable").tolist():
        if sureness[row] > _SURE:
            best.setdefault(int(said[row]), row)
    return best


def average_precision(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> float:
    """The mean, over the right items, of the precision at their rank; ties in the order of the rows."""
    ranked = right[np.argsort(-scores, kind="stable")]
    ranks = np.flatnonzero(ranked) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).mean())


def names_figures(encode: Encode, names: Names, vectors: Vectors, shown: Sequence[Photograph]) -> Figures:
    """Names as queries over labelled photographs: mean average precision over names, by language."""
    figures = {}
    languages = {"en": [one.label for one in names.all], "zh": [one.chinese[0] for one in names.all]}
    right = np.array([[one.label in photograph.labels for photograph in shown] for one in names.all])
    for language, texts in languages.items():
        scores = encode(texts) @ vectors.T
        found = [average_precision(row, own) for row, own in zip(scores, right, strict=True) if own.any()]
        figures[f"names_map_{language}"] = 100 * float(np.mean(found))
    return figures


def caption_figures(
    encode: Encode, name: str, vectors: Vectors, captions: Sequence[Sequence[str]]
) -> Figures:
    """Hit rates of captions as queries and of photographs as queries, one photograph a list."""
    texts = [text for own in captions for text in own]
    owners = np.repeat(np.arange(len(captions)), [len(own) for own in captions])
    rates = hit_rates(vectors, encode(texts), list(enumerate(owners.tolist())))
    return {f"{name}_{kind}": value for kind, value in rates.items()}


def class_figures(
    encode: Encode, vectors: Vectors, classes: Sequence[int], vocabulary: Vocabulary
) -> Figures:
    """Class names as queries over one photograph a class: R@1 of labels in English and Chinese.

    Args:
        encode: texts to unit rows.
        vectors: (n, D) of the photographs.
        classes: of each photograph.
        vocabulary: has the names.
    """
    links, kinds = (
        [(row, row) for row in range(len(classes))],
        [vocabulary.classes[index] for index in classes],
    )
    queries = {"en": [one.label for one in kinds], "zh": [one.chinese[0] for one in kinds]}
    return {
        f"one_a_class_{language}_r1": hit_rates(vectors, encode(texts), links)["t2i_r1"]
        for language, texts in queries.items()
    }
