"""Fit a calibration: what a right hit scores, from training photographs; the logistic function, from kept ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from recipes.mini.calibration.quantiles import quantile_regression
from recipes.mini.calibration.questions import LEAST_IMAGES, Answer, Encode, ask, families
from recipes.mini.calibration.sense import fit_sense
from recipes.mini.names import Names
from recipes.mini.photographs import Photograph
from retrieval.calibration import (
    CURVED,
    TERMS,
    Calibration,
    statistics,
    terms,
)

TRAINED = ("flickr_train", "coco_train", "classes")
"""Sets that say what right hits score; of ``classes``, the labels that training saw."""

_RIDGE = 3.0
_SHRINKAGE = 1e-3
_NAME_WEIGHT = 5  # of a name beside a caption
_BEST = 20  # photographs of a name: small things are labelled that nobody would find
_MISSED = 0.025  # of answerable queries called nothing; 0.05 of each kind is promised
_BOUNDED_BY = ("sum", "difference", "chinese", "sentence", "chinese sentence")
_STEPS = 40
Rows = NDArray[np.float32]


def fit(
    photographs: Mapping[str, Sequence[Photograph]], images: Mapping[str, Rows], encode: Encode, weights: str
) -> Calibration:
    """Fit a calibration of the model with these weights, on half 0.

    Args:
        photographs: sets by name.
        images: their vectors.
        encode: texts to unit rows.
        weights: sha256, hex.
    """
    return fit_on_half(_linear_parts(photographs, images, encode, weights), photographs, images, encode, 0)


def fit_on_half(
    start: Calibration,
    photographs: Mapping[str, Sequence[Photograph]],
    images: Mapping[str, Rows],
    encode: Encode,
    half: int,
) -> Calibration:
    """Fit what a half decides: the sense of queries, the logistic function and the bound of nothing.

    Args:
        start: says what right hits score and what foreign images do.
        photographs: those of :data:`~recipes.mini.calibration.questions.SETS`, and ``flickr_train``.
        images: vectors of those of the sets.
        encode: texts to unit rows.
        half: 0 or 1; the other is there to judge.
    """
    labels = {label for one in photographs["classes"] for label in one.labels}
    sense, sense_bias = fit_sense(photographs["flickr_train"], labels, encode, half)
    start = replace(start, sense=sense, sense_bias=sense_bias)
    rng = np.random.default_rng(half)
    answers = [one for family in families(photographs, images, half) for one in ask(family, encode, rng)]
    largest = float(max(one.asked.count for one in answers))
    start = replace(start, counts=(float(LEAST_IMAGES), largest))
    found = np.array([statistics(start, one.asked, one.highest) for one in answers])
    right = np.array([one.right for one in answers])
    curved = found[:, 1 : 1 + len(CURVED)]
    centres, spreads = curved.mean(0).tolist(), curved.std(0).tolist()
    values = np.array([terms(one, centres, spreads) for one in found])
    able = np.array([one.answerable for one in answers])
    weights = family_weights(answers)
    coefficients, there = (logistic(values, true, weights) for true in (right, able))
    nothing = _less_bound(there, values[able], family_weights([one for one in answers if one.answerable]))
    return replace(
        start,
        centres=tuple(centres),
        spreads=tuple(spreads),
        coefficients=tuple(coefficients[:-1].tolist()),
        intercept=float(coefficients[-1]),
        nothing=tuple(nothing[:-1].tolist()),
        nothing_intercept=float(nothing[-1]),
    )


def _linear_parts(
    photographs: Mapping[str, Sequence[Photograph]],
    images: Mapping[str, Rows],
    encode: Encode,
    weights: str,
) -> Calibration:
    """Fit what right hits score and what foreign images do, on training photographs and texts alone."""
    rows, scored = _right_scores(photographs, images, encode)
    weighed = _solve(np.c_[rows, np.ones(len(rows))], scored)
    bank = np.concatenate([images["flickr_train"], images["coco_train"], images["classes"][::2]])
    return Calibration(
        weights=weights,
        expected=weighed[:-1].astype(np.float32),
        expected_bias=float(weighed[-1]),
        background=bank.mean(0),
        deviation=float(np.median((rows[::7] @ bank[::16].T).std(1))),
        sense=np.zeros(bank.shape[1], np.float32),
        sense_bias=0.0,
        counts=(1.0, 1.0),
        centres=(0.0,) * len(CURVED),
        spreads=(1.0,) * len(CURVED),
        coefficients=(1.0,) * len(TERMS),
        intercept=0.0,
        nothing=(1.0,) * len(TERMS),
        nothing_intercept=0.0,
    )


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


def _less_bound(
    there: NDArray[np.float64], answerable: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Subtract the log odds that all but a share of the answerable queries reach, of each wording and composition.

    Args:
        there: coefficients of the :data:`~retrieval.calibration.TERMS`, and the intercept, of the log odds that
            something is there.
        answerable: terms of the answerable queries, (n, terms).
        weights: of these.
    """
    log_odds = answerable @ there[:-1] + there[-1]
    known = [*map(TERMS.index, _BOUNDED_BY), len(TERMS)]
    with_constant = np.c_[answerable, np.ones(len(answerable))]
    found = there.copy()
    found[known] -= quantile_regression(with_constant[:, known], log_odds, weights, _MISSED)
    return found


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
