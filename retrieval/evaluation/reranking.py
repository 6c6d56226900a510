"""What a second look at the first items of each ranked list gains: hit rates before, after, and their difference."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.errors import ImageError, UsageError
from retrieval.evaluation.embedding import undecodable
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet
from retrieval.evaluation.figures import DirectionFigures, evaluate_lists
from retrieval.evaluation.intervals import Interval, bootstrap_intervals
from retrieval.evaluation.metrics import hits_at_k
from retrieval.evaluation.ranks import top_items
from retrieval.evaluation.run import Evaluation, ModelFigures
from retrieval.rerankers.base import DEPTH, check_depth
from retrieval.rerankers.registry import load_reranker
from retrieval.types import CorpusImage, Limits, OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from retrieval.decoding.prepare import PreparedImage
    from retrieval.rerankers.base import Reranker

DECODED_AHEAD = 8
Lists = Mapping[Direction, list[NDArray[np.int64]]]
Scores = Mapping[tuple[int, int], float]
"""Scores by image row and text row."""


@dataclass(frozen=True, slots=True)
class Gain:
    """Hit rates at K of the ranked lists as they were, and after the second look; shares of the queries.

    ``interval`` is of the difference, by the bootstrap over images (:mod:`retrieval.evaluation.intervals`).
    """

    k: int
    before: float
    after: float
    interval: Interval

    @property
    def difference(self) -> float:
        """What was gained."""
        return self.after - self.before


@dataclass(frozen=True, slots=True)
class RerankedFigures:
    """Gains by direction, of lists of one model that another one looked at.

    Attributes:
        model: that ranked first.
        reranker: that looked at the first ``depth`` items of each list.
        depth: how many.
        gains: for each K not above the depth.
    """

    model: str
    reranker: str
    depth: int
    gains: Mapping[Direction, tuple[Gain, ...]]


def evaluate_reranking(
    evaluation: Evaluation,
    reranker: Reranker | str | Path,
    *,
    depth: int = DEPTH,
    on_progress: OnProgress | None = None,
) -> list[RerankedFigures]:
    """Look at the first items of each query's list again, of each model of an evaluation, in both directions.

    Every pair of an image and a text is scored once, one image after the other.

    Args:
        evaluation: with the vectors that rank first.
        reranker: a model, or a name or folder to load one from.
        depth: items of each list to look at, 1 to 1,000.
        on_progress: called with the progress.

    Raises:
        EvaluationError: an image cannot be decoded.
        UsageError: the evaluation has folds, a text is in a language that the model does not read, or no K is within
            the depth.
        ModelError: the model is not on this machine, or cannot be used.
        MissingExtra: the extra ``models`` is not installed.
    """
    check_depth(depth)
    evaluated, cuts = evaluation.evaluated, [k for k in evaluation.cuts if k <= depth]
    if evaluated.folds:
        raise UsageError("lists of folds are not re-ranked; leave --folds or --rerank out")
    if not cuts:
        least = min(evaluation.cuts)
        raise UsageError(f"a second look at {depth} items changes no hit rate at {least}; give more --depth")
    model = load_reranker(reranker) if isinstance(reranker, str | Path) else reranker
    for text in evaluated.texts:
        model.check(text.text)
    return [
        _reranked(evaluation, figures, model, depth, cuts, on_progress or ignore_progress)
        for figures in evaluation.models
    ]


def _reranked(
    evaluation: Evaluation,
    figures: ModelFigures,
    reranker: Reranker,
    depth: int,
    cuts: Sequence[int],
    tell: OnProgress,
) -> RerankedFigures:
    evaluated = evaluation.evaluated
    first = _first_lists(evaluated, figures, depth)
    scores = _score_pairs(evaluated, _pairs(evaluated, first), reranker, evaluation.options.limits, tell)
    second = {
        direction: _sorted_anew(evaluated, direction, found, scores) for direction, found in first.items()
    }
    seed = evaluation.options.seed
    before, after = (
        evaluate_lists(evaluated, lists, depth, cuts, seed).directions for lists in (first, second)
    )
    gains = {
        direction: tuple(_gains(before[direction], after[direction], cuts, seed)) for direction in before
    }
    return RerankedFigures(figures.model, reranker.name, depth, gains)


def _first_lists(evaluated: EvaluationSet, figures: ModelFigures, depth: int) -> Lists:
    images, texts = figures.embedded.images, figures.embedded.texts
    lists: dict[Direction, list[NDArray[np.int64]]] = {}
    for direction, task in evaluated.directions.items():
        queries, items = (texts, images) if direction == "text to image" else (images, texts)
        rows, _ = top_items(np.ascontiguousarray(queries[task.query_rows]), items, depth)
        lists[direction] = list(rows)
    return lists


def _pairs(evaluated: EvaluationSet, lists: Lists) -> dict[int, list[int]]:
    """Give the text rows that each image row is to be compared with, both ascending."""
    found: dict[int, set[int]] = {}
    for direction, ranked in lists.items():
        for query, rows in zip(evaluated.directions[direction].query_rows.tolist(), ranked, strict=True):
            for row in rows.tolist():
                image, text = (row, query) if direction == "text to image" else (query, row)
                found.setdefault(image, set()).add(text)
    return {image: sorted(found[image]) for image in sorted(found)}


def _score_pairs(
    evaluated: EvaluationSet,
    pairs: Mapping[int, Sequence[int]],
    reranker: Reranker,
    limits: Limits,
    tell: OnProgress,
) -> Scores:
    scores: dict[tuple[int, int], float] = {}
    with DecodePool(limits) as pool:

        def read(image: int) -> PreparedImage:
            location = evaluated.images[image].location
            return pool.prepare(location, reranker.preparation)

        prepared = map_in_order(read, pairs, pool.workers, DECODED_AHEAD, threading.Event())
        for done, (image, outcome) in enumerate(prepared, start=1):
            array = _array(evaluated.images[image], outcome)
            found = reranker.score(array, [evaluated.texts[text].text for text in pairs[image]])
            scores |= {(image, text): score for text, score in zip(pairs[image], found, strict=True)}
            tell(Progress("looking again", done, len(pairs)))
    return scores


def _array(image: CorpusImage, outcome: PreparedImage | ImageError) -> NDArray[np.uint8]:
    if isinstance(outcome, ImageError):
        raise undecodable(image, outcome) from outcome
    assert outcome.array is not None, "every image is wanted"
    return outcome.array


def _sorted_anew(
    evaluated: EvaluationSet, direction: Direction, lists: Sequence[NDArray[np.int64]], scores: Scores
) -> list[NDArray[np.int64]]:
    """Sort each list by score descending; equal scores go by row, as an item's id is its row."""
    queries = evaluated.directions[direction].query_rows.tolist()
    is_of_images = direction == "text to image"

    def ranked(query: int, rows: NDArray[np.int64]) -> Iterator[tuple[float, int]]:
        for row in rows.tolist():
            yield -scores[(row, query) if is_of_images else (query, row)], row

    return [
        np.array([row for _, row in sorted(ranked(query, rows))], dtype=np.int64)
        for query, rows in zip(queries, lists, strict=True)
    ]


def _gains(
    before: DirectionFigures, after: DirectionFigures, cuts: Sequence[int], seed: int
) -> Iterator[Gain]:
    hits = [
        np.stack([hits_at_k(figures.ranks, k) for k in cuts], axis=1).astype(np.float64)
        for figures in (before, after)
    ]
    intervals = bootstrap_intervals(hits[1] - hits[0], before.group, seed=seed)
    for column, (k, interval) in enumerate(zip(cuts, intervals, strict=True)):
        yield Gain(k, float(hits[0][:, column].mean()), float(hits[1][:, column].mean()), interval)
