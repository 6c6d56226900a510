"""Pictures that clients search with: kept in memory for a while, by the digest of their bytes, within a bound."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from retrieval.contents import image_digest
from retrieval.server.capacity import Overloaded

RECEIVED_AT_A_TIME = 8  # each is in memory as it comes


class Uploads:
    """Bytes by digest; the longest unused go when a new one does not fit. Nothing is written to disk."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._received = 0
        self._lock = threading.Lock()

    @contextmanager
    def receiving(self) -> Iterator[None]:
        """Receive one picture as the block runs.

        Raises:
            Overloaded: so many others are being received.
        """
        with self._lock:
            if self._received >= RECEIVED_AT_A_TIME:
                raise Overloaded
            self._received += 1
        try:
            yield
        finally:
            with self._lock:
                self._received -= 1

    def add(self, data: bytes) -> str:
        """Keep bytes, and give the digest that names them."""
        name = image_digest(data).hex()
        with self._lock:
            self._kept[name] = data
            self._kept.move_to_end(name)
            while sum(map(len, self._kept.values())) > self._most and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return name

    def get(self, name: str) -> bytes | None:
        """Give the bytes of a digest; None if they are not kept, or no longer."""
        with self._lock:
            data = self._kept.get(name)
            if data is not None:
                self._kept.move_to_end(name)
            return data
