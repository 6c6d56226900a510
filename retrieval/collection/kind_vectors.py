"""All vectors of the items of a kind, read together: for what looks at a collection as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.statement import ReadConnection, Select
from retrieval.collection.stores import KindStore
from retrieval.types import Kind
from retrieval.unit_rows import are_unit


@dataclass(frozen=True, slots=True, eq=False)
class KindVectors:
    """Items and the vectors of their contents; items of equal contents share a row.

    Attributes:
        ids: (n,) int64 item ids, ascending.
        rows: (n,) int64, the row of ``vectors`` that belongs to each item.
        vectors: (m, d) float32 unit rows, m <= n, in the order in which they were encoded.
    """

    ids: NDArray[np.int64]
    rows: NDArray[np.int64]
    vectors: NDArray[np.float32]


def read_kind_vectors(
    connection: ReadConnection,
    encoder_id: int | None,
    store: KindStore,
    kind: Kind,
    wanted: NDArray[np.int64],
) -> KindVectors:
    """Read the vectors of items by id, ascending; items without a vector, or with a damaged one, are left out.

    Args:
        connection: in a read transaction.
        encoder_id: of the vectors.
        store: of the kind.
        kind: of the items.
        wanted: their ids, ascending.

    Raises:
        KeyError, IndexError: as the store.
    """
    pairs = np.array(_ENCODED.rows(connection, encoder_id, kind), np.int64).reshape(-1, 2)
    pairs = pairs[np.isin(pairs[:, 0], wanted)]
    encodings, rows = np.unique(pairs[:, 1], return_inverse=True)
    vectors = store.vectors(encodings)
    sound = are_unit(vectors)
    if not sound.all():
        kept = sound[rows]
        pairs, rows, vectors = pairs[kept], (np.cumsum(sound) - 1)[rows[kept]], vectors[sound]
    return KindVectors(pairs[:, 0], rows.astype(np.int64), vectors)


class _Encoded(NamedTuple):
    item: int
    encoding: int


_ENCODED = Select(
    _Encoded,
    "SELECT items.id, encodings.id FROM items JOIN encodings ON encodings.content_id = items.content_id "
    "AND encodings.encoder_id = ? AND encodings.part = 0 WHERE items.kind = ? ORDER BY items.id",
)
