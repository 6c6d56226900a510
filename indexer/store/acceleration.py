"""Build accelerators where an exact scan has grown slow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from indexer.store.writer import Writer
from retrieval.collection.accelerators.measurement import Measurement
from retrieval.collection.accelerators.opened import read_accelerators
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.stores import SegmentStore, open_stores, search_threads
from retrieval.types import KINDS, Kind

if TYPE_CHECKING:
    from indexer.store.tuning_queries import Encode

FROM_ROWS = 100_000
"""Vectors of a kind from which an accelerator is built: below them an exact scan takes a few milliseconds."""

DEFAULT_RECALL = 0.98
STALE_SHARE = 0.1
"""Share of the vectors that an accelerator may lack; above it, the accelerator is rebuilt."""

_LEAST_DIMENSION = 8  # below it a code saves little, and there is nothing to balance


@dataclass(frozen=True, slots=True)
class Accelerated:
    """Result of building one kind's accelerator; ``measurement`` is None if the target recall was not reached."""

    kind: Kind
    rows: int
    measurement: Measurement | None


def accelerate_if_due(
    writer: Writer,
    encode: Encode,
    *,
    recall: float = DEFAULT_RECALL,
    from_rows: int = FROM_ROWS,
    threads: int = 2,
) -> list[Accelerated]:
    """Build the accelerators that are missing or stale, each in a commit of its own.

    Args:
        writer: of the collection.
        encode: called where the collection holds too few texts to measure with.
        recall: of the exact 10 best, that a search must find in the mean, above 0 and below 1.
        from_rows: vectors of a kind from which one is built.
        threads: that building may use.

    Raises:
        CollectionError: the disk is full or fails; the accelerators that were there stay.
    """
    done = []
    for kind in KINDS:
        with writer.look_up() as connection:
            driver = driver_connection(connection)
            encoder_id = active_encoder_id(driver)
            if encoder_id is None:
                return []
            identity = read_identity(driver, writer.path, encoder_id)
            with search_threads(1) as pool:
                stores = open_stores(driver, writer.path, encoder_id, identity.dimension, {}, pool)
                known = {facts.kind: facts for facts in read_accelerators(driver, encoder_id)}
                store = stores[kind]
                covered = known[kind].last_encoding if kind in known else -1
                if (
                    store.rows < from_rows
                    or identity.dimension < _LEAST_DIMENSION
                    or _rows_after(store, covered) <= STALE_SHARE * store.rows
                ):
                    continue
                from indexer.store.accelerator_building import build_accelerator  # late: FAISS, 14 MB

                built = build_accelerator(stores, kind, writer.masked(connection), encode, recall, threads)
        measurement = None if built is None else built.measurement
        if built is not None:
            facts = built.measurement.to_json()
            writer.commit_accelerator(
                kind, encoder_id, built.coded.rows, built.last_encoding, facts, built.pieces()
            )
        done.append(Accelerated(kind, store.rows, measurement))
    return done


def _rows_after(store: SegmentStore, last: int) -> int:
    return sum(segment.rows - int(np.searchsorted(segment.ids, last, "right")) for segment in store.segments)
