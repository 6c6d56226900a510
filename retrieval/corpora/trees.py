"""Trees of folders that are walked for pictures: the seam between the walk and where the files lie, and disks."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from retrieval.catalogue_name import CATALOGUE, is_collection
from retrieval.corpora.corpus import Entries, LeftOut
from retrieval.corpora.formats.lines import read_captions
from retrieval.corpora.left_out import COLLECTION
from retrieval.corpora.listing import Listing, Rules, sort_in
from retrieval.corpora.names import FileNames
from retrieval.corpora.textfile import LINE_LIMIT, unreadable
from retrieval.errors import CorpusFormatError
from retrieval.signatures import is_image_file
from retrieval.types import Failure, FileBytes, ObjectBytes, StoredObject
from retrieval.uris import file_uri


class Folder(Protocol):
    """One folder of a tree; nothing in it is opened but by the method that says so."""

    def list(self, rules: Rules) -> Listing:
        """List its entries, each kind in the order of names.

        Raises:
            OSError: it cannot be.
        """

    def uri(self, name: str) -> str:
        """Give the uri of a file in it."""

    def location(self, name: str) -> FileBytes | ObjectBytes:
        """Say where the bytes of a file in it are."""

    def sidecar(self, name: str) -> Path | StoredObject:
        """Say where a file in it is that describes a picture."""

    def is_image(self, name: str) -> bool:
        """Read the first bytes of a file, and say whether they are those of an image."""

    def captions(self, name: str, lang: str | None) -> Entries:
        """Read the captions in a file, one a line; a faulty file is a failure."""


class Tree(Protocol):
    """A tree of folders below a corpus; ``relative`` paths are empty for the root and else end in a slash."""

    def uri(self, relative: str) -> str:
        """Give the uri of a folder, without a slash at its end."""

    def folder(self, relative: str, left_out: LeftOut) -> Folder | None:
        """Give a folder; None for one that was given before, or is a collection, which is counted.

        Raises:
            OSError: it cannot be looked into.
        """


class LocalTree:
    """The tree of folders at an absolute path of this machine."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._seen: set[tuple[int, int]] = set()

    def uri(self, relative: str) -> str:
        """As :meth:`Tree.uri`."""
        return file_uri(Path(self._path(relative)))

    def folder(self, relative: str, left_out: LeftOut) -> LocalFolder | None:
        """As :meth:`Tree.folder`; folders are told apart by device and inode, because links may lead in circles."""
        path = self._path(relative)
        facts = os.stat(path)  # noqa: PTH116  a Path object per folder and file costs a third
        if (facts.st_dev, facts.st_ino) in self._seen:
            return None
        self._seen.add((facts.st_dev, facts.st_ino))
        if is_collection(path):
            left_out[COLLECTION] += 1
            return None
        return LocalFolder(path, relative)

    def _path(self, relative: str) -> str:
        return os.path.join(self._root, relative)  # noqa: PTH118  as above


class LocalFolder:
    """A folder of this machine."""

    __slots__ = ("_folder", "_path", "_relative", "_uri")

    def __init__(self, folder: str, relative: str) -> None:
        self._folder, self._relative = folder, relative
        self._path = Path(folder)
        self._uri = file_uri(self._path).removesuffix(
            "/"
        )  # a picture's whole path need not be quoted for each

    def list(self, rules: Rules) -> Listing:
        """As :meth:`Folder.list`."""
        listing = Listing()
        with os.scandir(self._folder) as entries:
            for entry in entries:
                sort_in(listing, entry, self._relative, rules, lambda path: file_uri(Path(path)))
        listing.sort()
        return listing

    def uri(self, name: str) -> str:
        """As :meth:`Folder.uri`."""
        return f"{self._uri}/{quote(os.fsencode(name))}"

    def location(self, name: str) -> FileBytes:
        """As :meth:`Folder.location`."""
        return FileBytes(self._path / name)

    def sidecar(self, name: str) -> Path:
        """As :meth:`Folder.sidecar`."""
        return self._path / name

    def is_image(self, name: str) -> bool:
        """As :meth:`Folder.is_image`."""
        return not name.startswith(CATALOGUE) and is_image_file(os.path.join(self._folder, name))  # noqa: PTH118

    def captions(self, name: str, lang: str | None) -> Entries:
        """As :meth:`Folder.captions`."""
        path = self._path / name
        uri = file_uri(path)
        try:
            facts = path.stat()
        except OSError as error:
            yield Failure(uri, unreadable(error))
            return
        if not stat.S_ISREG(facts.st_mode):
            yield Failure(uri, "is not a regular file")
        elif facts.st_size > LINE_LIMIT:
            yield Failure(uri, TOO_LONG)
        else:
            try:
                yield from read_captions(FileNames(path), lang)
            except CorpusFormatError as error:
                yield Failure(uri, error.fault)


TOO_LONG = f"is longer than {LINE_LIMIT:,} bytes, too long for captions of one picture"
"""Why a file of captions is not read."""
