"""How likely the first hit of a query is right, by the calibration of the collection's model.

Known for words that find images by vectors: texts alone, their sums and differences, under any condition. Statistics
come from the scores of a sample of what may be found (:data:`~retrieval.collection.stores.protocols.SAMPLE_ROWS`
vectors at even distances), the same whether the search scans or an accelerator answers; no score and no order changes.

Where words have a say in the order (hybrid), it is about the first hit that is shown. Where a caption of that hit holds
all words of the query, somebody has written that this is what the image shows, and its probability by vector counts
with that (:func:`~retrieval.calibration.with_caption`). Else it is the probability of the best hit by vectors, which is
as well calibrated there (benchmarks/search/automatic.md, captioned_names.md). Other texts of the first hit that hold
all words, like its name, make it doubtful at least, and never "probably nothing".
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.calibration import Asked, Judge, with_caption
from retrieval.collection import View
from retrieval.collection.fulltext import LONGEST, texts_hold_all
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
    judge = calibration.judge(_asked(view, query, row, kind, request))
    if request.regions and view.has_regions(kind):
        whole = replace(request, k=1, offset=0, distinct=False, min_score=None, regions=False, after=None)
        [nearest] = view.ranked(row[None], kind, whole)
        scores, best = _whole_scores(view, row, hits), max(one.score for one in nearest)
    else:
        scores = [hit.score if hit.cosine is None else hit.cosine for hit in hits]
        best = max(scores) if best is None else best
    words = " ".join(part.words for part in query.parts if isinstance(part, TextPart) and part.weight > 0)
    return _judged(view, judge, words if len(words) <= LONGEST else "", request, hits, scores, best)


def _judged(
    view: View,
    judge: Judge,
    words: str,
    request: Request,
    hits: list[Hit],
    scores: list[float],
    best: float,
) -> Hits:
    """Judge hits by the scores of whole images: a calibration knows no others."""
    found = Hits(hits)
    if not request.offset and request.after is None:  # else the first hit of all is not among these
        found.probability = _of_first(view, judge, words, hits, scores, best)
        found.verdict = judge.verdict(found.probability)
    if request.only is not None:
        least = judge.least_score(judge.bound(request.only))
        found[:] = [hit for hit, score in zip(hits, scores, strict=True) if score >= least]
    return found


def _of_first(
    view: View,
    judge: Judge,
    words: str,
    hits: list[Hit],
    scores: list[float],
    best: float,
) -> float:
    """Estimate how likely the first hit is right."""
    first, score = min(zip(hits, scores, strict=True), key=lambda pair: pair[0].rank)
    if words and "words" in first.ranks:
        bound = judge.nothing_below
        if texts_hold_all([caption.text for caption in first.captions], words):
            return max(with_caption(judge.probability(score)), bound)
        probability = judge.probability(best)
        return bound if probability < bound and view.holds_all_words([first.id], words) else probability
    return judge.probability(best)


def _whole_scores(view: View, row: NDArray[np.float32], hits: list[Hit]) -> list[float]:
    """Compute the scores of the whole images of hits."""
    vectors = view.item_vectors([hit.id for hit in hits])
    rows = [vectors[hit.id].vector for hit in hits]
    return [float(exact_scores(np.ascontiguousarray(one)[None], row)[0]) for one in rows if one is not None]


def _asked(view: View, query: Query, row: NDArray[np.float32], kind: Kind, request: Request) -> Asked:
    sample, count = view.sample(kind, request.where)
    scores = np.einsum("ij,j->i", sample, row)
    weights = [part.weight for part in query.parts]
    wanted = tuple(part.words for part in query.parts if isinstance(part, TextPart) and part.weight > 0)
    return Asked(
        row,
        scores[np.isfinite(scores)],
        max(1, count),
        is_sum=sum(weight > 0 for weight in weights) > 1,
        is_difference=any(weight < 0 for weight in weights),
        texts=wanted,
    )


def _why_unknown(of_words: bool, model: str) -> str:
    if not of_words:
        return "how likely a hit is right is known for words that find pictures; leave out --only (only=)"
    return (
        f"the model {model} has no calibration that says how likely a hit is right; leave out --only (only=), or use "
        "mini"
    )
