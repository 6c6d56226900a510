"""Copies on this machine of objects that are read from end to end: tables and tars, in a temporary folder.

A reader of files reads the copy. While a tar's copy is there, the pictures in it are read from it as well, so that the
bytes come over the network once.
"""

from __future__ import annotations

import os
import shutil
import threading
import weakref
from hashlib import sha256
from pathlib import Path

from retrieval.locations.object_store import StoreFault, copy_object
from retrieval.locations.temporary_folders import TemporaryFolder
from retrieval.types import StoredObject

_SPARE = 2**30  # bytes that are left free on the disk

_copies: dict[StoredObject, Path] = {}
_lock = threading.Lock()


class CopiesFolder(TemporaryFolder):
    """A temporary folder for copies; they go with it."""

    def __init__(self) -> None:
        super().__init__()
        weakref.finalize(self, _forget, self.path)


def _forget(folder: Path) -> None:
    with _lock:
        for at, path in list(_copies.items()):
            if path.is_relative_to(folder):
                del _copies[at]


def copy_to(at: StoredObject, path: Path) -> Path:
    """Copy an object to a file that is not there yet.

    The file's time is the object's, and its part of a second is made of the ETag: so a stamp of the copy, from size and
    time, tells one version of the object from another, in any run.

    Raises:
        StoreFault: it cannot be read, or the disk has no room for it.
    """
    copy_file(at, path)
    with _lock:
        _copies[at] = path
    return path


def copy_file(at: StoredObject, path: Path) -> None:
    """Copy an object as :func:`copy_to` does, for who alone knows of the copy."""
    assert at.size is not None, "it was listed"
    free = shutil.disk_usage(path.parent).free
    if at.size + _SPARE > free:
        raise StoreFault(
            f"it is read from a copy of {at.size:,} bytes in {path.parent.parent}, where {free:,} are free; "
            "set TMPDIR to a larger place"
        )
    with path.open("xb") as file:
        copy_object(at, file)
    second, part = at.modified_ns // 10**9, int(sha256(at.stamp.encode()).hexdigest()[:15], 16) % 10**9
    moment = second * 10**9 + part
    os.utime(path, ns=(moment, moment))


def drop_copy(at: StoredObject) -> None:
    """Delete the copy of an object; whoever reads from it has read."""
    with _lock:
        path = _copies.pop(at, None)
        if path is not None:
            path.unlink(missing_ok=True)


def read_copy(at: StoredObject, offset: int, length: int, most: int) -> bytes | None:
    """Read some bytes of an object from its copy; None where there is none.

    Raises:
        OverflowError: they are more than ``most``.
    """
    if length > most:
        raise OverflowError(length)
    with _lock:
        path = _copies.get(at)
        if path is None:
            return None
        file = path.open("rb")
    with file:
        file.seek(offset)
        data = file.read(length)
    return data if len(data) == length else None
