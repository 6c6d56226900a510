"""From candidates to ranked items: contents become items before the cut; a video may count once, by its best moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from retrieval.collection.search import Candidates
from retrieval.types import Region, Request

DEEPER = 4  # times the candidates, where moments of one video took the places of others

T = TypeVar("T")


class Ranked(NamedTuple):
    """An item's id and score, and the part of the image that has it where the whole scores less."""

    item: int
    score: float
    region: Region | None = None


def rank_items(
    candidates: Candidates,
    content_of: Mapping[int, int],
    items_of: Mapping[int, Sequence[int]],
    request: Request,
    video_of_item: Mapping[int, str] | None = None,
) -> list[Ranked]:
    """Order item ids with their scores, best first: contents become items before the cut, so that k counts items.

    Args:
        candidates: encodings with their scores.
        content_of: the content of each encoding.
        items_of: the items of each content that are to be found.
        request: how many, from where on, and from which score on.
        video_of_item: the video of each item that is a frame; of each video the best frame is kept alone.
    """
    best: dict[int, tuple[float, int]] = {}
    for encoding, score in zip(candidates.ids.tolist(), candidates.scores.tolist(), strict=True):
        content = content_of[encoding]
        best[content] = max((score, encoding), best.get(content, (-np.inf, 0)))
    ranked = [
        Ranked(item, score, candidates.regions.get(encoding))
        for content, (score, encoding) in best.items()
        for item in items_of[content]
    ]
    if request.min_score is not None:
        ranked = [one for one in ranked if one.score >= request.min_score]
    ranked.sort(key=lambda one: (-one.score, one.item))
    if video_of_item:
        ranked = first_of_each(ranked, [video_of_item.get(one.item) for one in ranked])
    if request.after is not None:
        place = (-request.after.score, request.after.item)
        ranked = [one for one in ranked if (-one.score, one.item) > place]
    return ranked[request.offset : request.offset + request.k]


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
