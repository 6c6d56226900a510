"""The four families of figures by which a stage is judged, from vectors; all in per cent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class OneAClass:
    """One photograph of each ImageNet class of which the kept features' classifier is sure.

    Attributes:
        rows: of the photographs, in the vectors of all sets in order.
        classes: their classes.
    """

    rows: list[int]
    classes: list[int]

    @classmethod
    def choose(cls, logits: NDArray[np.float32]) -> OneAClass:
        """Of each class the photograph that is most surely of it; logits are (n, 1000)."""
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        sureness = (shifted / shifted.sum(1, keepdims=True)).max(1)
        said, best = logits.argmax(1), dict[int, int]()
        for row in np.argsort(-sureness, kind="stable").tolist():
            if sureness[row] > _SURE:
                best.setdefault(int(said[row]), row)
        return cls(list(best.values()), list(best))


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


def class_figures(encode: Encode, vectors: Vectors, chosen: OneAClass, vocabulary: Vocabulary) -> Figures:
    """Class names as queries over one photograph a class: R@1 of labels in English and Chinese."""
    pool, links = vectors[chosen.rows], [(row, row) for row in range(len(chosen.rows))]
    kinds = [vocabulary.classes[index] for index in chosen.classes]
    queries = {"en": [one.label for one in kinds], "zh": [one.chinese[0] for one in kinds]}
    return {
        f"one_a_class_{language}_r1": hit_rates(pool, encode(texts), links)["t2i_r1"]
        for language, texts in queries.items()
    }
