"""Where a collection is: in a folder, or on a PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """A collection on a PostgreSQL server.

    Attributes:
        shown: the address without passwords, for messages; :mod:`retrieval.postgres_address` reads it again.
        schema: its name, that of the schema that it lies in.
        conninfo: what libpq connects with, passwords included; never to be shown.
    """

    shown: str
    schema: str
    conninfo: str = field(repr=False)

    def __str__(self) -> str:
        return self.shown


CollectionPlace = Path | ServerAddress
"""Where a collection is: its folder, or its address on a server."""
