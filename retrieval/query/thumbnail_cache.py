"""Thumbnails on disk, within a bound: files named by content, made whole or not at all, the longest unused go first."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from pathlib import Path

from retrieval.signatures import is_webp

KEPT_BELOW = 0.9  # of the bound, once it is passed: so that not every new file looks through the folder again
USED_AGAIN_S = 3600.0  # a file's time is brought up to date at most this often: a read stays a read


class ThumbnailCache:
    """A folder of WebP files by name; thread-safe, and processes may share one.

    What cannot be read or written is as if it were not there: a cache is a saving and not a store.

    Args:
        folder: made when the first file is written.
        most_bytes: of all files together; 0 keeps none.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder, self._most = folder, most_bytes
        self._held: int | None = None  # bytes; None until the folder has been looked through
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes | None:
        """Give the file of a name; None if there is none, or what is there is not a WebP."""
        path = self._path(name)
        try:
            data = path.read_bytes()
            if time.time() - path.stat().st_mtime > USED_AGAIN_S:
                os.utime(path)
        except OSError:
            return None
        return data if is_webp(data) else None

    def write(self, name: str, data: bytes) -> None:
        """Keep a file, and drop the longest unused ones where the bound is passed."""
        if len(data) > self._most:
            return
        path = self._path(name)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            self._count(len(data))

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.webp"

    def _count(self, added: int) -> None:
        with self._lock:
            if self._held is None:
                self._held = sum(size for _, size, _ in self._files())
            else:
                self._held += added
            if self._held > self._most:
                self._held = self._drop()

    def _drop(self) -> int:
        """Remove files until few enough bytes are left, and give their number."""
        files = sorted(self._files())
        held = sum(size for _, size, _ in files)
        for _, size, path in files:
            if held <= KEPT_BELOW * self._most:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                held -= size
        return held

    def _files(self) -> list[tuple[float, int, Path]]:
        """List last use, bytes and path of each file, ours and what a killed process left half written."""
        found = []
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime, stat.st_size, path))
        return found
