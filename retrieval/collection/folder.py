"""The one way into a collection's folder: no link is followed, and nothing but regular files is opened or removed.

Collections travel as archives of strangers. In one, ``segments`` may be a link to a folder of the reader's own,
``writer.lock`` a link to a file that locking would empty, a vector file a pipe that never answers. The folder itself
may be reached through links: which one to open is its user's choice.

Files under ``segments/`` are reached through a descriptor of that folder, so that what was checked is what is opened.
SQLite and the writer's lock open by path, so their files can only be checked beforehand. The gap between check and
opening is accepted: only a program that can already write to the folder could use it, and the threat here is a
collection that came as an archive, whose files do not change by themselves.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from retrieval.catalogue_name import CATALOGUE
from retrieval.collection.layout import (
    CATALOGUE_FILES,
    SEGMENTS,
    WRITER_LOCK,
    is_aside_name,
    is_segment_name,
    is_temporary_name,
    segments_path,
)
from retrieval.errors import CollectionDamaged, CollectionNotFound
from retrieval.postgres_address import require_folder

_BY_DESCRIPTOR = {os.open, os.stat, os.unlink, os.rename} <= os.supports_dir_fd  # not on Windows
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a pipe would wait for its other end
_JOURNAL_MAGIC = bytes.fromhex("d9d505f920a163d7")


class SegmentsFolder:
    """The opened folder ``segments/`` of a collection; a context manager.

    Raises:
        FileNotFoundError: there is none.
        CollectionDamaged: it is a link, or not a folder.
    """

    def __init__(self, collection: Path) -> None:
        self._collection, self._path = collection, segments_path(collection)
        self._descriptor: int | None = None
        if not stat.S_ISDIR(self._path.lstat().st_mode):
            raise CollectionDamaged(collection, _not_a("folder", SEGMENTS, self._path.lstat()))
        if _BY_DESCRIPTOR:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | _NO_FOLLOW)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    def names(self) -> set[str]:
        """List the names of everything in it."""
        with os.scandir(self._path if self._descriptor is None else self._descriptor) as entries:
            return {entry.name for entry in entries}

    def files(self) -> set[str]:
        """List the names of regular files of the format: segment files, those being written, and those set aside."""
        ours = (is_segment_name, is_temporary_name, is_aside_name)
        return {name for name in self.names() if any(is_(name) for is_ in ours) and self._is_file(name)}

    def open(self, name: str) -> int:
        """Open a segment's file for reading and give its descriptor; the caller closes it.

        Raises:
            FileNotFoundError: it is gone.
            CollectionDamaged: the name has not the shape of one, or it is not a regular file.
        """
        if not is_segment_name(name):
            raise CollectionDamaged(self._collection, f"the catalogue names {name!r} as a segment's file")
        self._check(name, os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False))
        descriptor = os.open(self._at(name), os.O_RDONLY | _NO_FOLLOW | _NO_WAIT, dir_fd=self._descriptor)
        try:
            self._check(name, os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    @staticmethod
    def path_of(collection: Path, name: str, descriptor: int) -> Path:
        """Give a path by which a library opens the file of a descriptor.

        ``/proc/self/fd/N`` (``/dev/fd/N`` on macOS) names the very file that was checked; where there is neither, the
        file that lies under the name must be compared with it after opening.
        """
        checked = os.fstat(descriptor)
        for place in (f"/proc/self/fd/{descriptor}", f"/dev/fd/{descriptor}"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(place), checked):  # noqa: PTH116 - as the library will see it
                    return Path(place)
        return segments_path(collection) / name

    def create(self, name: str) -> int:
        """Create a file and give its descriptor for writing; the caller closes it."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW
        return os.open(self._at(name), flags, 0o644, dir_fd=self._descriptor)

    def rename(self, name: str, new: str) -> None:
        """Give a file another name, never over an existing one.

        Raises:
            FileExistsError: the name is taken. Ours have 64 random bits: this is a bug or an attack, never chance.
        """
        with contextlib.suppress(FileNotFoundError):
            os.stat(self._at(new), dir_fd=self._descriptor, follow_symlinks=False)
            raise FileExistsError(f"{self._path / new} exists already")
        os.rename(self._at(name), self._at(new), src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)

    def remove(self, name: str) -> None:
        """Remove a file of ours; anything else by that name stays.

        Raises:
            OSError: it cannot be removed; on Windows, a reader has it mapped.
        """
        if (is_segment_name(name) or is_temporary_name(name)) and self._is_file(name):
            os.unlink(self._at(name), dir_fd=self._descriptor)

    def sync(self) -> None:
        """Make renames and unlinks durable; Windows has no such call and needs none."""
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def _at(self, name: str) -> str:
        return name if self._descriptor is not None else str(self._path / name)

    def _is_file(self, name: str) -> bool:
        try:
            facts = os.stat(self._at(name), dir_fd=self._descriptor, follow_symlinks=False)
        except OSError:
            return False
        return stat.S_ISREG(facts.st_mode)

    def _check(self, name: str, facts: os.stat_result) -> None:
        if not stat.S_ISREG(facts.st_mode):
            raise CollectionDamaged(self._collection, _not_a("file", f"{SEGMENTS}/{name}", facts))


@contextmanager
def reading(folder: SegmentsFolder, name: str) -> Iterator[int]:
    """Open a segment's file and give its descriptor, closed at the block's end."""
    descriptor = folder.open(name)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def check_files(collection: Path, writes: bool) -> None:
    """Refuse a collection with files through which SQLite, or the writer's lock, would leave its folder.

    Checks what is there of the catalogue, its log, its shared memory and its journal, and for writers the lock.

    Args:
        collection: its folder.
        writes: whether a writer is about to open it.

    Raises:
        CollectionDamaged: a file is a link or not a regular file; is written in place and has a second name (a hard
            link), under which somebody else would find it changed; or is a journal that names another file, which
            SQLite would open and remove.
    """
    for name in (*CATALOGUE_FILES, *([WRITER_LOCK] if writes else [])):
        try:
            facts = (collection / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISREG(facts.st_mode):
            raise CollectionDamaged(collection, _not_a("file", name, facts))
        # Readers leave the catalogue itself alone, but SQLite writes the others for them too.
        if facts.st_nlink > 1 and (writes or name != CATALOGUE):
            raise CollectionDamaged(
                collection, f"{name} has a second name (a hard link), whose file writing would change too"
            )
    _check_journal(collection)


def catalogue_is_empty(collection: Path) -> bool:
    """Whether the catalogue is absent or has no byte."""
    try:
        return (collection / CATALOGUE).lstat().st_size == 0
    except (FileNotFoundError, NotADirectoryError):
        return True


def has_segments(collection: Path) -> bool:
    """Whether any file of vectors or ids lies in the folder, set aside or not; temporaries do not count."""
    try:
        with SegmentsFolder(collection) as folder:
            return any(not is_temporary_name(name) for name in folder.files())
    except (FileNotFoundError, NotADirectoryError):
        return False


def without_catalogue(collection: Path) -> CollectionDamaged:
    """Make the error for segment files of which the catalogue knows none: what has happened, and what helps."""
    return CollectionDamaged(
        collection,
        f"{SEGMENTS}/ holds vectors and {CATALOGUE}, which was lost, emptied or exchanged, knows none of them; nothing "
        f"was changed: bring {CATALOGUE} back from a backup, or move the folder away and begin a new collection",
    )


def require_collection(collection: Path) -> None:
    """Refuse a folder that is not a collection.

    Raises:
        CollectionNotFound: there is no catalogue, and nothing that one would name.
        CollectionDamaged: the catalogue is gone or empty, and segment files are there.
        UsageError: it is the address of a server.
    """
    require_folder(collection)
    if catalogue_is_empty(collection):
        raise without_catalogue(collection) if has_segments(collection) else CollectionNotFound(collection)


def sync_folder(folder: Path) -> None:
    """Make what was made in a folder durable; Windows has no such call and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_journal(collection: Path) -> None:
    """Refuse a rollback journal that ends with the name of another one (SQLite: a super-journal).

    A collection has no journal but for an instant while it is made. SQLite plays a journal back by itself, then opens
    the file that its end names, and removes it.
    """
    name = CATALOGUE_FILES[-1]
    try:
        descriptor = os.open(collection / name, os.O_RDONLY | _NO_FOLLOW | _NO_WAIT)
    except (FileNotFoundError, NotADirectoryError):
        return
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_JOURNAL_MAGIC)))
        if file.read() == _JOURNAL_MAGIC:
            raise CollectionDamaged(collection, f"{name} names a file that SQLite would remove")


def _not_a(wanted: str, name: str, facts: os.stat_result) -> str:
    if stat.S_ISLNK(facts.st_mode):
        return f"{name} is a link, and inside a collection no link is followed"
    return f"{name} is not a {wanted}"
