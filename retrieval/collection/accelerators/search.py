"""The k best encodings through an accelerator: it may miss some, and changes neither score nor order of the others.

What the accelerator does not cover, because it was added later, is scanned exactly beside it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.opened import Accelerator
from retrieval.collection.score import exact_scores
from retrieval.collection.search import Candidates, best_of, search
from retrieval.collection.stores import SegmentStore

EXACT_SHARE = 0.25
"""Of the vectors: a search that would score more of them exactly scans them all instead."""


def search_accelerated(
    accelerator: Accelerator,
    store: SegmentStore,
    queries: NDArray[np.float32],
    k: int,
    masked: NDArray[np.int64],
) -> list[Candidates]:
    """Find for each query nearly all encodings, masked ones left out, that score at least as its k-th best one does.

    Where fewer than k are found and there are k, the exact search answers.

    Args:
        accelerator: covers the encodings up to its last one.
        store: all vectors of the kind.
        queries: (q, d) float32 unit rows.
        k: >= 1.
        masked: encoding ids that are not to be found, ascending.
    """
    parameters = accelerator.parameters_for(k)
    if parameters.rescored > EXACT_SHARE * store.rows:
        return search(store, queries, k, masked)
    inverted = accelerator.inverted()
    last = accelerator.facts.last_encoding
    later = search(store.since(last), queries, k, masked)
    found = []
    for query, beside in zip(np.ascontiguousarray(queries, np.float32), later, strict=True):
        ids = store.run(inverted.propose, query, parameters)
        ids = ids[(ids <= last) & store.contains(ids) & ~np.isin(ids, masked)]
        candidates = best_of(
            np.concatenate([ids, beside.ids[beside.ids > last]]),
            np.concatenate([exact_scores(store.vectors(ids), query), beside.scores[beside.ids > last]]),
            k,
        )
        if len(candidates.ids) < k:
            (candidates,) = search(store, query[None], k, masked)
        found.append(candidates)
    return found
