"""Build accelerators where an exact scan has grown slow."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexer.store.writer import Writer
from retrieval.collection.accelerators.asked import (
    MissedRecall,
    asked_recall,
    missed_recall,
    scans_as_asked,
)
from retrieval.collection.accelerators.measurement import Measurement
from retrieval.collection.accelerators.opened import Accelerator, read_accelerators
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.stores import SegmentStore, open_stores, search_threads
from retrieval.errors import CollectionDamaged
from retrieval.types import KINDS, Kind

if TYPE_CHECKING:
    from indexer.store.tuning_queries import Encode
    from retrieval.collection.accelerators.coded_rows import CodedRows

FROM_ROWS = 100_000
"""Vectors of a kind from which an accelerator is built: below them an exact scan takes a few milliseconds."""

DEFAULT_RECALL = 0.98
STALE_SHARE = 0.1
"""Share of the vectors that an accelerator may lack; above it, the accelerator is rebuilt."""

_LEAST_DIMENSION = 8  # below it a code saves little, and there is nothing to balance


@dataclass(frozen=True, slots=True)
class Accelerated:
    """Result of building one kind's accelerator; ``measurement`` is None if the recall ``target`` was not reached."""

    kind: Kind
    rows: int
    target: float
    measurement: Measurement | None


def accelerate_if_due(
    writer: Writer, encode: Encode, *, from_rows: int = FROM_ROWS, threads: int = 2
) -> list[Accelerated]:
    """Build the accelerators that are missing, stale or tuned for another recall, each in a commit of its own.

    The recall is the one that was asked for last (:meth:`Writer.ask_accelerators`), else the one that was reached
    before, else :data:`DEFAULT_RECALL`. Where none reaches it, none is kept, and none is tried again before there are
    a tenth more vectors, or another recall is asked for.

    Args:
        writer: of the collection.
        encode: called where the collection holds too few texts to measure with.
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
            if encoder_id is None or scans_as_asked(driver):
                return []
            identity = read_identity(driver, writer.path, encoder_id)
            with search_threads(1) as pool:
                stores = open_stores(driver, writer.path, encoder_id, identity.dimension, {}, pool)
                store = stores[kind]
                if store.rows < from_rows or identity.dimension < _LEAST_DIMENSION:
                    continue
                there = _find_accelerator(driver, writer.path, encoder_id, kind)
                asked = asked_recall(driver)
                target = asked if asked is not None else _reached(there)
                uncovered = store.rows if there is None else _rows_after(store, there.facts.last_encoding)
                is_due = uncovered > STALE_SHARE * store.rows or _reached(there) != target
                missed = missed_recall(driver, kind)
                if not is_due or (missed is not None and _holds(missed, target, encoder_id, store.rows)):
                    continue
                from indexer.store.accelerator_building import build_accelerator  # late: FAISS, 14 MB

                coded = None if there is None or uncovered else _coded(there)
                masked = writer.masked(connection)
                built = build_accelerator(stores, kind, masked, encode, target, threads, coded)
        if built is None:
            writer.give_accelerator_up(kind, MissedRecall(target, encoder_id, store.rows))
        elif there is not None and coded is not None:
            writer.tune_accelerator(there.facts.id, built.measurement.to_json())
        else:
            facts = built.measurement.to_json()
            writer.commit_accelerator(
                kind, encoder_id, built.coded.rows, built.last_encoding, facts, built.pieces()
            )
        done.append(Accelerated(kind, store.rows, target, None if built is None else built.measurement))
    return done


def _find_accelerator(
    connection: sqlite3.Connection, collection: Path, encoder_id: int, kind: Kind
) -> Accelerator | None:
    """Open the accelerator of a kind; None if there is none, or it is damaged, so that another takes its place."""
    known = {facts.kind: facts for facts in read_accelerators(connection, encoder_id)}
    try:
        return Accelerator(collection, known[kind]) if kind in known else None
    except (CollectionDamaged, FileNotFoundError):
        return None


def _reached(there: Accelerator | None) -> float:
    """Give the recall that an accelerator was tuned for, or what the first one is to be tuned for."""
    return DEFAULT_RECALL if there is None else there.measurement.target


def _coded(there: Accelerator) -> CodedRows | None:
    """Map the codes of an accelerator; None where the file is damaged, so that the vectors are coded anew."""
    try:
        return there.coded()
    except CollectionDamaged:
        return None


def _holds(missed: MissedRecall, target: float, encoder_id: int, rows: int) -> bool:
    """Whether the recall was missed with nearly as many vectors of the same encoder."""
    fewest = (1 + STALE_SHARE) * missed.rows
    return (missed.recall, missed.encoder_id) == (target, encoder_id) and rows <= fewest


def _rows_after(store: SegmentStore, last: int) -> int:
    return sum(segment.rows - int(np.searchsorted(segment.ids, last, "right")) for segment in store.segments)
