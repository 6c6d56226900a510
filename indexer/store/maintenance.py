"""Compaction: what keeps a collection small and fast, under the writer's lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select

from indexer.store.rows import drop_encodings, insert_segment
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.segments import SegmentFacts, open_segment
from retrieval.collection.snapshot import active_encoder_id
from retrieval.errors import CollectionDamaged
from retrieval.types import KINDS, Kind

SEGMENT_BYTES = 256 * 2**20  # of vectors: what one merge may write
BLOCK_ROWS = 4096  # that a merge holds in memory: 8 MB at 512 dimensions
SMALL_SHARE = 0.25  # of SEGMENT_BYTES: below it a segment is small
SMALL_SEGMENTS = 8  # small ones of a kind that a collection bears before a run ends with a merge
DEAD_SHARE = 0.10  # masked rows of a segment that make it due


@dataclass(frozen=True, slots=True)
class SegmentLoad:
    """What the policy needs to know of a segment."""

    id: int
    rows: int
    dead: int
    row_bytes: int


def plan_compaction(segments: Sequence[SegmentLoad], everything: bool = False) -> list[list[int]]:
    """Which segments of one kind to rewrite together, as groups of ids in order; pure.

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


def compact_if_due(writer: Writer, everything: bool = False) -> int:
    """Rewrite the segments that the policy names, each group in a commit of its own; how many went."""
    gone = 0
    for kind in KINDS:
        for group in plan_compaction(_loads(writer, kind), everything):
            _rewrite(writer, kind, group, _masked(writer, group))
            gone += len(group)
    if gone:
        writer.sweep()
    return gone


def merge_small(writer: Writer) -> int:
    """Merge small segments if there are many, and leave masked rows where they are; how many went.

    For the middle of a run: every segment costs each reader an open file, and the run counts on contents that it
    has found in the catalogue, masked or not.
    """
    gone = 0
    for kind in KINDS:
        loads = [replace(load, dead=0) for load in _loads(writer, kind)]
        for group in plan_compaction(loads):
            _rewrite(writer, kind, group, np.empty(0, np.int64))
            gone += len(group)
    if gone:
        writer.sweep()
    return gone


def optimize(collection: str | Path, *, timeout: float = 0.0) -> tuple[int, int]:
    """Drop masked rows and merge small segments; segments before and after. No answer changes.

    ``timeout`` is how many seconds to wait for another process that writes to the collection.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with Writer.existing(Path(collection), timeout) as writer:
        before = _count_segments(writer)
        compact_if_due(writer, everything=True)
        return before, _count_segments(writer)


def _count_segments(writer: Writer) -> int:
    with writer.look_up() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.segments)).scalar_one())


def _loads(writer: Writer, kind: Kind) -> list[SegmentLoad]:
    segments, encodings, dead = schema.segments, schema.encodings, schema.dead
    masked = (
        select(encodings.c.segment_id, func.count().label("n"))
        .join(dead, dead.c.encoding_id == encodings.c.id)
        .group_by(encodings.c.segment_id)
        .subquery()
    )
    with writer.look_up() as connection:
        rows = connection.execute(
            select(
                segments.c.id,
                segments.c.rows,
                segments.c.vectors_size,
                func.coalesce(masked.c.n, 0).label("n"),
            )
            .outerjoin(masked, masked.c.segment_id == segments.c.id)
            .where(segments.c.kind == kind, segments.c.encoder_id == active_encoder_id(connection))
            .order_by(segments.c.id)
        )
        return [SegmentLoad(row.id, row.rows, row.n, row.vectors_size // row.rows) for row in rows]


def _masked(writer: Writer, group: Sequence[int]) -> NDArray[np.int64]:
    """Ids of the masked encodings of segments."""
    encodings, dead = schema.encodings, schema.dead
    with writer.look_up() as connection:
        masked = connection.execute(
            select(dead.c.encoding_id)
            .join(encodings, encodings.c.id == dead.c.encoding_id)
            .where(encodings.c.segment_id.in_(group))
        ).scalars()
        return np.fromiter(masked, np.int64)


def _rewrite(writer: Writer, kind: Kind, group: Sequence[int], gone: NDArray[np.int64]) -> None:
    """Replace segments by one without the encodings that are ``gone``, which leave the catalogue; one commit."""
    segments = schema.segments
    generation = writer.next_generation()
    with writer.look_up() as connection:
        old = connection.execute(select(segments).where(segments.c.id.in_(group))).all()
    with writer.new_files():
        merged = _Merged(writer.path, old, gone)
        ids = merged.ids
        try:
            written = writer.write_segment(generation, ids, merged.blocks()) if len(ids) else None
        except ValueError as error:
            raise CollectionDamaged(
                writer.path, f"a segment that is merged holds damaged vectors: {error}"
            ) from error
        with writer.switch(generation) as connection:
            if written is not None:
                segment_id = insert_segment(connection, kind, old[0].encoder_id, written)
                connection.exec_driver_sql(
                    "UPDATE encodings SET segment_id = ?, row = ? WHERE id = ?",
                    [(segment_id, at, int(number)) for at, number in enumerate(ids)],
                )
            drop_encodings(connection, gone.tolist())
            connection.execute(delete(segments).where(segments.c.id.in_(group)))


class _Merged:
    """The rows of several segments without those that are ``gone``, in the order of their encoding ids.

    Streams them: of the old segments only those that the block at hand comes from are mapped.
    """

    def __init__(self, path: Path, segments: Sequence[SegmentFacts], gone: NDArray[np.int64]) -> None:
        self.path, self.segments = path, segments
        ids, rows, owners = [], [], []
        for number, facts in enumerate(segments):
            held = np.array(open_segment(path, facts).ids)
            live = np.flatnonzero(~np.isin(held, gone))
            ids.append(held[live])
            rows.append(live)
            owners.append(np.full(len(live), number))
        all_ids = np.concatenate(ids)
        order = np.argsort(all_ids)
        self.ids: NDArray[np.int64] = all_ids[order]
        self._rows, self._owners = np.concatenate(rows)[order], np.concatenate(owners)[order]

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """The vectors, (m, d) float32, a few MB at a time."""
        for start in range(0, len(self.ids), BLOCK_ROWS):
            owners, rows = self._owners[start : start + BLOCK_ROWS], self._rows[start : start + BLOCK_ROWS]
            parts = {
                number: open_segment(self.path, self.segments[number]).vectors(rows[owners == number])
                for number in np.unique(owners).tolist()
            }
            block = np.empty((len(rows), next(iter(parts.values())).shape[1]), np.float32)
            for number, vectors in parts.items():
                block[owners == number] = vectors
            yield block
