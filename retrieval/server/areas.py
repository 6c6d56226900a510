"""Areas of the map of a collection, as conditions that go with others."""

from __future__ import annotations

import numpy as np
from fastapi import HTTPException
from numpy.typing import NDArray

from retrieval.analysis.collection_map import CollectionMap
from retrieval.expressions import And, Expression, ItemIds
from retrieval.server.context import Context
from retrieval.server.served import Served

STEPS = 10_000
"""Of a coordinate: places on a map are whole numbers from 0 to this, which draw the same and are a third as long."""


class MapUnderWay(HTTPException):
    """An area is asked for before there is a map."""

    def __init__(self) -> None:
        super().__init__(503, "the map is being made; ask again in a moment", {"Retry-After": "2"})


def within_area(
    shared: Context, served: Served, where: Expression | None, area: str | None
) -> Expression | None:
    """Give a condition, or none, narrowed down to an area of the map.

    Raises:
        MapUnderWay: there is no map yet; it is begun.
    """
    if area is None:
        return where
    found = shared.maps.ask(served).result
    if found is None:
        raise MapUnderWay
    inside = ItemIds(_ids_within(found, area).astype(np.int64).tobytes())
    return inside if where is None else And((where, inside))


def places_of(found: CollectionMap) -> NDArray[np.int64]:
    """Give the points of a map in steps, (n, 2)."""
    return np.rint(found.coordinates * STEPS).astype(np.int64)


def _ids_within(found: CollectionMap, area: str) -> NDArray[np.int64]:
    left, bottom, right, top = map(int, area.split(","))
    x, y = places_of(found).T
    inside: NDArray[np.int64] = found.ids[(x >= left) & (x <= right) & (y >= bottom) & (y <= top)]
    return inside
