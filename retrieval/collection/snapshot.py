"""One generation of a collection as searches see it: its mapped segments and its masked rows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from retrieval.collection import schema
from retrieval.collection.segments import Segment, open_segment
from retrieval.errors import CollectionDamaged
from retrieval.identity import Identity
from retrieval.types import Kind


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What does not change between two commits; read inside one transaction, then shared by all threads.

    Attributes:
        generation: number of the committed state.
        encoder_id: the active encoder's id in the catalogue, or None before the first commit.
        segments: mapped segments of the active encoder by catalogue id, for each kind.
        dead: masked encoding ids, ascending int64.
    """

    generation: int
    encoder_id: int | None
    segments: dict[Kind, dict[int, Segment]]
    dead: NDArray[np.int64]

    def rows(self, kind: Kind) -> int:
        """Rows of a kind, masked ones included."""
        return sum(segment.rows for segment in self.segments[kind].values())


def read_snapshot(
    connection: Connection, collection: Path, generation: int, last: Snapshot | None
) -> Snapshot:
    """The state that this transaction sees; files that ``last`` has mapped already are shared with it.

    Raises:
        FileNotFoundError: a file is gone, because a commit after this transaction's generation replaced it.
        CollectionDamaged: a file is not what the catalogue says.
    """
    encoder_id = active_encoder_id(connection)
    mapped: dict[int, Segment] = {}
    if last is not None:
        mapped = {
            number: segment for of_kind in last.segments.values() for number, segment in of_kind.items()
        }
    segments: dict[Kind, dict[int, Segment]] = {"image": {}, "text": {}}
    table = schema.segments
    for row in connection.execute(select(table).where(table.c.encoder_id == encoder_id).order_by(table.c.id)):
        segments[row.kind][row.id] = mapped.get(row.id) or open_segment(collection, row)
    dead = connection.execute(select(schema.dead.c.encoding_id).order_by(schema.dead.c.encoding_id)).scalars()
    return Snapshot(generation, encoder_id, segments, np.fromiter(dead, np.int64))


def active_encoder_id(connection: Connection) -> int | None:
    """Catalogue id of the encoder whose vectors are searched, or None before the first commit."""
    value = connection.execute(
        select(schema.settings.c.value).where(schema.settings.c.name == "active_encoder")
    ).scalar_one_or_none()
    return None if value is None else int(value)


def read_identity(connection: Connection, collection: Path, encoder_id: int) -> Identity:
    """The identity of an encoder in the catalogue.

    Raises:
        CollectionDamaged: it is not there, or not what a writer writes.
    """
    table = schema.encoders
    stored = connection.execute(select(table.c.identity).where(table.c.id == encoder_id)).scalar_one_or_none()
    try:
        return Identity(**json.loads(stored or ""))
    except (ValueError, TypeError) as error:
        raise CollectionDamaged(
            collection, f"the catalogue does not know its encoder {encoder_id}"
        ) from error
