"""The writer's lock, and the folders of a collection that is made: what comes before a catalogue is opened to write."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from filelock import FileLock, Timeout

from indexer.store.file_systems import check_local
from retrieval.catalogue_name import is_collection
from retrieval.collection.folder import (
    catalogue_is_empty,
    check_files,
    has_segments,
    sync_folder,
    without_catalogue,
)
from retrieval.collection.layout import (
    CATALOGUE_FILES,
    JOURNAL,
    SEGMENTS,
    WRITER_LOCK,
    segments_path,
)
from retrieval.errors import CollectionError, CollectionLocked, UsageError
from retrieval.postgres_address import require_folder

LONGEST_WAIT_S = 1e9
LEAST_WAIT_S = 0.5
"""A writer that is killed just as it starts a child leaves it the lock until the child has become another program."""


def take_lock(collection: Path, timeout_s: float) -> FileLock:
    """Take the lock of a collection's one writer; make the collection's folders where there are none.

    Args:
        collection: its folder.
        timeout_s: how long to wait for another writer to end, >= 0; :data:`LEAST_WAIT_S` at least.

    Raises:
        CollectionLocked: another process (or another writer here) holds the lock, and held it that long.
        CollectionError: the folder cannot be written, or is on a network file system.
        CollectionDamaged: a file is a link or not a regular file, or the catalogue is gone and segment files are there.
        UsageError: there is no collection yet and the folder has other files in it, or the timeout is negative.
    """
    require_folder(collection)
    check_local(collection)
    try:
        _check_free(collection)
        check_files(collection, writes=True)
        if catalogue_is_empty(collection) and has_segments(collection):
            raise without_catalogue(collection)
        _make_folders(collection)
        lock = FileLock(collection / WRITER_LOCK, timeout=max(LEAST_WAIT_S, checked_timeout(timeout_s)))
        lock.acquire()
    except Timeout as error:
        raise CollectionLocked(collection) from error
    except OSError as error:
        raise CollectionError(
            f"collection {collection} cannot be written ({error.strerror}); check the path and your rights to it"
        ) from error
    return lock


def checked_timeout(timeout_s: float) -> float:
    """Give seconds to wait for another writer.

    Raises:
        UsageError: they are negative, or no number.
    """
    if not 0 <= timeout_s < LONGEST_WAIT_S:  # filelock takes -1 for "wait for ever"
        raise UsageError(f"the timeout is {timeout_s}; give seconds to wait for another writer, 0 or more")
    return timeout_s


def _check_free(collection: Path) -> None:
    """Refuse to make a collection among other files: walkers of corpora leave a collection's whole folder out."""
    if is_collection(collection) or not collection.is_dir():
        return
    names = sorted(path.name for path in collection.iterdir() if not path.name.startswith("."))
    others = [name for name in names if name not in (SEGMENTS, WRITER_LOCK, JOURNAL, *CATALOGUE_FILES)]
    if others:
        raise UsageError(
            f"{collection} is not a collection and holds other files ({others[0]}); give a new collection a folder of "
            f"its own, such as {collection / 'vlsearch'}"
        )


def _make_folders(collection: Path) -> None:
    """Make the collection's folders durably, so that no power cut leaves a catalogue without its segments."""
    if not os.path.lexists(segments_path(collection)):
        segments_path(collection).mkdir(parents=True, exist_ok=True)
        sync_folder(collection)
        with contextlib.suppress(OSError):  # a folder above ours may be one that we may not open
            sync_folder(collection.absolute().parent)
