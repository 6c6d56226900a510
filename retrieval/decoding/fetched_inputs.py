"""What lies on the network or in a table, where a worker process can read it: it reaches neither."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.decoding.fetched_videos import FetchedVideos
from retrieval.file_kinds import is_opened_in_place
from retrieval.locations.fetch import read_bytes
from retrieval.types import CellBytes, InlineBytes, Limits, Location, ObjectBytes, PartBytes, UrlBytes


class FetchedInputs:
    """Bytes and files that are fetched for workers; of an object, the last one is kept, as are a few videos.

    Any number of threads may ask.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._videos = FetchedVideos()
        self._reading_object = threading.Lock()
        self._last_object: tuple[object, bytes] | None = None

    def close(self) -> None:
        """Delete the videos."""
        self._videos.close()

    @contextmanager
    def at_hand(self, location: Location) -> Iterator[Location]:
        """Give where a worker reads an image, for the length of a block.

        Raises:
            ImageUnreadable: its bytes cannot be read from where they are.
            ImageError: they are more than the limits allow.
        """
        if isinstance(location, UrlBytes | CellBytes):  # tables are read by a limited process of their own
            yield InlineBytes(read_bytes(location, self._limits))
        elif not isinstance(location, ObjectBytes):
            yield location
        elif is_opened_in_place(location.name) and not location.member:
            with self._videos.file(location.object, self._limits) as path:
                yield PartBytes(path, location.part)
        else:
            yield InlineBytes(self._object(location), location.part)

    def _object(self, location: ObjectBytes) -> bytes:
        """Read an object, of which several pictures are asked for one after the other, only once for them."""
        if not (location.place or location.part):
            return read_bytes(location, self._limits)
        file = (location.object, location.offset)
        with self._reading_object:
            if self._last_object is None or self._last_object[0] != file:
                self._last_object = None
                self._last_object = (file, read_bytes(location, self._limits))
            return self._last_object[1]
