"""Items that a condition lets through in one generation, and the vectors of their contents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.filters.evaluate import Evaluation
from retrieval.collection.statement import ReadConnection, SelectIds, id_list
from retrieval.collection.stores import KindStore
from retrieval.expressions import Expression
from retrieval.types import Kind

ID_BYTES = 8
BROAD_SHARE = 1 / 8  # of a kind's items: from there on all of its encodings are read, in one pass


@dataclass(frozen=True, slots=True, eq=False)
class Allowed:
    """Items of one kind that meet a condition and are not hidden.

    Attributes:
        items: their ids, ascending int64.
        store: the vectors of their contents.
    """

    items: NDArray[np.int64]
    store: KindStore

    def admits(self, items: Sequence[int]) -> list[bool]:
        """Tell for each item, by its id, whether it is among them."""
        if not len(self.items):
            return [False] * len(items)
        asked = np.array(items, np.int64)
        found: list[bool] = (
            self.items.take(np.searchsorted(self.items, asked), mode="clip") == asked
        ).tolist()
        return found

    @property
    def size_bytes(self) -> int:
        """About the memory that it takes."""
        return ID_BYTES * (len(self.items) + 3 * self.store.rows)


@dataclass(frozen=True, slots=True)
class Searched:
    """Whose items a condition is applied to: one kind of one generation.

    Attributes:
        connection: in a read transaction.
        schema: the catalogue's.
        kind: of the items.
        items: ids of all items of the kind, ascending.
        hidden: ids of those that are hidden.
        encoder_id: of the vectors.
        store: the vectors.
    """

    connection: ReadConnection
    schema: int
    kind: Kind
    items: NDArray[np.int64]
    hidden: NDArray[np.int64]
    encoder_id: int | None
    store: KindStore


def find_allowed(searched: Searched, where: Expression) -> Allowed:
    """Find what a condition lets through.

    Raises:
        FilterError: it names a field that no item has, or compares one with what it never is.
    """
    items = allowed_items(searched, where)
    return Allowed(items, searched.store.only(_encodings_of(searched, items)))


def allowed_items(searched: Searched, where: Expression) -> NDArray[np.int64]:
    """Find the items that meet a condition and are not hidden; ids, ascending int64."""
    evaluation = Evaluation(searched.connection, searched.kind, searched.schema, searched.items)
    met = searched.items[evaluation.mask(where)]
    return np.setdiff1d(met, searched.hidden, assume_unique=True) if len(searched.hidden) else met


def items_of_kind(connection: ReadConnection, kind: Kind) -> NDArray[np.int64]:
    """Read the ids of all items of a kind, ascending."""
    return _OF_KIND.array(connection, kind)


def _encodings_of(searched: Searched, items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Read the ids of the encodings of items, ascending, each once."""
    if len(items) < BROAD_SHARE * len(searched.items):
        found = _ENCODINGS.array(searched.connection, searched.encoder_id, id_list(items.tolist()))
        return np.unique(found)
    of_kind = searched.connection, searched.encoder_id, searched.kind
    owners, encodings = _OWNERS.array(*of_kind), _ALL_ENCODINGS.array(*of_kind)
    return np.unique(encodings[np.isin(owners, items)])


_JOINED = (
    "FROM items JOIN encodings ON encodings.content_id = items.content_id AND encodings.encoder_id = ? "
    "WHERE items.{} ORDER BY items.id, encodings.id"
)
_OF_KIND = SelectIds("SELECT id FROM items WHERE kind = ? ORDER BY id")
_ENCODINGS = SelectIds("SELECT encodings.id " + _JOINED.format("id IN (SELECT value FROM json_each(?))"))
_OWNERS = SelectIds("SELECT items.id " + _JOINED.format("kind = ?"))
_ALL_ENCODINGS = SelectIds("SELECT encodings.id " + _JOINED.format("kind = ?"))
