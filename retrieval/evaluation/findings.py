"""Find where a model fails: its worst misses, its hubs, and its hit rates by caption length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.score import exact_scores
from retrieval.evaluation.embedding import Embedded
from retrieval.evaluation.evaluation_set import Direction, EvaluationSet, Fold
from retrieval.evaluation.figures import DirectionFigures, fold_of
from retrieval.evaluation.metrics import first_rank
from retrieval.evaluation.ranks import top_items
from retrieval.evaluation.relevance import Relevance

HUB_DEPTH = 10
LENGTH_BINS = 5


@dataclass(frozen=True, slots=True)
class Scored:
    """An item by its row in the evaluation set, with its score."""

    row: int
    score: float


@dataclass(frozen=True, slots=True)
class Miss:
    """A query whose first relevant item is ranked low.

    Attributes:
        query: row of the query in the evaluation set.
        rank: of its best-placed answer, from 1.
        answer: that answer.
        ahead: the best-ranked items before it, best first.
    """

    query: int
    rank: int
    answer: Scored
    ahead: tuple[Scored, ...]


@dataclass(frozen=True, slots=True)
class Hub:
    """An item that is among the first :data:`HUB_DEPTH` hits of many queries.

    Attributes:
        row: of the item.
        times: number of queries that have it among their first hits.
        right: number of those queries to which the item is relevant.
    """

    row: int
    times: int
    right: int


@dataclass(frozen=True, slots=True, eq=False)
class Hubness:
    """How evenly the first :data:`HUB_DEPTH` hits of all queries are spread over the items.

    Attributes:
        hubs: the most frequent items, most frequent first.
        expected: ``times`` of every item if the hits were spread evenly.
        never: number of items that are among the first hits of no query.
        items: how many there are.
        skewness: of the distribution of times (Radovanovic et al., JMLR 2010); 0 is even, above 1 is marked.
    """

    hubs: tuple[Hub, ...]
    expected: float
    never: int
    items: int
    skewness: float


@dataclass(frozen=True, slots=True)
class LengthBin:
    """Queries whose caption has ``low`` to ``high`` words (characters, where words are not set apart).

    ``rates`` holds the hit rate at each cut.
    """

    low: int
    high: int
    queries: int
    rates: dict[int, float]


def worst_misses(
    evaluated: EvaluationSet, embedded: Embedded, measured: DirectionFigures, count: int = 8, ahead: int = 3
) -> list[Miss]:
    """Give the queries whose first relevant item has the lowest rank, worst first; ties by query row."""
    first = first_rank(measured.ranks)
    asked = np.flatnonzero(np.isfinite(first) & (first > 1))
    worst = set(
        measured.query_rows[asked[np.lexsort((measured.query_rows[asked], -first[asked]))[:count]]].tolist()
    )
    found: list[Miss] = []
    for fold in evaluated.parts():
        queries, items, relevance, query_vectors, item_vectors = _part(
            evaluated, embedded, measured.direction, fold
        )
        chosen = np.array([n for n, row in enumerate(queries.tolist()) if row in worst], dtype=np.int64)
        if not len(chosen):
            continue
        rows, scores = top_items(np.ascontiguousarray(query_vectors[chosen]), item_vectors, ahead)
        for n, best_rows, best_scores in zip(chosen.tolist(), rows.tolist(), scores.tolist(), strict=True):
            if len(relevance.answers(n)):
                before = [Scored(int(items[r]), s) for r, s in zip(best_rows, best_scores, strict=True)]
                found.append(
                    _miss(
                        int(queries[n]), query_vectors[n], items, item_vectors, relevance.answers(n), before
                    )
                )
    return sorted(found, key=lambda miss: (-miss.rank, miss.query))[:count]


def hubness(evaluated: EvaluationSet, embedded: Embedded, direction: Direction, count: int = 8) -> Hubness:
    """Count how often each item is among the first :data:`HUB_DEPTH` hits of a query."""
    task = evaluated.directions[direction]
    total = task.relevance.items
    times, right = np.zeros(total, np.int64), np.zeros(total, np.int64)
    ranked = set[int]()
    for fold in evaluated.parts():
        _, items, relevance, query_vectors, item_vectors = _part(evaluated, embedded, direction, fold)
        rows, _ = top_items(query_vectors, item_vectors, HUB_DEPTH)
        times += np.bincount(items[rows].ravel(), minlength=total)
        for query, best in enumerate(rows):
            hits = items[np.intersect1d(best, relevance.answers(query))]
            right[hits] += 1
        ranked.update(items.tolist())
    seen = times[sorted(ranked)].astype(np.float64)
    spread = float(seen.std())
    order = np.lexsort((np.arange(total), -times))[:count]
    return Hubness(
        hubs=tuple(Hub(row, int(times[row]), int(right[row])) for row in order.tolist()),
        expected=float(seen.mean()),
        never=int(np.count_nonzero(seen == 0)),
        items=len(seen),
        skewness=float(((seen - seen.mean()) ** 3).mean() / spread**3) if spread else 0.0,
    )


def by_length(evaluated: EvaluationSet, measured: DirectionFigures, cuts: Sequence[int]) -> list[LengthBin]:
    """Hit rates of text queries by the length of their caption, in up to five bins of about equal size."""
    lengths = np.array([caption_length(evaluated.texts[row].text) for row in measured.query_rows.tolist()])
    first = first_rank(measured.ranks)
    edges = np.unique(np.quantile(lengths, np.linspace(0, 1, LENGTH_BINS + 1), method="lower"))
    starts = edges[:-1] if len(edges) > 1 else edges
    bins = []
    for number, low in enumerate(starts.tolist()):
        last = number == len(starts) - 1
        inside = (lengths >= low) & (last | (lengths < (edges[-1] if last else starts[number + 1])))
        if inside.any():
            rates = {k: float((first[inside] <= k).mean()) for k in cuts}
            bins.append(LengthBin(low, int(lengths[inside].max()), int(inside.sum()), rates))
    return bins


def caption_length(text: str) -> int:
    """Words of a caption, or its letters and digits where it sets no words apart (Chinese, Japanese)."""
    letters = sum(letter.isalnum() for letter in text)
    east = sum("\u3040" <= letter <= "\u9fff" for letter in text)
    return letters if east * 2 > letters else len(text.split())


def _miss(
    query: int,
    vector: NDArray[np.float32],
    items: NDArray[np.int64],
    item_vectors: NDArray[np.float32],
    answers: NDArray[np.int64],
    best: list[Scored],
) -> Miss:
    scores = exact_scores(item_vectors, vector)
    own = scores[answers]
    answer = int(answers[np.lexsort((answers, -own))[0]])
    before = (scores > scores[answer]) | ((scores == scores[answer]) & (np.arange(len(scores)) < answer))
    rank = 1 + int(np.count_nonzero(before))
    return Miss(query, rank, Scored(int(items[answer]), float(scores[answer])), tuple(best[: rank - 1]))


def _part(
    evaluated: EvaluationSet, embedded: Embedded, direction: Direction, fold: Fold
) -> tuple[NDArray[np.int64], NDArray[np.int64], Relevance, NDArray[np.float32], NDArray[np.float32]]:
    """Give one fold: rows of its queries, rows of its gallery, their relevance, and the vectors of both."""
    texts_ask = direction == "text to image"
    query_vectors, item_vectors = (
        (embedded.texts, embedded.images) if texts_ask else (embedded.images, embedded.texts)
    )
    queries, items, relevance = fold_of(evaluated.directions[direction], direction, fold)
    return (
        queries,
        items,
        relevance,
        np.ascontiguousarray(query_vectors[queries]),
        np.ascontiguousarray(item_vectors[items]),
    )
