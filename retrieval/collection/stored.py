"""Vectors that a collection holds: of contents by their digest, of items by their key."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.catalogue import chunked
from retrieval.collection.statement import ReadConnection, Select, id_list
from retrieval.collection.stores.protocols import VectorStore
from retrieval.types import KINDS, Kind

DIGESTS_A_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class StoredVector:
    """The kind of an item, and its vector, (d,) float32; None where it has none yet."""

    kind: Kind
    vector: NDArray[np.float32] | None


def read_vectors(
    connection: ReadConnection,
    encoder_id: int | None,
    store: Callable[[Kind], VectorStore],
    contents: Iterable[tuple[Kind, bytes]],
) -> dict[tuple[Kind, bytes], NDArray[np.float32]]:
    """Read vectors, (d,) float32, of contents by kind and sha256; those without an item or a vector are left out.

    A content whose items are gone is left out though its vector waits for compaction, so that compaction changes
    no answer.
    """
    wanted = set(contents)
    vectors: dict[tuple[Kind, bytes], NDArray[np.float32]] = {}
    for kind in KINDS:
        digests = [digest for of_kind, digest in wanted if of_kind == kind]
        for chunk in chunked(digests, DIGESTS_A_STATEMENT):
            found = _by_digest(len(chunk)).rows(connection, encoder_id, kind, *chunk)
            rows = store(kind).vectors(np.array([row.encoding for row in found], np.int64))
            vectors |= {(kind, row.sha256): vector for row, vector in zip(found, rows, strict=True)}
    return vectors


def read_keyed(
    connection: ReadConnection,
    encoder_id: int | None,
    store: Callable[[Kind], VectorStore],
    keys: Sequence[str],
) -> dict[str, tuple[int, StoredVector]]:
    """Read item ids, kinds and vectors by key; unknown keys are left out."""
    rows = _BY_KEY.rows(connection, encoder_id, json.dumps(sorted(set(keys))))
    return {row.key: (row.item, _stored(store, row)) for row in rows if row.key is not None}


def read_by_id(
    connection: ReadConnection,
    encoder_id: int | None,
    store: Callable[[Kind], VectorStore],
    ids: Iterable[int],
) -> dict[int, StoredVector]:
    """Read kinds and vectors of items by id; ids of no item are left out."""
    return {row.item: _stored(store, row) for row in _BY_ID.rows(connection, encoder_id, id_list(ids))}


def _stored(store: Callable[[Kind], VectorStore], row: _ItemRow) -> StoredVector:
    if row.encoding is None:
        return StoredVector(row.kind, None)
    return StoredVector(row.kind, store(row.kind).vectors(np.array([row.encoding], np.int64))[0])


class _DigestRow(NamedTuple):
    sha256: bytes
    encoding: int


class _ItemRow(NamedTuple):
    key: str | None
    item: int
    kind: Kind
    encoding: int | None


@cache
def _by_digest(count: int) -> Select[_DigestRow]:
    """Make the statement for so many digests; JSON, which takes any number of ids, has no bytes."""
    return Select(
        _DigestRow,
        "SELECT contents.sha256, encodings.id FROM contents "
        "JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0 "
        f"WHERE contents.kind = ? AND contents.sha256 IN ({', '.join('?' * count)}) "
        "AND EXISTS (SELECT 1 FROM items WHERE items.content_id = contents.id)",
    )


_OF_ITEM = (
    "SELECT items.key, items.id, items.kind, encodings.id FROM items "
    "LEFT JOIN encodings ON encodings.content_id = items.content_id AND encodings.encoder_id = ? "
    "AND encodings.part = 0 WHERE "
)
_BY_KEY = Select(_ItemRow, _OF_ITEM + "items.key IN (SELECT value FROM json_each(?))")
_BY_ID = Select(_ItemRow, _OF_ITEM + "items.id IN (SELECT value FROM json_each(?))")
