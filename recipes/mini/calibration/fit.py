"""Fit a calibration: what a right hit scores, from training photographs; the logistic function, from kept ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recipes.mini.calibration.questions import LEAST_IMAGES, Answer, Encode, ask, families
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from retrieval.calibration import CURVED, TERMS, Calibration, statistics, terms

TRAINED = ("flickr_train", "coco_train", "classes")
"""Sets that say what right hits score; of ``classes``, the labels that training saw."""

_RIDGE = 3.0
_SHRINKAGE = 1e-4
_NAME_WEIGHT = 5  # of a name beside a caption
_BEST = 20  # photographs of a name: small things are labelled that nobody would find
_MISSED = 0.04  # of answerable queries called nothing; 0.05 is promised
_STEPS = 40
Rows = NDArray[np.float32]


def fit(
    photographs: Mapping[str, Sequence[Photograph]], images: Mapping[str, Rows], encode: Encode, weights: str
) -> Calibration:
    """Fit a calibration of the model with these weights.

    Args:
        photographs: sets by name.
        images: their vectors.
        encode: texts to unit rows.
        weights: sha256, hex.
    """
    rows, scored = _right_scores(photographs, images, encode)
    weighed = _solve(np.c_[rows, np.ones(len(rows))], scored)
    bank = np.concatenate([images["flickr_train"], images["coco_train"], images["classes"][::2]])
    background = bank.mean(0)
    spread = float(np.median((rows[::7] @ bank[::16].T).std(1)))
    start = Calibration(
        weights,
        weighed[:-1].astype(np.float32),
        float(weighed[-1]),
        background,
        spread,
        (float(LEAST_IMAGES), 10_000.0),
        (0.0,) * len(CURVED),
        (1.0,) * len(CURVED),
        (1.0,) * len(TERMS),
        0.0,
        0.1,
    )
    rng = np.random.default_rng(0)
    answers = [one for family in families(photographs, images, 0) for one in ask(family, encode, rng)]
    found = np.array([statistics(start, one.asked, one.highest) for one in answers])
    right = np.array([one.right for one in answers])
    curved = found[:, 1 : 1 + len(CURVED)]
    centres, spreads = curved.mean(0).tolist(), curved.std(0).tolist()
    values = np.array([terms(one, centres, spreads) for one in found])
    coefficients = logistic(values, right, family_weights(answers))
    largest = float(max(one.asked.count for one in answers))
    fitted = replace(
        start,
        counts=(float(LEAST_IMAGES), largest),
        centres=tuple(centres),
        spreads=tuple(spreads),
        coefficients=tuple(coefficients[:-1].tolist()),
        intercept=float(coefficients[-1]),
    )
    return replace(fitted, nothing_below=_bound(fitted, answers))


def family_weights(answers: Sequence[Answer]) -> NDArray[np.float64]:
    """Weigh answers so that each family, and each language in it, counts the same."""
    kinds = [(one.family, one.language) for one in answers]
    count = {kind: kinds.count(kind) for kind in set(kinds)}
    shares = np.array([1 / count[kind] for kind in kinds])
    weights: NDArray[np.float64] = shares * len(answers) / shares.sum()
    return weights


def logistic(
    values: NDArray[np.float64], right: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Fit a logistic regression by Newton's method; coefficients of the values, and the intercept last."""
    mean, deviation = values.mean(0), values.std(0)
    scaled = np.c_[(values - mean) / deviation, np.ones(len(values))]
    shrinkage = _SHRINKAGE * len(values) * np.r_[np.ones(values.shape[1]), 0]
    found: NDArray[np.float64] = np.zeros(scaled.shape[1])
    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-scaled @ found))
        gradient = scaled.T @ (weights * (p - right)) + shrinkage * found
        curvature = (scaled * (weights * p * (1 - p))[:, None]).T @ scaled + np.diag(shrinkage)
        found = np.subtract(found, np.linalg.solve(curvature, gradient), dtype=np.float64)
    coefficients = found[:-1] / deviation
    return np.append(coefficients, found[-1] - coefficients @ mean)


def _bound(calibration: Calibration, answers: Sequence[Answer]) -> float:
    """Give the probability that all but a share of the answerable queries reach (split conformal prediction)."""
    able = [calibration.probability(one.asked, one.highest) for one in answers if one.answerable]
    return float(np.sort(able)[max(int(_MISSED * (len(able) + 1)) - 1, 0)])


def _right_scores(
    photographs: Mapping[str, Sequence[Photograph]], images: Mapping[str, Rows], encode: Encode
) -> tuple[Rows, NDArray[np.float64]]:
    """Give queries' rows and what right hits of them score: captions of training, names of things and of classes."""
    texts, scores, counts = list[str](), list[Rows](), list[int]()
    for row, one in enumerate(photographs["flickr_train"]):
        for text in (*one.english[:1], *one.chinese[:1]):
            texts.append(text)
            scores.append(images["flickr_train"][row : row + 1])
            counts.append(1)
    for name, own in _named(photographs, images):
        texts.append(name)
        scores.append(own)
        counts.append(_NAME_WEIGHT)
    rows = encode(texts)
    right = [float(np.median(np.sort(own @ row)[-_BEST:])) for row, own in zip(rows, scores, strict=True)]
    return np.repeat(rows, counts, 0), np.repeat(np.array(right), counts)


def _named(
    photographs: Mapping[str, Sequence[Photograph]], images: Mapping[str, Rows]
) -> list[tuple[str, Rows]]:
    found = []
    for name in Names.read().all:
        shown = [name.label in one.labels for one in photographs["coco_train"]]
        for text in (
            name.label, f"a {name.label}", f"a photo of a {name.label}", *name.english, *name.chinese,
            f"{name.chinese[0]}的照片",
        ):  # fmt: skip
            found.append((text, images["coco_train"][shown]))
    labels = [one.labels[0] for one in photographs["classes"]]
    for label in sorted(set(labels))[::2]:
        own = images["classes"][[one == label for one in labels]]
        found += [(text, own) for text in (label, f"a {label}", f"a photo of a {label}")]
    return found


def _solve(rows: NDArray[np.float64], scored: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve a ridge regression; the last column is the constant."""
    squares = rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
    return np.asarray(np.linalg.solve(squares, rows.T @ scored), np.float64)
