"""Vectors that a collection holds: of contents by their digest, of items by their key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select, type_coerce

from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.column_types import OptionalNumber
from retrieval.collection.snapshot import Snapshot
from retrieval.collection.stores.base import VectorStore
from retrieval.types import Kind


@dataclass(frozen=True, slots=True)
class KeyedVector:
    """The kind of the item with a key, and its vector, (d,) float32; None where it has none yet."""

    kind: Kind
    vector: NDArray[np.float32] | None


def read_vectors(
    connection: Connection,
    snapshot: Snapshot,
    store: Callable[[Kind], VectorStore],
    contents: Iterable[tuple[Kind, bytes]],
) -> dict[tuple[Kind, bytes], NDArray[np.float32]]:
    """Vectors, (d,) float32, of contents by kind and sha256; those that no item has, or without a vector, left out.

    A content whose items are gone is left out though its vector waits for compaction, so that compaction changes
    no answer.
    """
    table, encodings, items = schema.contents, schema.encodings, schema.items
    wanted = set(contents)
    used = select(items.c.id).where(items.c.content_id == table.c.id).exists()
    statement = (
        select(table.c.kind, table.c.sha256, encodings.c.id)
        .join(encodings, encodings.c.content_id == table.c.id)
        .where(encodings.c.encoder_id == snapshot.encoder_id, encodings.c.part == 0, used)
    )
    found = []
    for chunk in chunked(sorted({digest for _, digest in wanted})):
        rows = connection.execute(statement.where(table.c.sha256.in_(chunk)))
        found += [row for row in rows if (row.kind, row.sha256) in wanted]
    vectors: dict[tuple[Kind, bytes], NDArray[np.float32]] = {}
    for kind in {row.kind for row in found}:
        of_kind = [row for row in found if row.kind == kind]
        table_of_kind = store(kind).vectors(np.array([row.id for row in of_kind], np.int64))
        vectors |= {(kind, row.sha256): vector for row, vector in zip(of_kind, table_of_kind, strict=True)}
    return vectors


def read_keyed(
    connection: Connection, snapshot: Snapshot, store: Callable[[Kind], VectorStore], keys: Sequence[str]
) -> dict[str, KeyedVector]:
    """Items by key that are not hidden; unknown keys are left out."""
    items, encodings = schema.items, schema.encodings
    statement = select(
        items.c.key, items.c.id, items.c.kind, type_coerce(encodings.c.id, OptionalNumber()).label("encoding")
    ).outerjoin(
        encodings,
        (encodings.c.content_id == items.c.content_id)
        & (encodings.c.encoder_id == snapshot.encoder_id)
        & (encodings.c.part == 0),
    )
    found: dict[str, KeyedVector] = {}
    for chunk in chunked(sorted(set(keys))):
        for row in connection.execute(statement.where(items.c.key.in_(chunk))):
            if not snapshot.hides(row.id):
                vector = None
                if row.encoding is not None:
                    vector = store(row.kind).vectors(np.array([row.encoding], np.int64))[0]
                found[row.key] = KeyedVector(row.kind, vector)
    return found
