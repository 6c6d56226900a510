"""Fit what tells queries that make sense from nonsense: a direction of a model's vectors.

It is a ridge regression of 1 for names of things and captions, -1 for nonsense (a linear discriminant: Fisher 1936). No
photograph is looked at. Names are those that the model was trained with, and everyday ones; none is a label that was
held out of training, and the nonsense is made of the words of one half.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from recipes.mini.calibration.nonsense import much_nonsense
from recipes.mini.calibration.questions import Encode
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from recipes.mini.vocabulary import Vocabulary
from retrieval.analysis.vocabulary import find_vocabulary

_RIDGE = 30.0
_OF_NAMES = 0.6  # of all that makes sense, the rest being captions
_EVERY = 3  # photographs whose captions count

Row = NDArray[np.float32]


def fit_sense(
    captioned: Sequence[Photograph], labels: Collection[str], encode: Encode, half: int
) -> tuple[Row, float]:
    """Fit the direction, (d,), and the constant that is added to a query's inner product with it.

    Args:
        captioned: photographs of training with captions.
        labels: of all class photographs.
        encode: texts to unit rows.
        half: whose nonsense is looked at, 0 or 1.
    """
    captions = [text for one in captioned[::_EVERY] for text in (*one.english[:1], *one.chinese[:1])]
    kinds = (_names(labels), captions, much_nonsense(half))
    shares = (_OF_NAMES / 2, (1 - _OF_NAMES) / 2, 0.5)
    rows = np.concatenate([encode(texts) for texts in kinds])
    total = len(rows)
    weights = np.concatenate(
        [np.full(len(texts), share * total / len(texts)) for texts, share in zip(kinds, shares, strict=True)]
    )
    wanted = np.r_[np.ones(total - len(kinds[2])), -np.ones(len(kinds[2]))]
    with_constant = np.c_[rows, np.ones(total)]
    squares = with_constant.T @ (with_constant * weights[:, None]) + _RIDGE * np.eye(with_constant.shape[1])
    found = np.linalg.solve(squares, with_constant.T @ (weights * wanted))
    return found[:-1].astype(np.float32), float(found[-1])


def _names(labels: Collection[str]) -> list[str]:
    """Give names of things in both languages, each once."""
    seen, held = sorted(labels)[::2], {label.lower() for label in sorted(labels)[1::2]}
    found = [text for label in seen for text in (label, f"a photo of a {label}")]
    for one in Vocabulary.of_imagenet().classes:
        found += [one.label, *one.chinese[:1], *one.broader_english[:1]]
    for name in Names.read().all:
        found += [name.label, f"a {name.label}", *name.english, *name.chinese]
    for everyday in find_vocabulary(None).names:
        found += everyday.texts
    return [text for text in dict.fromkeys(found) if text.lower() not in held]
