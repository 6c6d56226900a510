"""The entries of one folder by kind, as the walk over a tree of pictures takes them; nothing is opened."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from retrieval.corpora.corpus import LeftOut
from retrieval.corpora.left_out import (
    EXCLUDED_FILE,
    EXCLUDED_FOLDER,
    OTHER_FILE,
    is_hidden_or_system,
    kind_of_file,
)
from retrieval.corpora.textfile import unreadable
from retrieval.file_kinds import RAW, is_taken, kind_by_name
from retrieval.metadata.sidecars import SIDECAR_SUFFIXES
from retrieval.types import Failure


class FolderEntry(Protocol):
    """What stands in a folder, as ``os.scandir`` gives it."""

    @property
    def name(self) -> str:
        """Its name in the folder."""

    @property
    def path(self) -> str:
        """The folder's path and its name."""

    def is_dir(self) -> bool:
        """Whether it is a folder, or a link to one."""

    def is_file(self) -> bool:
        """Whether it is a regular file, or a link to one."""

    def is_symlink(self) -> bool:
        """Whether it is a link."""


@dataclass(slots=True)
class Listing:
    """The entries of one folder by kind, each kind in the order of names."""

    images: list[str] = field(default_factory=list)
    raws: list[str] = field(default_factory=list)
    captions: set[str] = field(default_factory=set)
    sidecars: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)  # regular files whose names do not say what they are
    folders: list[str] = field(default_factory=list)
    linked_folders: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    left_out: LeftOut = field(default_factory=Counter)

    def sort(self) -> None:
        """Bring each kind into the order of names."""
        self.images.sort()
        self.folders.sort()
        self.linked_folders.sort()
        self.failures.sort(key=lambda failure: failure.uri)


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which entries are left out of a folder: the caller's globs, and the default ones."""

    is_excluded: Callable[[str], bool]
    by_default: bool

    def reason(self, relative: str, entry: FolderEntry) -> str | None:
        """Say under which count an entry is left out; None where it is read."""
        if self.is_excluded(relative + entry.name):
            return EXCLUDED_FOLDER if _is_folder(entry) else EXCLUDED_FILE
        return is_hidden_or_system(entry.name, _is_folder(entry)) if self.by_default else None


def _is_folder(entry: FolderEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def sort_in(
    listing: Listing, entry: FolderEntry, relative: str, rules: Rules, uri: Callable[[str], str]
) -> None:
    """Add an entry to its kind.

    Args:
        listing: of the folder.
        entry: in it.
        relative: path of the folder from the corpus, empty or ending in a slash.
        rules: by which entries are left out.
        uri: gives the uri of an entry's path, for a failure.
    """
    try:
        reason = rules.reason(relative, entry)
        if reason is not None:
            listing.left_out[reason] += 1
        elif entry.is_dir():
            (listing.linked_folders if entry.is_symlink() else listing.folders).append(entry.name)
        elif entry.name.lower().endswith(".txt"):
            listing.captions.add(entry.name)
        elif entry.name.lower().endswith(SIDECAR_SUFFIXES) and entry.is_file():
            listing.sidecars.append(entry.name)
        elif kind_by_name(entry.name) is RAW and entry.is_file():
            listing.raws.append(entry.name)
        elif not is_taken(entry.name):
            kind = kind_of_file(entry.name)
            if kind == OTHER_FILE and entry.is_file():
                listing.unknown.append(entry.name)
            else:
                listing.left_out[kind] += 1
        elif entry.is_file():
            listing.images.append(entry.name)
        else:  # never opened: a pipe would block for good
            nowhere = not os.path.exists(entry.path)  # noqa: PTH110  a Path object per file costs a third
            fault = "is a link that leads nowhere" if nowhere else "is not a regular file"
            listing.failures.append(Failure(uri(entry.path), fault))
    except OSError as error:  # a link that leads to itself
        if not is_taken(entry.name):
            listing.left_out[kind_of_file(entry.name)] += 1
            return
        listing.failures.append(Failure(uri(entry.path), unreadable(error)))
