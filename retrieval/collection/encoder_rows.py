"""Which encoder a catalogue's vectors are of."""

from __future__ import annotations

import json
from typing import NamedTuple

from retrieval.collection.statement import ReadConnection, Select, Setting
from retrieval.collection.stored_values import number_of
from retrieval.errors import CollectionDamaged
from retrieval.identity import Identity
from retrieval.places import CollectionPlace


def active_encoder_id(connection: ReadConnection) -> int | None:
    """Read the catalogue id of the encoder whose vectors are searched; None before the first commit.

    Raises:
        WrongValue: the catalogue says something else.
    """
    settings = _ACTIVE.rows(connection)
    return number_of(settings[0].value, "active_encoder") if settings else None


def read_identity(connection: ReadConnection, collection: CollectionPlace, encoder_id: int) -> Identity:
    """Read the identity of an encoder in the catalogue.

    Raises:
        CollectionDamaged: it is not there, or not what a writer writes.
    """
    stored = _IDENTITY.rows(connection, encoder_id)
    try:
        return Identity.from_facts(json.loads(stored[0].identity if stored else ""))
    except (ValueError, RecursionError) as error:
        raise CollectionDamaged(
            collection, f"the catalogue does not know its encoder {encoder_id}"
        ) from error


class _Identity(NamedTuple):
    identity: str


_ACTIVE = Select(Setting, "SELECT name, value FROM settings WHERE name = 'active_encoder'")
_IDENTITY = Select(_Identity, "SELECT identity FROM encoders WHERE id = ?")
