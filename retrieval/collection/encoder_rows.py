"""Which encoder a catalogue's vectors are of."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Connection, select

from retrieval.collection import schema
from retrieval.collection.column_types import number_of
from retrieval.errors import CollectionDamaged
from retrieval.identity import Identity


def active_encoder_id(connection: Connection) -> int | None:
    """Read the catalogue id of the encoder whose vectors are searched; None before the first commit.

    Raises:
        WrongValue: the catalogue says something else.
    """
    value = connection.execute(
        select(schema.settings.c.value).where(schema.settings.c.name == "active_encoder")
    ).scalar()
    return None if value is None else number_of(value, "active_encoder")


def read_identity(connection: Connection, collection: Path, encoder_id: int) -> Identity:
    """Read the identity of an encoder in the catalogue.

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
