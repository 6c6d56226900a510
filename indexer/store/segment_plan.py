"""Which segments are due to be written again together."""

from __future__ import annotations

from collections.abc import Sequence

from retrieval.collection.stores.segment_rows import SegmentLoad

SEGMENT_BYTES = 256 * 2**20  # of vectors: what one merge may write
SMALL_SHARE = 0.25  # of SEGMENT_BYTES: below it a segment is small
SMALL_SEGMENTS = 8  # small ones of a kind that a collection bears before a run ends with a merge
DEAD_SHARE = 0.10  # masked rows of a segment that make it due


def plan_compaction(segments: Sequence[SegmentLoad], everything: bool = False) -> list[list[int]]:
    """Choose which segments of one kind to rewrite together, as groups of ids in order; pure.

    Due are segments with more than a tenth of their rows masked, and small segments once there are more than eight.
    ``everything`` makes any segment due that is small or has a masked row. A group stays within ``SEGMENT_BYTES``;
    a group of one segment without masked rows would change nothing and is left out.
    """
    small = [s for s in segments if s.rows * s.row_bytes < SMALL_SHARE * SEGMENT_BYTES]
    merge = {s.id for s in small} if everything or len(small) > SMALL_SEGMENTS else set()
    threshold = 0.0 if everything else DEAD_SHARE
    due = [s for s in segments if s.id in merge or s.dead > threshold * s.rows]
    groups: list[list[SegmentLoad]] = []
    size = 0
    for segment in due:
        live = (segment.rows - segment.dead) * segment.row_bytes
        if not groups or size + live > SEGMENT_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(segment)
        size += live
    return [[s.id for s in group] for group in groups if len(group) > 1 or any(s.dead for s in group)]
