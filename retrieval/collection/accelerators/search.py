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


PROPOSED_COST = 3
"""Scoring a proposed vector takes as long as scanning about so many in a row."""

ENOUGH = 2
"""A filtered search asks for the depth at which so many times k hits are likely to pass the filter."""


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
    vectors may be found, if they are so few that scanning them costs no more, or if the accelerator's proposals do not
    go deep enough for this query to hold the k best of them.

    Args:
        accelerator: covers the encodings up to its last one.
        store: all vectors of the kind.
        queries: (q, d) float32 unit rows.
        k: >= 1.
        masked: encoding ids that are not to be found, ascending.
        some: those of the vectors that may be found; None is all.
    """
    searched = store if some is None else some
    depth = k if some is None else math.ceil(ENOUGH * k * store.rows / max(1, some.rows))
    parameters = accelerator.parameters_for(depth)
    if parameters.rescored > EXACT_SHARE * store.rows or (
        some is not None and PROPOSED_COST * parameters.rescored > some.rows
    ):
        return search(searched, queries, k, masked)
    inverted = accelerator.inverted()
    last = accelerator.facts.last_encoding
    later = search(searched.since(last), queries, k, masked)
    found = []
    for query, beside in zip(np.ascontiguousarray(queries, np.float32), later, strict=True):
        ids = store.run(inverted.propose, query, parameters)
        ids = ids[(ids <= last) & store.contains(ids) & ~np.isin(ids, masked)]
        deep = True
        if some is not None:
            ids, deep = _passing(ids, store, some, query, k, depth)
        candidates = best_of(
            np.concatenate([ids, beside.ids[beside.ids > last]]),
            np.concatenate([exact_scores(store.vectors(ids), query), beside.scores[beside.ids > last]]),
            k,
        )
        if len(candidates.ids) < k or not deep:
            (candidates,) = search(searched, query[None], k, masked)
        found.append(candidates)
    return found


def _passing(
    ids: NDArray[np.int64],
    store: SegmentStore,
    some: SegmentStore,
    query: NDArray[np.float32],
    k: int,
    depth: int,
) -> tuple[NDArray[np.int64], bool]:
    """Give the proposals that may be found, and whether k of them are among the best ``depth`` of all proposals.

    The accelerator is tuned to propose nearly all of the ``depth`` best. Where a condition has to do with what is
    asked, fewer than k of those may be found: the k best lie deeper, and chance decides which are proposed there.
    """
    scores = store.vectors(ids) @ query
    best = ids[np.argsort(-scores, kind="stable")[:depth]]
    return ids[some.contains(ids)], int(some.contains(best).sum()) >= k
