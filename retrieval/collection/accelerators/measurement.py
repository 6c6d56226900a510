"""What was measured of an approximate index when it was built, as a collection keeps it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeVar

_LARGEST_COUNT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Measurement:
    """Recall, speed and memory of an approximate index.

    Attributes:
        recall: share of the exact 10 best that a query found, mean over queries that it was not tuned on, 0 to 1.
        target: the recall that was asked for.
        queries: how many queries it was measured on.
        queried_with: what they were: ``stored texts``, ``stored images`` or ``bundled texts``.
        milliseconds: a query took, exact scores included; median. In a folder on one thread, on a server a client's.
        exact_milliseconds: a scan of all vectors takes; median. In a folder counted up from up to 64 MiB of them.
        bytes_per_vector: in memory.
    """

    recall: float
    target: float
    queries: int
    queried_with: str
    milliseconds: float
    exact_milliseconds: float
    bytes_per_vector: float

    def to_json(self) -> str:
        """Write it as :func:`parse_measurement` reads it."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True, slots=True)
class AcceleratorMeasurement(Measurement):
    """Measurement of an inverted file.

    Attributes:
        cells, rescored, radius_weight: as :class:`~retrieval.collection.accelerators.inverted_file.SearchParameters`
            has them.
    """

    cells: int
    rescored: int
    radius_weight: float


@dataclass(frozen=True, slots=True)
class IndexMeasurement(Measurement):
    """Measurement of a server's index.

    Attributes:
        lists: that the vectors lie in.
        probes: lists that a search looks through.
        filtered_probes: and one under a condition, before it is scaled to the share that meets it.
        proposed: candidates that are scored exactly.
        rows: vectors that there were.
    """

    lists: int
    probes: int
    filtered_probes: int
    proposed: int
    rows: int


_M = TypeVar("_M", bound=Measurement)


def parse_measurement(kind: type[_M], stored: str) -> _M:
    """Read what a collection keeps, which may come from a stranger.

    Raises:
        ValueError: a field is missing, of another type, or out of range: counts are 1 to 2^31 - 1, other numbers finite
            and not below 0.
    """
    try:
        found = json.loads(stored)
        return kind(**{one.name: _value(str(one.type), found[one.name]) for one in fields(kind)})
    except (TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError("the measurement is missing or malformed") from error


def _value(kind: str, found: Any) -> Any:
    if kind == "str" and type(found) is str:
        return found
    if kind == "int" and type(found) is int and 1 <= found <= _LARGEST_COUNT:
        return found
    if (
        kind == "float"
        and type(found) in (int, float)
        and math.isfinite(number := float(found))
        and number >= 0
    ):
        return number
    raise ValueError(f"a measurement has no such {kind}")
