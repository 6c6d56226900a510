"""A collection loaded into a new folder, which takes its name when it is whole and checked."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from indexer.exchange.tables import ENCODINGS, TABLES, Tallied, VectorId, check_equal
from indexer.store.attribute_rows import rebuild_values
from indexer.store.many_rows import write_rows
from indexer.store.word_rows import rebuild_words
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.collection.stores.segment_rows import add_segment
from retrieval.collection.stores.segment_writer import WrittenSegment
from retrieval.errors import UsageError
from retrieval.identity import Identity
from retrieval.types import KINDS, Kind

SEGMENT_BYTES = 256 * 2**20


def load_folder(source: Tallied, target: Path, generation: int, identity: Identity) -> None:
    """Load a collection; see :func:`indexer.exchange.copying.copy_collection`.

    Raises:
        UsageError: something is there.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UsageError(f"{target} is there already; copy into a new folder")
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        with Writer(building) as writer:
            _fill(writer, source, generation, identity.dimension)
        with Collection.open(building) as opened, opened.reading() as view:
            copy = Tallied(view.connection, source.encoder_id, view.vectors, building)
            check_equal(source.tallies, copy.read_all())
        if target.exists():
            target.rmdir()
        building.chmod(0o755)  # mkdtemp makes folders that only their owner sees
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _fill(writer: Writer, source: Tallied, generation: int, dimension: int) -> None:
    most = max(1, SEGMENT_BYTES // (4 * dimension))
    with writer.new_files():
        segments = [one for kind in KINDS for one in _write_vectors(writer, source, kind, generation, most)]
        with writer.catalogue.switch(generation) as connection:
            for table in TABLES:
                if table is not ENCODINGS:
                    _write_rows(
                        connection, table.name, table.columns, chain.from_iterable(source.rows(table))
                    )
                    continue
                for kind, written, contents in segments:
                    add_segment(connection, kind, source.encoder_id, written, contents.tolist())
                for _ in source.rows(table):  # which came with the segments; tallied as on the other side
                    pass
            for name, number in source.last_ids():
                connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
                connection.exec_driver_sql(
                    "INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, number)
                )
            rebuild_values(connection)
            rebuild_words(connection)


def _write_rows(
    connection: Connection, table: str, columns: tuple[str, ...], rows: Iterator[tuple[object, ...]]
) -> None:
    write_rows(
        connection,
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
        rows,
    )


def _write_vectors(
    writer: Writer, source: Tallied, kind: Kind, generation: int, most: int
) -> Iterator[tuple[Kind, WrittenSegment, NDArray[np.int64]]]:
    """Write segments of up to so many rows, of which one at a time is in memory; give each with its contents."""
    held: list[tuple[list[VectorId], NDArray[np.float32]]] = []

    def written() -> tuple[Kind, WrittenSegment, NDArray[np.int64]]:
        rows = np.array([row for page, _ in held for row in page], np.int64)
        segment = writer.vectors.write(
            generation, np.ascontiguousarray(rows[:, 0]), [vectors for _, vectors in held]
        )
        held.clear()
        return kind, segment, rows[:, 1]

    for page, vectors in source.vectors(kind):
        if held and sum(len(one) for one, _ in held) + len(page) > most:
            yield written()
        held.append((page, vectors))
    if held:
        yield written()
