"""Accelerators of a generation: opened when its files are, read when a search first needs one."""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from retrieval.collection.accelerators.measurement import AcceleratorMeasurement, parse_measurement
from retrieval.collection.accelerators.planning import scaled
from retrieval.collection.folder import SegmentsFolder
from retrieval.collection.migrations import ACCELERATORS_SINCE
from retrieval.collection.statement import VERSION, Select
from retrieval.errors import CollectionDamaged
from retrieval.types import Kind

if TYPE_CHECKING:
    from retrieval.collection.accelerators.coded_lists import Selection
    from retrieval.collection.accelerators.coded_rows import CodedRows
    from retrieval.collection.accelerators.inverted_file import InvertedFile, SearchParameters
    from retrieval.collection.stores import SegmentStore

IDS_A_VECTOR = 64
"""Selections have a bit for each id: none is made where there are more ids, since nearly all vectors were deleted."""

SELECTIONS_BYTES = 64 * 2**20
"""Of the selections that an accelerator keeps; each is made again in milliseconds."""


class AcceleratorFacts(NamedTuple):
    """A row of the table ``accelerators``."""

    id: int
    kind: Kind
    rows: int
    last_encoding: int
    name: str
    size: int
    sha256: str
    measured: str


class Accelerator:
    """An inverted file that a generation names; safe to share between threads.

    Attributes:
        facts: its row in the catalogue.
        measurement: its measured recall and speed.
    """

    def __init__(self, collection: Path, facts: AcceleratorFacts) -> None:
        self.facts, self._collection = facts, collection
        try:
            self.measurement = parse_measurement(AcceleratorMeasurement, facts.measured)
        except ValueError as error:
            raise _damaged(
                collection, facts, "its measurement in the catalogue is missing or malformed"
            ) from error
        with SegmentsFolder(collection) as folder:
            self._descriptor = folder.open(facts.name)
        weakref.finalize(self, os.close, self._descriptor)
        if (size := os.fstat(self._descriptor).st_size) != facts.size:
            raise _damaged(collection, facts, f"it has {size} bytes, and should have {facts.size}")
        self._lock = threading.Lock()
        self._inverted: InvertedFile | None = None
        self._selections: weakref.WeakKeyDictionary[SegmentStore, Selection] = weakref.WeakKeyDictionary()

    def parameters_for(self, k: int) -> SearchParameters:
        """Scale the tuned search parameters to k hits."""
        from retrieval.collection.accelerators.inverted_file import SearchParameters  # late: faiss

        measured = self.measurement
        return SearchParameters(*scaled(measured.cells, measured.rescored, k), measured.radius_weight)

    def inverted(self) -> InvertedFile:
        """Read the file, the first time.

        Raises:
            CollectionDamaged: it is not what a writer writes.
        """
        from retrieval.collection.accelerators.inverted_file import InvertedFile  # late: faiss

        with self._lock:
            if self._inverted is None:
                self._inverted = InvertedFile(self.coded())
            return self._inverted

    def coded(self) -> CodedRows:
        """Map what the file holds.

        Raises:
            CollectionDamaged: it is not what a writer writes.
        """
        from retrieval.collection.accelerators.file import AcceleratorDamaged, read_accelerator  # late: faiss

        path = SegmentsFolder.path_of(self._collection, self.facts.name, self._descriptor)
        try:
            return read_accelerator(path, self.facts.rows)
        except AcceleratorDamaged as error:
            raise _damaged(self._collection, self.facts, str(error)) from error

    def selection(self, some: SegmentStore) -> Selection | None:
        """Select the vectors of a store among those covered, the first time; None where ids are too far apart.

        A selection is kept as long as the store, which is kept for each condition and generation, or until others have
        taken :data:`SELECTIONS_BYTES`.
        """
        inverted, last = self.inverted(), self.facts.last_encoding
        if last > IDS_A_VECTOR * (self.facts.rows + 1024):
            return None
        with self._lock:
            known = self._selections.get(some)
        if known is None:
            ids = some.ids
            known = inverted.select(ids[(ids >= 0) & (ids <= last)])
            with self._lock:
                held = sum(one.size_bytes for one in self._selections.values())
                if held + known.size_bytes > SELECTIONS_BYTES:
                    self._selections.clear()
                self._selections[some] = known
        return known


def open_accelerators(
    connection: sqlite3.Connection, collection: Path, encoder_id: int | None, last: Mapping[Kind, Accelerator]
) -> dict[Kind, Accelerator]:
    """Open the accelerators of an encoder that the catalogue names in this transaction.

    Args:
        connection: in a read transaction.
        collection: its folder.
        encoder_id: in the catalogue; None has no accelerators.
        last: those of an earlier generation, which are shared.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file, or a row, is not what a writer writes.
    """
    if VERSION.rows(connection)[0].number < ACCELERATORS_SINCE:
        return {}
    found: dict[Kind, Accelerator] = {}
    for facts in read_accelerators(connection, encoder_id):
        known = last.get(facts.kind)
        found[facts.kind] = (
            known if known is not None and known.facts == facts else Accelerator(collection, facts)
        )
    return found


def read_accelerators(connection: sqlite3.Connection, encoder_id: int | None) -> list[AcceleratorFacts]:
    """Read the rows of an encoder's accelerators."""
    return _ACCELERATORS.rows(connection, encoder_id)


_ACCELERATORS = Select(
    AcceleratorFacts,
    f"SELECT {', '.join(AcceleratorFacts._fields)} FROM accelerators WHERE encoder_id = ? ORDER BY id",
)


def _damaged(collection: Path, facts: AcceleratorFacts, why: str) -> CollectionDamaged:
    return CollectionDamaged(collection, f"the accelerator segments/{facts.name} is damaged: {why}")
