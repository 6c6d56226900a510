"""Vectors that a collection holds: of contents by their digest, of items by their key."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.statement import Select
from retrieval.collection.stores.base import VectorStore
from retrieval.types import KINDS, Kind


@dataclass(frozen=True, slots=True)
class KeyedVector:
    """The kind of the item with a key, and its vector, (d,) float32; None where it has none yet."""

    kind: Kind
    vector: NDArray[np.float32] | None


def read_vectors(
    connection: sqlite3.Connection,
    encoder_id: int | None,
    store: Callable[[Kind], VectorStore],
    contents: Iterable[tuple[Kind, bytes]],
) -> dict[tuple[Kind, bytes], NDArray[np.float32]]:
    """Read vectors, (d,) float32, of contents by kind and sha256; those without an item or a vector are left out.

    A content whose items are gone is left out though its vector waits for compaction, so that compaction changes
    no answer.
    """
    found = [row for content in set(contents) for row in _BY_DIGEST.rows(connection, encoder_id, *content)]
    vectors: dict[tuple[Kind, bytes], NDArray[np.float32]] = {}
    for kind in KINDS:
        of_kind = [row for row in found if row.kind == kind]
        if of_kind:
            rows = store(kind).vectors(np.array([row.encoding for row in of_kind], np.int64))
            vectors |= {(kind, row.sha256): vector for row, vector in zip(of_kind, rows, strict=True)}
    return vectors


def read_keyed(
    connection: sqlite3.Connection,
    encoder_id: int | None,
    store: Callable[[Kind], VectorStore],
    keys: Sequence[str],
) -> dict[str, tuple[int, KeyedVector]]:
    """Read item ids, kinds and vectors by key; unknown keys are left out."""
    found: dict[str, tuple[int, KeyedVector]] = {}
    for row in _BY_KEY.rows(connection, encoder_id, json.dumps(sorted(set(keys)))):
        vector = None
        if row.encoding is not None:
            vector = store(row.kind).vectors(np.array([row.encoding], np.int64))[0]
        found[row.key] = row.item, KeyedVector(row.kind, vector)
    return found


class _DigestRow(NamedTuple):
    kind: Kind
    sha256: bytes
    encoding: int


class _KeyRow(NamedTuple):
    key: str
    item: int
    kind: Kind
    encoding: int | None


_BY_DIGEST = Select(
    _DigestRow,
    "SELECT contents.kind, contents.sha256, encodings.id FROM contents "
    "JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0 "
    "WHERE contents.kind = ? AND contents.sha256 = ? "
    "AND EXISTS (SELECT 1 FROM items WHERE items.content_id = contents.id)",
)
_BY_KEY = Select(
    _KeyRow,
    "SELECT items.key, items.id, items.kind, encodings.id FROM items "
    "LEFT JOIN encodings ON encodings.content_id = items.content_id AND encodings.encoder_id = ? "
    "AND encodings.part = 0 WHERE items.key IN (SELECT value FROM json_each(?))",
)
