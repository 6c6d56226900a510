"""Maps of a collection: its items as points in a plane, by what they show."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis.map_cache import find_map, keep_map, key_of
from retrieval.analysis.plane import METHODS, MapMethod, lay_out, method_for
from retrieval.errors import CollectionEmpty, UsageError
from retrieval.types import Kind

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.expressions import Expression

HELD = 4  # maps in memory, of a million points 16 MB each


@dataclass(frozen=True, slots=True, eq=False)
class CollectionMap:
    """Items as points in a plane; what is alike lies together, and distances across the plane mean little.

    Attributes:
        ids: (n,) int64 ids of the items, ascending.
        coordinates: (n, 2) float32, x to the right and y upwards in [0, 1], both by one scale; items of equal
            contents lie on one point.
        method: how they were laid out: ``tsne``, or ``pca`` (few items, or the extra ``map`` is missing).
        generation: of the collection that was looked at.
    """

    ids: NDArray[np.int64]
    coordinates: NDArray[np.float32]
    method: MapMethod
    generation: int


class CollectionMaps:
    """Makes maps of one collection, and holds the last; many threads may share it, of which one computes."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._held: OrderedDict[tuple[object, ...], CollectionMap] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, kind: Kind, where: Expression | None, wanted: MapMethod | None) -> CollectionMap:
        """Give the map of the items of a kind that meet a condition and are not hidden; nothing is encoded.

        The same items and vectors give the same map, on one machine with the same packages. Made once for a
        generation; a map of 1,000 and more contents is kept in the user's cache folder, and found there as long as
        the vectors are the same. The first call takes seconds for thousands of pictures and minutes for 100,000
        (docs/python.md); a second thread that asks meanwhile waits for it.

        Args:
            kind: of the items.
            where: which of them.
            wanted: ``tsne`` (extra ``map``) or ``pca``; None for t-SNE where the extra is installed, else PCA. Fewer
                than 12 different contents are always laid out by PCA.

        Returns:
            Item ids, (n,) int64 ascending, with coordinates, (n, 2) float32 in [0, 1]; n is 0 where no item meets
            ``where``.

        Raises:
            CollectionEmpty: nothing was indexed.
            FilterError: ``where`` is at fault.
            MissingExtra: ``tsne`` is wanted and not installed.
            UsageError: there is no such kind or method.
        """
        if wanted not in (None, *METHODS):
            raise UsageError(f"the method is {wanted!r}; choose one of {', '.join(METHODS)}")
        with self._lock:
            with self._collection.reading() as view:
                if view.identity is None:
                    raise CollectionEmpty(self._collection.path)
                key = (view.generation, kind, where, wanted)
                if key in self._held:
                    self._held.move_to_end(key)
                    return self._held[key]
                generation, found = view.generation, view.vectors_of_kind(kind, where)
            method = method_for(len(found.vectors), wanted)
            made = CollectionMap(found.ids, _points_of(found.vectors, method)[found.rows], method, generation)
            self._held[key] = made
            while len(self._held) > HELD:
                self._held.popitem(last=False)
            return made


def _points_of(vectors: NDArray[np.float32], method: MapMethod) -> NDArray[np.float32]:
    """Lay vectors out, or read how that was done before."""
    key = key_of(vectors, method)
    points = find_map(key, len(vectors))
    if points is None:
        points = lay_out(vectors, method)
        keep_map(key, points)
    return points
