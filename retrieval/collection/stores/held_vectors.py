"""Vectors that lie outside of files, by their ids: new ones are held until they are sent, and segments stand for all.

A catalogue says of each encoding in which segment it lies. Where no file holds vectors, segments are rows of the
catalogue alone, so that compaction counts masked vectors as it does in a folder.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from retrieval.collection.engine import driver_connection
from retrieval.collection.stores.protocols import check_rows
from retrieval.collection.stores.segment_files import SegmentFacts
from retrieval.collection.stores.segment_writer import SegmentWriter, WrittenSegment


@dataclass(frozen=True, slots=True, eq=False)
class NewVectors:
    """Vectors of one kind and encoder that no commit holds yet: encoding ids, (n,) int64, and (n, d) float32 rows."""

    ids: NDArray[np.int64]
    rows: NDArray[np.float32]


class HeldVectors(SegmentWriter):
    """Vectors of the change under way, held until they are sent.

    See :class:`~retrieval.collection.stores.VectorWriter`. Those that were sent lie elsewhere by their ids, so that
    merging segments is a matter of the catalogue alone.

    Args:
        path: of the catalogue's folder.
        look_up: begins a read transaction on the catalogue.
    """

    def __init__(self, path: Path, look_up: Callable[[], AbstractContextManager[Connection]]) -> None:
        super().__init__(path, lambda names: None)
        self._look_up = look_up
        self._held: list[NewVectors] = []

    def write(
        self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]
    ) -> WrittenSegment:
        """Hold vectors until the commit sends them."""
        rows = np.concatenate(list(blocks))
        check_rows(rows)
        if len(rows) != len(ids):
            raise ValueError(f"{len(rows)} rows for {len(ids)} ids")
        self._held.append(NewVectors(ids, rows))
        return _named(ids, rows.nbytes)

    def replace(
        self, generation: int, old: Sequence[SegmentFacts], gone: NDArray[np.int64]
    ) -> WrittenSegment | None:
        """Name the vectors that are left of several segments; those that are gone go with their rows."""
        names = json.dumps([segment.vectors_name for segment in old])
        with self._look_up() as connection:
            found = driver_connection(connection).execute(
                "SELECT id FROM encodings WHERE segment_id IN (SELECT id FROM segments "
                "WHERE vectors_name IN (SELECT value FROM json_each(?))) ORDER BY id",
                (names,),
            )
            ids = np.setdiff1d(np.fromiter((number for (number,) in found), np.int64), gone)
        size = sum(segment.vectors_size for segment in old) // sum(segment.rows for segment in old)
        return _named(ids, len(ids) * size) if len(ids) else None

    def held(self) -> list[NewVectors]:
        """Give the vectors of the change under way."""
        return self._held

    def forget(self) -> None:
        """Hold no vectors any more."""
        self._held = []


def _named(ids: NDArray[np.int64], size: int) -> WrittenSegment:
    """Make the row of a segment, by a name that no file has."""
    name = secrets.token_hex(8)
    return WrittenSegment(ids, f"held {name}", size, "", f"ids {name}", 0, "")


def name_segments(connection: sqlite3.Connection) -> None:
    """Name a segment for all encodings of each kind and encoder of a catalogue, in a transaction that defers its keys.

    Raises:
        sqlite3.Error: an identity is not JSON, or an encoding has no content.
    """
    connection.execute(
        "INSERT INTO segments (kind, encoder_id, rows, vectors_name, vectors_size, vectors_sha256, ids_name, ids_size,"
        " ids_sha256) SELECT kind, encoder_id, count(*), 'held ' || kind || encoder_id,"
        " 4 * count(*) * coalesce((SELECT json_extract(identity, '$.dimension') FROM encoders"
        " WHERE id = encoder_id), 1),"
        " '', 'ids ' || kind || encoder_id, 0, '' FROM encodings JOIN contents ON contents.id = content_id"
        " GROUP BY kind, encoder_id"
    )
    connection.execute(
        "UPDATE encodings SET row = id, segment_id = (SELECT segments.id FROM segments JOIN contents"
        " ON contents.kind = segments.kind WHERE contents.id = content_id"
        " AND segments.encoder_id = encodings.encoder_id)"
    )
