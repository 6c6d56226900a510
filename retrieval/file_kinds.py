"""Kinds of files that need a package of their own, or that hold several pictures; by suffix, and nothing is opened.

A suffix decides what is looked at; what a file is, its content decides later. A further kind is a record here, and a
decoder in :mod:`retrieval.images.decoders`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from retrieval.extras import is_installed
from retrieval.moments import PART_PATTERN
from retrieval.suffixes import IMAGE_SUFFIXES, is_image_name, suffix_of


@dataclass(frozen=True, slots=True)
class FileKind:
    """One kind of file.

    Attributes:
        noun: what one is called, in counts of files that are left out; a noun that takes a plural ``s``.
        suffixes: of file names, in lower case with their dot.
        extra: the extra that brings its decoder; None where none is needed.
        part: a pattern of what names one of the pictures in such a file, behind ``#``; empty where a file is one
            picture. The first picture has the name of the file alone where its name says nothing more.
        is_opened_in_place: whether its decoder opens the file itself, and names the contents of its pictures; of
            others all bytes are read and hashed.
    """

    noun: str
    suffixes: frozenset[str]
    extra: str | None = None
    part: str = ""
    is_opened_in_place: bool = False

    @property
    def holds_several(self) -> bool:
        """Whether one file may hold several pictures."""
        return bool(self.part)


MOST_PARTS = 2000
"""Pictures of one file that become items."""

_RAW = (
    "cr2 cr3 crw nef nrw arw srf sr2 dng raf orf rw2 rwl raw pef ptx srw x3f 3fr fff iiq mef mos mrw "
    "erf kdc dcr dcs k25 gpr bay cap eip"
)
_PAGE = r"page=[1-9][0-9]{0,5}"

RAW = FileKind("RAW picture", frozenset(f".{suffix}" for suffix in _RAW.split()), "raw")
JXL = FileKind("JPEG XL picture", frozenset({".jxl"}), "jxl")
PDF = FileKind("PDF", frozenset({".pdf"}), "pdf", part=_PAGE)
TIFF = FileKind(
    "TIFF picture",
    frozenset(one for one in IMAGE_SUFFIXES if one.startswith(".tif")),
    part=_PAGE,
)

VIDEO = FileKind(
    "video",
    frozenset({".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".mkv", ".webm", ".avi"}),
    "video",
    part=PART_PATTERN,
    is_opened_in_place=True,
)

FILE_KINDS = (RAW, JXL, PDF, TIFF, VIDEO)

_BY_SUFFIX = {suffix: kind for kind in FILE_KINDS for suffix in kind.suffixes}
_BY_NOUN = {kind.noun: kind for kind in FILE_KINDS}


def kind_by_name(name: str) -> FileKind | None:
    """Give the kind of a file by its name; None for files of other kinds."""
    return _BY_SUFFIX.get(suffix_of(name))


def is_taken(name: str) -> bool:
    """Whether a file of this name is looked at for pictures: by its suffix, and by the extras that are installed."""
    if is_image_name(name):
        return True
    kind = kind_by_name(name)
    return kind is not None and (kind.extra is None or _is_installed(kind.extra))


_is_installed = cache(is_installed)
"""Looked up once a process: a folder has thousands of files."""


def is_opened_in_place(name: str) -> bool:
    """Whether a file of this name is never read as a whole."""
    kind = kind_by_name(name)
    return kind is not None and kind.is_opened_in_place


def holds_several(name: str) -> bool:
    """Whether a file of this name may hold several pictures."""
    kind = kind_by_name(name)
    return kind is not None and kind.holds_several


def is_part_of(name: str, part: str) -> bool:
    """Whether ``part`` names one of the pictures that a file of this name may hold."""
    kind = kind_by_name(name)
    return kind is not None and bool(kind.part) and re.fullmatch(kind.part, part) is not None


def missing_extra(noun: str) -> str | None:
    """Give the extra that files need which are counted under this noun; None where it is installed or there is none."""
    kind = _BY_NOUN.get(noun)
    return None if kind is None or kind.extra is None or is_installed(kind.extra) else kind.extra
