"""The k best encodings through an accelerator: it may miss some, and changes neither score nor order of the others.

What the accelerator does not cover, because it was added later, is scanned exactly beside it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.opened import Accelerator
from retrieval.collection.score import exact_scores
from retrieval.collection.search import Candidates, best_of, search
from retrieval.collection.stores import SegmentStore

EXACT_SHARE = 0.25
"""Of the vectors: a search that would score more of them exactly scans them all instead."""


ENOUGH = 1.25
"""A filtered search asks for the depth at which so many times k hits are likely to pass the filter."""

FIRST_SHARE = 1 / 8
"""Of the proposals: a filtered search whose k-th hit stands behind these does not rely on them."""

PASSING_COST, PROPOSAL_COST = 2.0, 0.1
"""Time for a proposal that passes a filter, and for each other, beside that of scanning one vector exactly."""


def search_accelerated(
    accelerator: Accelerator,
    store: SegmentStore,
    queries: NDArray[np.float32],
    k: int,
    masked: NDArray[np.int64],
    some: SegmentStore | None = None,
) -> list[Candidates]:
    """Find for each query nearly all encodings, masked ones left out, that score at least as its k-th best one does.

    Where fewer than k are found and there are k, the exact search answers. It also answers where only ``some`` of the
    vectors may be found, if they are so few that scanning them costs no more, or if too few of the accelerator's best
    proposals for this query are among them: where a condition has to do with what is asked, the k best lie deep, and it
    is a matter of chance which are proposed there.

    Args:
        accelerator: covers the encodings up to its last one.
        store: all vectors of the kind.
        queries: (q, d) float32 unit rows.
        k: >= 1.
        masked: encoding ids that are not to be found, ascending.
        some: those of the vectors that may be found; None is all.
    """
    if some is None:
        parameters, searched = accelerator.parameters_for(k), store
    else:
        share = max(1, some.rows) / store.rows
        parameters, searched = accelerator.parameters_for(math.ceil(ENOUGH * k / share)), some
        if parameters.rescored * (PASSING_COST * share + PROPOSAL_COST) > some.rows:
            return search(some, queries, k, masked)
    if parameters.rescored > EXACT_SHARE * store.rows:
        return search(searched, queries, k, masked)
    inverted = accelerator.inverted()
    last = accelerator.facts.last_encoding
    later = search(searched.since(last), queries, k, masked)
    found = []
    for query, beside in zip(np.ascontiguousarray(queries, np.float32), later, strict=True):
        ids = inverted.propose(query, parameters)
        passing = np.flatnonzero((ids <= last) & (True if some is None else some.contains(ids)))
        is_deep = some is None or (len(passing) >= k and passing[k - 1] < FIRST_SHARE * len(ids))
        ids = ids[passing]
        ids = ids[~np.isin(ids, masked)]
        vectors, held = store.held_vectors(ids)
        candidates = best_of(
            np.concatenate([ids[held], beside.ids[beside.ids > last]]),
            np.concatenate([exact_scores(vectors, query), beside.scores[beside.ids > last]]),
            k,
        )
        if len(candidates.ids) < k or not is_deep:
            (candidates,) = search(searched, query[None], k, masked)
        found.append(candidates)
    return found
