"""Temporary folders for what is fetched from a store, which the next process removes where one was killed.

Each holds a file that its process keeps locked (flock) as long as it lives: so a folder whose lock can be taken is of
a process that is dead, whatever process has its number now. Where there is no flock (Windows), folders of killed
processes stay.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
import weakref
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = "vlsearch-s3-"
_LOCK = "lock"
_HAS_FLOCK = sys.platform != "win32"


class TemporaryFolder:
    """A folder that only this user can look into; it is deleted with this, when it is closed, or when the process ends.

    Raises:
        OSError: none can be made.
    """

    def __init__(self) -> None:
        _remove_of_dead_processes_once()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = _locked(self.path) if _HAS_FLOCK else None
        self._finalizer = weakref.finalize(self, _remove, self.path, lock)

    def close(self) -> None:
        """Delete it."""
        self._finalizer()


def _locked(folder: Path) -> int:
    import fcntl

    lock = os.open(folder / f"new-{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with suppress(OSError):  # a file system without locks, where nobody else takes one either
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Only now it has the name that others look for: they never see one that is not locked yet.
        (folder / f"new-{_LOCK}").rename(folder / _LOCK)
    return lock


def _remove(folder: Path, lock: int | None) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if lock is not None:
        os.close(lock)


@cache
def _remove_of_dead_processes_once() -> None:
    remove_of_dead_processes(Path(tempfile.gettempdir()))


def remove_of_dead_processes(place: Path) -> None:
    """Remove the folders below ``place`` that killed processes of this user have left; what is in doubt stays.

    No link is followed: a folder and its lock are opened as what they are, and must be this user's alone.
    """
    if not _HAS_FLOCK:
        return
    with suppress(OSError):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in os.listdir(descriptor):  # noqa: PTH208  of a descriptor
                if name.startswith(PREFIX):
                    with suppress(OSError):
                        _remove_if_dead(descriptor, name)
        finally:
            os.close(descriptor)


def _remove_if_dead(place: int, name: str) -> None:
    import fcntl

    folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=place)
    try:
        if not _is_ours_alone(os.fstat(folder)):
            return
        lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            facts = os.fstat(lock)
            if stat.S_ISREG(facts.st_mode) and _is_ours_alone(facts):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # BlockingIOError: its process lives
                shutil.rmtree(name, ignore_errors=True, dir_fd=place)
        finally:
            os.close(lock)
    finally:
        os.close(folder)


def _is_ours_alone(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and not facts.st_mode & 0o077
