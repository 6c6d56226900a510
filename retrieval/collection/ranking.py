"""From candidates to ranked items: contents become items before the cut; a video may count once, by its best moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from retrieval.collection.search import Candidates
from retrieval.types import Request

DEEPER = 4  # times the candidates, where moments of one video took the places of others

T = TypeVar("T")


def rank_items(
    candidates: Candidates,
    content_of: Mapping[int, int],
    items_of: Mapping[int, Sequence[int]],
    request: Request,
    video_of_item: Mapping[int, str] | None = None,
) -> list[tuple[int, float]]:
    """Order item ids with their scores, best first: contents become items before the cut, so that k counts items.

    Args:
        candidates: encodings with their scores.
        content_of: the content of each encoding.
        items_of: the items of each content that are to be found.
        request: how many, from where on, and from which score on.
        video_of_item: the video of each item that is a frame; of each video the best frame is kept alone.
    """
    scored: dict[int, float] = {}
    for encoding, score in zip(candidates.ids.tolist(), candidates.scores.tolist(), strict=True):
        content = content_of[encoding]
        # several parts of one content reduce by maximum
        scored[content] = max(score, scored.get(content, -np.inf))
    pairs = [(item, score) for content, score in scored.items() for item in items_of[content]]
    if request.min_score is not None:
        pairs = [pair for pair in pairs if pair[1] >= request.min_score]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    if video_of_item:
        pairs = first_of_each(pairs, [video_of_item.get(item) for item, _ in pairs])
    return pairs[request.offset : request.offset + request.k]


def first_of_each(ranked: Sequence[T], groups: Sequence[object | None]) -> list[T]:
    """Keep the first of each group, in order, and all that are of no group (None)."""
    seen: set[object] = set()
    kept = []
    for one, group in zip(ranked, groups, strict=True):
        if group is None or group not in seen:
            kept.append(one)
            seen.add(group)
    return kept


def may_lack_hits(candidates: Candidates, depth: int, hits: int, request: Request) -> bool:
    """Whether more candidates may bring hits that are lacking.

    Args:
        candidates: that were asked for.
        depth: how many of the best.
        hits: that came of them.
        request: that they answer.
    """
    if hits >= request.k or len(candidates.ids) < depth:
        return False
    return request.min_score is None or float(candidates.scores.min()) >= request.min_score
