"""Pictures that clients search with: kept for a while, by the digest of their bytes, within a bound."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from retrieval.contents import image_digest
from retrieval.server.capacity import Overloaded

RECEIVED_AT_A_TIME = 8  # each is in memory as it comes


class Uploads:
    """Bytes by digest; the longest unused go when a new one does not fit.

    Args:
        most_bytes: of all of them.
        folder: private and temporary, that several processes share; by default they are in memory and never on disk.
    """

    def __init__(self, most_bytes: int, folder: Path | None = None) -> None:
        self._kept: _InMemory | _InFolder = (
            _InMemory(most_bytes) if folder is None else _InFolder(most_bytes, folder)
        )
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
            self._kept.add(name, data)
        return name

    def get(self, name: str) -> bytes | None:
        """Give the bytes of a digest; None if they are not kept, or no longer."""
        with self._lock:
            return self._kept.get(name)


class _InMemory:
    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def add(self, name: str, data: bytes) -> None:
        self._kept[name] = data
        self._kept.move_to_end(name)
        while sum(map(len, self._kept.values())) > self._most and len(self._kept) > 1:
            self._kept.popitem(last=False)

    def get(self, name: str) -> bytes | None:
        data = self._kept.get(name)
        if data is not None:
            self._kept.move_to_end(name)
        return data


class _InFolder:
    """A file of each, whose time is that of its last use."""

    def __init__(self, most_bytes: int, folder: Path) -> None:
        self._most, self._folder = most_bytes, folder

    def add(self, name: str, data: bytes) -> None:
        part = self._folder / f".{secrets.token_hex(8)}"
        part.write_bytes(data)
        part.replace(self._folder / name)
        self._drop_all_but(name)

    def get(self, name: str) -> bytes | None:
        if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
            return None
        path = self._folder / name
        with contextlib.suppress(FileNotFoundError):  # another process has dropped it
            os.utime(path)
            return path.read_bytes()
        return None

    def _drop_all_but(self, new: str) -> None:
        files = []
        for path in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                found = path.stat()
                files.append((found.st_mtime_ns, path, found.st_size))
        total = sum(size for _, _, size in files)
        for _, path, size in sorted(files):
            if total <= self._most:
                return
            if path.name != new:
                path.unlink(missing_ok=True)
                total -= size
