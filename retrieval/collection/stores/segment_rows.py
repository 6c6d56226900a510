"""Rows of the catalogue that make segments part of a generation: table ``segments``, and the places of encodings.

Every function runs inside the caller's transaction; those that change rows, inside the one that switches generations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.engine import driver_connection
from retrieval.collection.migrations import ACCELERATORS_SINCE, REGIONS_SINCE
from retrieval.collection.stores.segment_writer import WrittenFile, WrittenSegment
from retrieval.types import Kind


@dataclass(frozen=True, slots=True)
class SegmentLoad:
    """How full a segment is, by its id in the catalogue; ``dead`` are masked rows."""

    id: int
    rows: int
    dead: int
    row_bytes: int


def add_segment(
    connection: Connection, kind: Kind, encoder_id: int, written: WrittenSegment, contents: Sequence[int]
) -> None:
    """Name a segment, and the encodings of contents, by catalogue id, in the order of its ids."""
    segment_id = _insert_segment(connection, kind, encoder_id, written)
    rows = enumerate(zip(written.ids.tolist(), contents, strict=True))
    driver_connection(connection).executemany(
        "INSERT INTO encodings (id, content_id, encoder_id, part, segment_id, row) VALUES (?, ?, ?, 0, ?, ?)",
        ((encoding, content, encoder_id, segment_id, row) for row, (encoding, content) in rows),
    )


def replace_segments(
    connection: Connection, old: Sequence[Row[tuple[object, ...]]], merged: WrittenSegment | None
) -> None:
    """Name one segment in the place of rows of :func:`read_segments`; encodings that it lacks must be gone already."""
    if merged is not None:
        segment_id = _insert_segment(connection, old[0].kind, old[0].encoder_id, merged)
        driver_connection(connection).executemany(
            "UPDATE encodings SET segment_id = ?, row = ? WHERE id = ?",
            ((segment_id, row, int(number)) for row, number in enumerate(merged.ids)),
        )
    segments = schema.segments
    connection.execute(delete(segments).where(segments.c.id.in_([row.id for row in old])))


def drop_segments(connection: Connection, numbers: Iterable[int]) -> None:
    """Take segments out of the catalogue, with all their encodings."""
    segments, encodings, dead = schema.segments, schema.encodings, schema.dead
    for chunk in chunked(numbers):
        lost = select(encodings.c.id).where(encodings.c.segment_id.in_(chunk))
        connection.execute(delete(dead).where(dead.c.encoding_id.in_(lost)))
        connection.execute(delete(encodings).where(encodings.c.segment_id.in_(chunk)))
        connection.execute(delete(segments).where(segments.c.id.in_(chunk)))


def drop_segments_of_others(connection: Connection, encoder_id: int) -> None:
    """Take all segments out of the catalogue, with their encodings, but those of one encoder."""
    segments, encodings, dead = schema.segments, schema.encodings, schema.dead
    others = select(encodings.c.id).where(encodings.c.encoder_id != encoder_id)
    connection.execute(delete(dead).where(dead.c.encoding_id.in_(others)))
    connection.execute(delete(encodings).where(encodings.c.encoder_id != encoder_id))
    connection.execute(delete(segments).where(segments.c.encoder_id != encoder_id))
    for table in (schema.accelerators, schema.regions):
        connection.execute(delete(table).where(table.c.encoder_id != encoder_id))


def read_segments(connection: Connection, numbers: Iterable[int]) -> Sequence[Row[tuple[object, ...]]]:
    """Read rows of segments by id, ascending."""
    segments = schema.segments
    return connection.execute(
        select(segments).where(segments.c.id.in_(list(numbers))).order_by(segments.c.id)
    ).all()


def read_loads(connection: Connection, kind: Kind, encoder_id: int | None) -> list[SegmentLoad]:
    """Read how full the segments of a kind are, in the order of their ids."""
    segments, encodings, dead = schema.segments, schema.encodings, schema.dead
    masked = (
        select(encodings.c.segment_id, func.count().label("n"))
        .join(dead, dead.c.encoding_id == encodings.c.id)
        .group_by(encodings.c.segment_id)
        .subquery()
    )
    rows = connection.execute(
        select(
            segments.c.id, segments.c.rows, segments.c.vectors_size, func.coalesce(masked.c.n, 0).label("n")
        )
        .outerjoin(masked, masked.c.segment_id == segments.c.id)
        .where(segments.c.kind == kind, segments.c.encoder_id == encoder_id)
        .order_by(segments.c.id)
    )
    return [SegmentLoad(row.id, row.rows, row.n, row.vectors_size // row.rows) for row in rows]


def dead_encodings_in(connection: Connection, numbers: Sequence[int]) -> NDArray[np.int64]:
    """Ids of the masked encodings of segments, in no particular order."""
    encodings, dead = schema.encodings, schema.dead
    found = connection.execute(
        select(dead.c.encoding_id)
        .join(encodings, encodings.c.id == dead.c.encoding_id)
        .where(encodings.c.segment_id.in_(numbers))
    ).scalars()
    return np.fromiter(found, np.int64)


def named_files(connection: Connection) -> set[str]:
    """Names of the files of all segments, accelerators and regions in the catalogue."""
    segments = schema.segments
    rows = connection.execute(select(segments.c.vectors_name, segments.c.ids_name))
    names = {name for row in rows for name in row}
    version = schema.schema_version(connection)
    for table, since in ((schema.accelerators, ACCELERATORS_SINCE), (schema.regions, REGIONS_SINCE)):
        if version >= since:
            names.update(connection.execute(select(table.c.name)).scalars())
    return names


def set_accelerator(
    connection: Connection, kind: Kind, encoder_id: int, written: WrittenFile, last: int, measured: str
) -> None:
    """Name the accelerator of a kind and encoder, in the place of the one before.

    Args:
        connection: inside the transaction that switches generations.
        kind: of its vectors.
        encoder_id: of their encoder.
        written: its file.
        last: the last encoding that it covers.
        measured: JSON, its measured recall and speed.
    """
    table = schema.accelerators
    connection.execute(delete(table).where(table.c.kind == kind, table.c.encoder_id == encoder_id))
    connection.execute(
        insert(table).values(
            kind=kind,
            encoder_id=encoder_id,
            rows=written.rows,
            last_encoding=last,
            name=written.name,
            size=written.size,
            sha256=written.sha256,
            measured=measured,
        )
    )


def set_measured(connection: Connection, number: int, measured: str) -> None:
    """Change the measurement of an accelerator, by its id."""
    table = schema.accelerators
    connection.execute(update(table).where(table.c.id == number).values(measured=measured))


def drop_accelerators(connection: Connection, numbers: Iterable[int]) -> None:
    """Take accelerators out of the catalogue; searches scan all vectors from then on."""
    table = schema.accelerators
    connection.execute(delete(table).where(table.c.id.in_(list(numbers))))


def _insert_segment(connection: Connection, kind: Kind, encoder_id: int, written: WrittenSegment) -> int:
    added = insert(schema.segments).values(
        kind=kind,
        encoder_id=encoder_id,
        rows=written.rows,
        vectors_name=written.vectors_name,
        vectors_size=written.vectors_size,
        vectors_sha256=written.vectors_sha256,
        ids_name=written.ids_name,
        ids_size=written.ids_size,
        ids_sha256=written.ids_sha256,
    )
    return int(connection.execute(added.returning(schema.segments.c.id)).scalar_one())
