"""Compaction: what keeps a collection small and fast, under the writer's lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from indexer.store.region_files import compact_regions
from indexer.store.segment_plan import plan_compaction
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.encoder_rows import active_encoder_id
from retrieval.collection.engine import driver_connection
from retrieval.collection.stores.segment_rows import SegmentLoad, dead_encodings_in, read_loads
from retrieval.types import KINDS, Kind


def compact_if_due(writer: Writer, everything: bool = False) -> int:
    """Rewrite the segments that are due, each group in its own commit, and return how many were replaced."""
    gone = compact_regions(writer, everything, lambda: _going(writer, everything))
    for kind in KINDS:
        for group in plan_compaction(_loads(writer, kind), everything):
            writer.replace_segments(group, _masked(writer, group))
            gone += len(group)
    if gone:
        writer.sweep()
    return gone


def merge_small(writer: Writer) -> int:
    """Merge small segments if there are many, keeping masked rows, and return how many were replaced.

    For the middle of a run: every segment costs each reader an open file, and the run counts on contents that it
    has found in the catalogue, masked or not.
    """
    gone = 0
    for kind in KINDS:
        loads = [replace(load, dead=0) for load in _loads(writer, kind)]
        for group in plan_compaction(loads):
            writer.replace_segments(group, np.empty(0, np.int64))
            gone += len(group)
    if gone:
        writer.sweep()
    return gone


def optimize(collection: str | Path, *, timeout: float = 0.0) -> tuple[int, int]:
    """Drop masked rows and merge small segments; give the numbers of segments before and after. No answer changes.

    ``timeout`` is how many seconds to wait for another process that writes to the collection.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    with Writer.existing(Path(collection), timeout) as writer:
        before = _count_segments(writer)
        compact_if_due(writer, everything=True)
        return before, _count_segments(writer)


def _going(writer: Writer, everything: bool) -> NDArray[np.int64]:
    """Read the ids of the masked encodings of images that the next compaction drops."""
    groups = plan_compaction(_loads(writer, "image"), everything)
    return _masked(writer, [number for group in groups for number in group])


def _count_segments(writer: Writer) -> int:
    with writer.look_up() as connection:
        return int(connection.execute(select(func.count()).select_from(schema.segments)).scalar_one())


def _loads(writer: Writer, kind: Kind) -> list[SegmentLoad]:
    with writer.look_up() as connection:
        return read_loads(connection, kind, active_encoder_id(driver_connection(connection)))


def _masked(writer: Writer, group: Sequence[int]) -> NDArray[np.int64]:
    """Read the ids of the masked encodings of segments."""
    with writer.look_up() as connection:
        return dead_encodings_in(connection, group)
