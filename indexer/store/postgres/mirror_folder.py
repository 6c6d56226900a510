"""Temporary folders of mirrors, locked while they are used, so that those that killed writers left can be removed."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from retrieval.collection.layout import WRITER_LOCK, segments_path

_PREFIX = "vlsearch-writer-"
_YOUNG_S = 60.0  # a folder that is younger may not have its lock yet


class MirrorFolder:
    """A new temporary folder in which a catalogue can be made; :meth:`release` removes it.

    Attributes:
        path: of the folder.
    """

    def __init__(self) -> None:
        _remove_abandoned()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._lock = FileLock(self.path / WRITER_LOCK)
        self._lock.acquire()
        segments_path(self.path).mkdir()

    def release(self) -> None:
        """Remove the folder."""
        self._lock.release()
        shutil.rmtree(self.path, ignore_errors=True)


def _remove_abandoned() -> None:
    """Remove folders whose writer was killed; those of other users cannot be opened."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):
            if folder.is_symlink() or time.time() - folder.stat().st_mtime < _YOUNG_S:
                continue
            with FileLock(folder / WRITER_LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
