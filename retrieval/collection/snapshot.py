"""One generation of a collection as searches see it: its mapped segments, its masked rows, its hidden items."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from retrieval.collection import schema
from retrieval.collection.column_types import WrongValue, number_of
from retrieval.collection.segments import Segment, open_segment
from retrieval.errors import CollectionDamaged
from retrieval.identity import Identity
from retrieval.types import KINDS, Kind


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What does not change between two commits; read inside one transaction, then shared by all threads.

    Attributes:
        generation: number of the committed state.
        encoder_id: the active encoder's id in the catalogue, or None before the first commit.
        identity: that encoder's.
        held: whether there is any item of a kind that is not hidden.
        segments: mapped segments of the active encoder by catalogue id, for each kind.
        dead: ids of encodings that no item uses, ascending int64.
        hidden: ids of hidden items of each kind, ascending int64.
        masked: ids of encodings that no search may find, ascending int64: the dead ones, and those of contents whose
            items are all hidden.
        hidden_ids: the ids in ``hidden``.
    """

    generation: int
    encoder_id: int | None
    identity: Identity | None
    held: dict[Kind, bool]
    segments: dict[Kind, dict[int, Segment]]
    dead: NDArray[np.int64]
    hidden: dict[Kind, NDArray[np.int64]]
    masked: NDArray[np.int64]
    hidden_ids: frozenset[int]

    def rows(self, kind: Kind) -> int:
        """Rows of a kind, masked ones included."""
        return sum(segment.rows for segment in self.segments[kind].values())

    def hides(self, item: int) -> bool:
        """Whether the item with this id is hidden."""
        return item in self.hidden_ids

    def segment(self, kind: Kind, number: int) -> Segment:
        """A segment by its id in the catalogue.

        Raises:
            WrongValue: no segment of this kind has it.
        """
        if number not in self.segments[kind]:
            raise WrongValue(
                f"the catalogue names a segment {number} of kind {kind!r}, which it does not have"
            )
        return self.segments[kind][number]


def read_snapshot(
    connection: Connection, collection: Path, generation: int, last: Snapshot | None
) -> Snapshot:
    """The state that this transaction sees; files that ``last`` has mapped already are shared with it.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file is not what the catalogue says.
    """
    encoder_id = active_encoder_id(connection)
    identity = None if encoder_id is None else read_identity(connection, collection, encoder_id)
    dimension = 0 if identity is None else identity.dimension
    mapped: dict[int, Segment] = {}
    if last is not None:
        mapped = {
            number: segment for of_kind in last.segments.values() for number, segment in of_kind.items()
        }
    segments: dict[Kind, dict[int, Segment]] = {"image": {}, "text": {}}
    table = schema.segments
    for row in connection.execute(select(table).where(table.c.encoder_id == encoder_id).order_by(table.c.id)):
        segment = mapped.get(row.id) or open_segment(collection, row)
        if segment.dimension != dimension:
            raise CollectionDamaged(
                collection,
                f"segments/{row.vectors_name} has dimension {segment.dimension}, and its encoder {dimension}",
            )
        segments[row.kind][row.id] = segment
    dead = connection.execute(select(schema.dead.c.encoding_id).order_by(schema.dead.c.encoding_id)).scalars()
    dead_ids = np.fromiter(dead, np.int64)
    hidden = _hidden_items(connection)
    masked = dead_ids
    if any(map(len, hidden.values())):
        masked = np.union1d(dead_ids, _hidden_encodings(connection, encoder_id))
    return Snapshot(
        generation=generation,
        encoder_id=encoder_id,
        identity=identity,
        held={kind: _holds(connection, kind, len(hidden[kind])) for kind in KINDS},
        segments=segments,
        dead=dead_ids,
        hidden=hidden,
        masked=masked,
        hidden_ids=frozenset(number for of_kind in hidden.values() for number in of_kind.tolist()),
    )


def _holds(connection: Connection, kind: Kind, hidden: int) -> bool:
    """Whether there are more items of a kind than are hidden."""
    items = schema.items
    some = select(items.c.id).where(items.c.kind == kind).limit(hidden + 1)
    return len(connection.execute(some).all()) > hidden


def _hidden_items(connection: Connection) -> dict[Kind, NDArray[np.int64]]:
    """Ids of hidden items of each kind, ascending; none where the schema is older than hiding."""
    ids: dict[Kind, list[int]] = {"image": [], "text": []}
    if schema.schema_version(connection) >= schema.HIDDEN_SINCE:
        items, hidden = schema.items, schema.hidden
        found = (
            select(items.c.id, items.c.kind).join(hidden, hidden.c.uri == items.c.uri).order_by(items.c.id)
        )
        for row in connection.execute(found):
            ids[row.kind].append(row.id)
    return {kind: np.array(of_kind, np.int64) for kind, of_kind in ids.items()}


def _hidden_encodings(connection: Connection, encoder_id: int | None) -> NDArray[np.int64]:
    """Ids of the encodings of contents whose items are all hidden."""
    items, hidden, encodings = schema.items, schema.hidden, schema.encodings
    other = items.alias()
    seen = (
        select(other.c.id)
        .where(other.c.content_id == items.c.content_id, other.c.uri.not_in(select(hidden.c.uri)))
        .exists()
    )
    found = (
        select(encodings.c.id)
        .distinct()
        .join(items, items.c.content_id == encodings.c.content_id)
        .join(hidden, hidden.c.uri == items.c.uri)
        .where(encodings.c.encoder_id == encoder_id, ~seen)
    )
    return np.fromiter(connection.execute(found).scalars(), np.int64)


def active_encoder_id(connection: Connection) -> int | None:
    """Catalogue id of the encoder whose vectors are searched, or None before the first commit.

    Raises:
        WrongValue: the catalogue says something else.
    """
    value = connection.execute(
        select(schema.settings.c.value).where(schema.settings.c.name == "active_encoder")
    ).scalar()
    return None if value is None else number_of(value, "active_encoder")


def read_identity(connection: Connection, collection: Path, encoder_id: int) -> Identity:
    """The identity of an encoder in the catalogue.

    Raises:
        CollectionDamaged: it is not there, or not what a writer writes.
    """
    table = schema.encoders
    stored = connection.execute(select(table.c.identity).where(table.c.id == encoder_id)).scalar()
    try:
        return Identity.from_facts(json.loads(stored or ""))
    except (ValueError, RecursionError) as error:
        raise CollectionDamaged(
            collection, f"the catalogue does not know its encoder {encoder_id}"
        ) from error
