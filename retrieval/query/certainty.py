"""How likely the first hit of a query is right, by the calibration of the collection's model.

Known for words that find images by vectors: texts alone, their sums and differences, under any condition. Statistics
come from the scores of a sample of what may be found (:data:`~retrieval.collection.stores.segment_store.SAMPLE_ROWS`
vectors at even distances), the same whether the search scans or an accelerator answers; no score and no order changes.

Where words have a say in the order (hybrid), the probability is still that of the best hit by vectors, which is as well
calibrated there (benchmarks/search/automatic.md), and every hit is cut by its own score by vectors. One thing words do
know better: a hit whose texts hold all words of the query is doubtful at least, and never "probably nothing".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.calibration import Asked, Calibration
from retrieval.collection import View
from retrieval.collection.fulltext import LONGEST
from retrieval.collection.score import exact_scores
from retrieval.encoders.calibrations import calibration_of
from retrieval.errors import UsageError
from retrieval.query.parts import Query, TextPart
from retrieval.types import Hit, Hits, Kind, Request


def with_probability(
    view: View,
    query: Query,
    row: NDArray[np.float32],
    kind: Kind,
    request: Request,
    hits: list[Hit],
    best: float | None = None,
) -> Hits:
    """Give the hits of a query with the probability of the first, less those that ``request.only`` leaves out.

    Args:
        view: the generation that they are of.
        query: as it was asked.
        row: its vector.
        kind: of the hits.
        request: as it was asked; its mode is ``vector`` or ``hybrid``.
        hits: found by the vector, or by words too.
        best: highest score by vector, where words have a say in the hits.

    Raises:
        UsageError: ``request.only`` is set, and the probability of such hits is not known.
    """
    assert view.identity is not None, "a collection with hits has an encoder"
    of_words = kind == "image" and all(isinstance(part, TextPart) for part in query.parts)
    calibration = calibration_of(view.identity) if of_words else None
    if calibration is None:
        if request.only is not None:
            raise UsageError(_why_unknown(of_words, view.identity.name))
        return Hits(hits)
    if not hits:
        return Hits()
    asked = _asked(view, query, row, kind, request)
    if best is None and not (request.regions and view.has_regions(kind)):
        scores = [hit.score for hit in hits]
        return _judged(calibration, asked, request, hits, max(scores), lambda: scores, frozenset)
    if best is None or (request.regions and view.has_regions(kind)):
        best = _best_of_whole_images(view, row, kind, request)
    return _judged(
        calibration,
        asked,
        request,
        hits,
        best,
        lambda: _whole_scores(view, row, hits),
        lambda: _worded(view, query, hits),
    )


def _best_of_whole_images(view: View, row: NDArray[np.float32], kind: Kind, request: Request) -> float:
    whole = replace(request, k=1, offset=0, distinct=False, min_score=None, regions=False, after=None)
    [nearest] = view.ranked(row[None], kind, whole)
    return max(one.score for one in nearest)


def _judged(
    calibration: Calibration,
    asked: Asked,
    request: Request,
    hits: list[Hit],
    best: float,
    scores: Callable[[], Sequence[float]],
    worded: Callable[[], frozenset[int]],
) -> Hits:
    """Judge hits by the scores of whole images: a calibration knows no others; ``worded`` hold all the words."""
    found = Hits(hits)
    if not request.offset and request.after is None:  # else the first hit of all is not among these
        probability, bound = calibration.probability(asked, best), calibration.bound("doubtful")
        first = min(hits, key=lambda hit: hit.rank).id
        found.probability = bound if probability < bound and first in worded() else probability
        found.verdict = calibration.verdict(found.probability)
    if request.only is not None:
        least = calibration.least_score(asked, calibration.bound(request.only))
        kept = worded() if request.only == "doubtful" else frozenset()
        found[:] = [
            hit for hit, score in zip(hits, scores(), strict=True) if score >= least or hit.id in kept
        ]
    return found


def _worded(view: View, query: Query, hits: Sequence[Hit]) -> frozenset[int]:
    """Find the hits by words that hold all words of the query."""
    found = [hit.id for hit in hits if "words" in hit.ranks]
    words = " ".join(part.words for part in query.parts if isinstance(part, TextPart) and part.weight > 0)
    if not found or len(words) > LONGEST:
        return frozenset()
    from retrieval.expressions import Contains  # late: few queries come here

    return frozenset(np.intersect1d(found, view.where("image", Contains("words", words))).tolist())


def _whole_scores(view: View, row: NDArray[np.float32], hits: list[Hit]) -> list[float]:
    """Compute the scores of the whole images of hits."""
    vectors = view.item_vectors([hit.id for hit in hits])
    rows = [vectors[hit.id].vector for hit in hits]
    return [float(exact_scores(np.ascontiguousarray(one)[None], row)[0]) for one in rows if one is not None]


def _asked(view: View, query: Query, row: NDArray[np.float32], kind: Kind, request: Request) -> Asked:
    sample, count = view.sample(kind, request.where)
    scores = np.einsum("ij,j->i", sample, row)
    weights = [part.weight for part in query.parts]
    return Asked(
        row,
        scores[np.isfinite(scores)],
        max(1, count),
        is_sum=sum(weight > 0 for weight in weights) > 1,
        is_difference=any(weight < 0 for weight in weights),
    )


def _why_unknown(of_words: bool, model: str) -> str:
    if not of_words:
        return "how likely a hit is right is known for words that find pictures; leave out --only (only=)"
    return (
        f"the model {model} has no calibration that says how likely a hit is right; leave out --only (only=), or use "
        "mini"
    )
