"""Videos of a store as files: the decoder of videos opens a file itself, and a worker process reaches no store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ImageError, ImageUnreadable, MissingExtra
from retrieval.locations.fetch import too_large
from retrieval.suffixes import suffix_of
from retrieval.types import Limits, StoredObject

if TYPE_CHECKING:
    from retrieval.locations.temporary_folders import TemporaryFolder

_KEPT_BYTES = 2**31  # several videos are listed before the frames of the first are read; each is fetched once


@dataclass(slots=True)
class _Fetched:
    path: Path
    size: int
    readers: int = 0


class FetchedVideos:
    """The videos that were fetched last, 2 GiB at most or one, in a temporary folder; for any number of threads."""

    def __init__(self) -> None:
        self._fetching, self._counting = threading.Lock(), threading.Lock()
        self._kept: OrderedDict[StoredObject, _Fetched] = OrderedDict()
        self._folder: TemporaryFolder | None = None
        self._numbers = count()

    def close(self) -> None:
        """Delete them."""
        with self._counting:
            self._kept.clear()
            if self._folder is not None:
                self._folder.close()
            self._folder = None

    @contextmanager
    def file(self, at: StoredObject, limits: Limits) -> Iterator[Path]:
        """Give an object as a file, for the length of a block; it is fetched if it is not there.

        Raises:
            ImageUnreadable: the store does not give it now, or the disk has no room for it.
            ImageError: it is larger than the limits allow.
        """
        with self._fetching:
            fetched = self._kept.get(at) or self._fetch(at, limits)
            with self._counting:
                fetched.readers += 1
        try:
            yield fetched.path
        finally:
            with self._counting:
                fetched.readers -= 1

    def _fetch(self, at: StoredObject, limits: Limits) -> _Fetched:
        from retrieval.locations.object_store import (
            StoreFault,
            find_object,
        )  # late: few pictures lie in a store

        try:
            found = at if at.size is not None else find_object(at.bucket, at.key)
            if found is None or found.size is None:
                raise ImageError("cannot be read (there is no such object)")
            if found.size > limits.file_bytes:
                raise too_large(found.size, limits)
            if found in self._kept:
                return self._kept[found]
            self._make_room(found.size)
            path = self._copy(found)
        except StoreFault as fault:
            raise ImageUnreadable(f"cannot be read ({fault})") from fault
        except MissingExtra as missing:
            raise ImageUnreadable(str(missing)) from missing
        except OSError as error:
            raise ImageUnreadable(f"cannot be copied to be read ({error.strerror})") from error
        self._kept[found] = _Fetched(path, found.size)
        return self._kept[found]

    def _copy(self, at: StoredObject) -> Path:
        from retrieval.locations.object_copies import copy_file  # late, as above
        from retrieval.locations.temporary_folders import TemporaryFolder

        self._folder = self._folder or TemporaryFolder()
        path = self._folder.path / f"{next(self._numbers)}{suffix_of(at.name)}"
        try:
            copy_file(at, path)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _make_room(self, size: int) -> None:
        """Delete the oldest videos that nobody reads, as far as the one that comes needs it."""
        with self._counting:
            for at, one in list(self._kept.items()):
                if size + sum(kept.size for kept in self._kept.values()) <= _KEPT_BYTES:
                    return
                if not one.readers:
                    del self._kept[at]
                    one.path.unlink(missing_ok=True)
