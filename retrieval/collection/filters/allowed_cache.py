"""What conditions have let through in one generation, kept for later queries."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.types import Kind

if TYPE_CHECKING:
    from retrieval.collection.filters.allowed import Allowed
    from retrieval.expressions import Expression

# Some hundred broad conditions on 10,000 items, a few on ten million.
CACHE_BYTES = 64 * 2**20


class AllowedCache:
    """The last conditions of a generation with what they let through; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[tuple[Kind, str], Allowed] = OrderedDict()
        self._items: dict[Kind, NDArray[np.int64]] = {}

    def get(self, kind: Kind, where: Expression, find: Callable[[], Allowed]) -> Allowed:
        """Give what a condition lets through, found now if it is not known."""
        key = kind, str(where)  # not the expression: Python takes 1, 1.0 and True for one value
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        allowed = find()
        with self._lock:
            self._found[key] = allowed
            while len(self._found) > 1 and self._size_bytes() > CACHE_BYTES:
                self._found.popitem(last=False)
        return allowed

    def items(self, kind: Kind, read: Callable[[], NDArray[np.int64]]) -> NDArray[np.int64]:
        """Give the ids of all items of a kind, ascending, read now if they are not known."""
        items = self._items.get(kind)
        if items is None:
            items = self._items[kind] = read()
        return items

    def _size_bytes(self) -> int:
        return sum(allowed.size_bytes for allowed in self._found.values())
