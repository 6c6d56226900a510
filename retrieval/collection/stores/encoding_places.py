"""In which row of which segment an encoding lies, by its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]


class Identified(Protocol):
    """A segment: ids of its rows, (n,) int64, ascending."""

    ids: Numbers
    rows: int


class Held(NamedTuple):
    """What a segment holds of some encodings.

    ``number`` is the segment's; ``places`` say which of the encodings it holds, and ``rows`` in which of its rows.
    """

    number: int
    places: Numbers | slice
    rows: Numbers


class EncodingPlaces:
    """The encoding ids of disjoint segments; reads no more of them than it must."""

    def __init__(self, segments: Sequence[Identified]) -> None:
        self._segments = segments
        self._first = np.array([segment.ids[0] for segment in segments], np.int64)
        self.last = np.array([segment.ids[-1] for segment in segments], np.int64)
        """The highest id of each segment."""
        # each id can be in one segment alone, as writing and merging leave them
        self._are_apart = bool((self._first[1:] > self.last[:-1]).all())
        rows = np.array([segment.rows for segment in segments], np.int64)
        self._are_consecutive: list[bool] = (self.last - self._first == rows - 1).tolist()

    def find(self, ids: Numbers) -> Iterator[Held]:
        """Find encodings; of ascending ids those that a segment holds are mostly a slice."""
        if not self._are_apart:
            for number in range(len(self._segments)):
                yield self._held(number, ids, np.arange(len(ids)))
            return
        order = None if (ids[1:] >= ids[:-1]).all() else np.argsort(ids)
        ascending = ids if order is None else ids[order]
        starts, stops = (
            np.searchsorted(ascending, self._first),
            np.searchsorted(ascending, self.last, "right"),
        )
        for number in np.flatnonzero(stops > starts).tolist():
            part = slice(int(starts[number]), int(stops[number]))
            if self._are_consecutive[number]:  # all of them are held
                rows = ascending[part] - self._first[number]
                yield Held(number, part if order is None else order[part], rows)
            else:
                among = np.arange(part.start, part.stop) if order is None else order[part]
                yield self._held(number, ascending[part], among)

    def _held(self, number: int, ids: Numbers, among: Numbers) -> Held:
        """Look ids up in a segment's; ``among`` are their places among all that are asked for."""
        every = self._segments[number].ids
        at = np.minimum(np.searchsorted(every, ids), len(every) - 1)
        held = every[at] == ids
        return Held(number, among[held], at[held])
