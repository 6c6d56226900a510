"""Rows of the catalogue that make files of regions part of a generation; inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, delete, insert

from retrieval.collection import schema
from retrieval.collection.stores.segment_writer import WrittenFile


def add_regions(
    connection: Connection, encoder_id: int, rule: str, windows: int, written: WrittenFile
) -> None:
    """Name a file of regions.

    Args:
        connection: inside the transaction that switches generations.
        encoder_id: of its vectors.
        rule: by which they were made, canonical JSON.
        windows: regions of each image.
        written: the file.
    """
    connection.execute(
        insert(schema.regions).values(
            encoder_id=encoder_id,
            rule=rule,
            rows=written.rows,
            windows=windows,
            name=written.name,
            size=written.size,
            sha256=written.sha256,
        )
    )


def drop_regions(connection: Connection, numbers: Iterable[int]) -> None:
    """Take files of regions out of the catalogue; the whole images count alone from then on."""
    table = schema.regions
    connection.execute(delete(table).where(table.c.id.in_(list(numbers))))
