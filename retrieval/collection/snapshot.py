"""One generation of a collection as searches see it: its vectors, its masked rows, its hidden items."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.opened import Accelerator, open_accelerators
from retrieval.collection.accelerators.outside import OutsideIndex
from retrieval.collection.caption_words import has_caption_words
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.filters.allowed_cache import AllowedCache
from retrieval.collection.migrations import HIDDEN_SINCE
from retrieval.collection.moved import Move, find_move
from retrieval.collection.statement import VERSION, Number, ReadConnection, Select, SelectIds
from retrieval.collection.storage import Storage, storage_of_folder
from retrieval.collection.stores import KindStore, SegmentStore, open_stores
from retrieval.collection.stores.region_store import RegionStore, open_regions
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Snapshot:
    """State of one generation, read in one transaction and shared by all threads.

    Attributes:
        generation: number of the committed state.
        encoder_id: the active encoder's id in the catalogue, or None before the first commit.
        identity: that encoder's.
        has_visible: for each kind, whether the collection has an item of that kind that is not hidden.
        stores: the vectors of each kind under the active encoder.
        accelerators: approximate indexes of them, for the kinds that have one.
        regions: vectors of regions of its images; None where it has none.
        dead: ids of encodings that no item uses, ascending int64.
        hidden: ids of hidden items of each kind, ascending int64.
        masked: ids of encodings that no search may find, ascending int64: the dead ones, and those of contents whose
            items are all hidden.
        hidden_ids: the ids in ``hidden``.
        last_item: the highest id of an item.
        schema: of the catalogue.
        has_caption_words: whether images have captions whose words can be looked for.
        move: of the folder that the collection lies in, since the catalogue was last written; None if there was none.
        storage: measures the room that it takes, under the encoder of an id.
        allowed: what conditions have let through so far.
        indexes: in the place of accelerators, those that a server keeps itself.
    """

    generation: int
    encoder_id: int | None
    identity: Identity | None
    has_visible: dict[Kind, bool]
    stores: Mapping[Kind, KindStore]
    accelerators: Mapping[Kind, Accelerator]
    regions: RegionStore | None
    dead: NDArray[np.int64]
    hidden: dict[Kind, NDArray[np.int64]]
    masked: NDArray[np.int64]
    hidden_ids: frozenset[int]
    last_item: int
    schema: int
    has_caption_words: bool
    move: Move | None
    storage: Callable[[ReadConnection, int | None], Storage]
    allowed: AllowedCache = field(default_factory=AllowedCache)
    indexes: Mapping[Kind, OutsideIndex] = field(default_factory=dict)

    def hides(self, item: int) -> bool:
        """Whether the item with this id is hidden."""
        return item in self.hidden_ids


def read_snapshot(
    connection: sqlite3.Connection,
    collection: Path,
    generation: int,
    last: Snapshot | None,
    threads: Executor,
) -> Snapshot:
    """Read the state that this transaction sees; files that ``last`` has mapped already are shared with it.

    Args:
        connection: in a read transaction.
        collection: its folder.
        generation: that the transaction sees.
        last: an earlier state.
        threads: that search its vectors.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file is not what the catalogue says.
    """
    state = read_rows_of_state(connection, collection)
    encoder_id, dimension = state.encoder_id, 0 if state.identity is None else state.identity.dimension
    mapped = {} if last is None else last.stores
    segments = {kind: store for kind, store in mapped.items() if isinstance(store, SegmentStore)}
    return Snapshot(
        generation=generation,
        stores=open_stores(connection, collection, encoder_id, dimension, segments, threads),
        accelerators=open_accelerators(
            connection, collection, encoder_id, {} if last is None else last.accelerators
        ),
        regions=open_regions(
            connection, collection, encoder_id, dimension, None if last is None else last.regions, threads
        ),
        schema=VERSION.rows(connection)[0].number,
        has_caption_words=has_caption_words(connection),
        move=find_move(connection, collection),
        storage=storage_of_folder,
        **state._asdict(),
    )


class RowsOfState(NamedTuple):
    """What the rows of the catalogue say of a :class:`Snapshot`, wherever its vectors are."""

    encoder_id: int | None
    identity: Identity | None
    has_visible: dict[Kind, bool]
    dead: NDArray[np.int64]
    hidden: dict[Kind, NDArray[np.int64]]
    masked: NDArray[np.int64]
    hidden_ids: frozenset[int]
    last_item: int


def read_rows_of_state(connection: ReadConnection, collection: CollectionPlace) -> RowsOfState:
    """Read what this transaction sees.

    Raises:
        CollectionDamaged: the catalogue does not know its encoder.
        WrongValue: a value is not of its type.
    """
    encoder_id = active_encoder_id(connection)
    dead = masked = _DEAD.array(connection)
    hidden = _hidden_items(connection)
    if any(map(len, hidden.values())):
        masked = np.union1d(dead, _HIDDEN_ENCODINGS.array(connection, encoder_id))
    return RowsOfState(
        encoder_id=encoder_id,
        identity=None if encoder_id is None else read_identity(connection, collection, encoder_id),
        has_visible={kind: _holds(connection, kind, len(hidden[kind])) for kind in KINDS},
        dead=dead,
        hidden=hidden,
        masked=masked,
        hidden_ids=frozenset(number for of_kind in hidden.values() for number in of_kind.tolist()),
        last_item=_LAST_ITEM.rows(connection)[0].number,
    )


def _holds(connection: ReadConnection, kind: Kind, hidden: int) -> bool:
    """Whether there are more items of a kind than are hidden."""
    return _COUNT_UP_TO.rows(connection, kind, hidden + 1)[0].number > hidden


def _hidden_items(connection: ReadConnection) -> dict[Kind, NDArray[np.int64]]:
    """Read the ids of hidden items of each kind, ascending; none where the schema is older than hiding."""
    ids: dict[Kind, list[int]] = {"image": [], "text": []}
    if VERSION.rows(connection)[0].number >= HIDDEN_SINCE:
        for row in _HIDDEN_ITEMS.rows(connection):
            ids[row.kind].append(row.id)
    return {kind: np.array(of_kind, np.int64) for kind, of_kind in ids.items()}


class _HiddenItem(NamedTuple):
    id: int
    kind: Kind


_LAST_ITEM = Select(Number, "SELECT coalesce(max(id), 0) FROM items")
_DEAD = SelectIds("SELECT encoding_id FROM dead ORDER BY encoding_id")
_COUNT_UP_TO = Select(Number, "SELECT count(*) FROM (SELECT 1 FROM items WHERE kind = ? LIMIT ?)")
# Joined by uri, so of the tables themselves, not of the views that moved.py may put in their places.
_HIDDEN_ITEMS = Select(
    _HiddenItem,
    "SELECT items.id, items.kind FROM main.items JOIN main.hidden ON hidden.uri = items.uri ORDER BY items.id",
)
# Encodings of contents whose items are all hidden.
_HIDDEN_ENCODINGS = SelectIds(
    "SELECT DISTINCT encodings.id FROM encodings JOIN main.items ON items.content_id = encodings.content_id "
    "JOIN main.hidden ON hidden.uri = items.uri WHERE encodings.encoder_id = ? "
    "AND NOT EXISTS (SELECT 1 FROM main.items AS other WHERE other.content_id = items.content_id "
    "AND other.uri NOT IN (SELECT uri FROM main.hidden))"
)
