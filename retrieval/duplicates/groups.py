"""Groups of duplicates as values: which copies belong together, which one to keep, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from retrieval.uris import display, is_missing

DuplicateClass = Literal["bytes", "picture", "moment"]
"""The same bytes; the same picture in other bytes; another picture of the same moment."""

CLASSES: tuple[DuplicateClass, ...] = ("bytes", "picture", "moment")

RAW_SUFFIXES = tuple(
    ".3fr .arw .cr2 .cr3 .dng .erf .iiq .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f".split()  # noqa: SIM905 - shorter
)

_COPY_MARK = re.compile(r"\(\d+\)$|[ _-]copy( \d+)?$|^copy of |副本|[ _-]kopie$", re.IGNORECASE)
_NEARLY_MOST = 0.95  # of the most pixels: borders and crops are estimates


@dataclass(frozen=True, slots=True)
class DuplicateCopy:
    """One copy of a group.

    Attributes:
        id: the item's.
        uri: where it is.
        key: the caller's own name for it.
        sha256: of its bytes, as hex digits.
        width: of the upright picture, in pixels; None where it is not known.
        height: likewise.
        bytes: size of its file; None where it is not known.
        taken: when, as the metadata say.
        metadata: how many attributes it has.
        inner_share: of the picture's area, that within a border of one colour, in (0, 1].
    """

    id: int
    uri: str
    key: str | None
    sha256: str
    width: int | None
    height: int | None
    bytes: int | None
    taken: str | None
    metadata: int
    inner_share: float = 1.0

    @property
    def missing(self) -> bool:
        """Whether its file is not there now; it is looked for on each use."""
        return is_missing(self.uri)

    @property
    def pixels(self) -> float:
        """Pixels of the picture within its border; 0 where the size is not known."""
        return (self.width or 0) * (self.height or 0) * self.inner_share

    @property
    def is_raw(self) -> bool:
        """Whether it is a raw camera file, by its name."""
        return PurePosixPath(display(self.uri)).suffix.lower() in RAW_SUFFIXES

    @property
    def is_named_a_copy(self) -> bool:
        """Whether its name says that it is a copy: ``IMG_1 (2).jpg``."""
        return _COPY_MARK.search(PurePosixPath(display(self.uri)).stem) is not None


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Copies that belong together, the one to keep first.

    Attributes:
        duplicates: the class: the same ``bytes``, the same ``picture``, or the same ``moment``.
        copies: at least two.
        why: what the first one has that the others lack, in a few words.
    """

    duplicates: DuplicateClass
    copies: tuple[DuplicateCopy, ...]
    why: str


_Criterion = tuple[str, Callable[[DuplicateCopy, float], float]]

_SAME_BYTES: tuple[_Criterion, ...] = (
    ("its file is there", lambda copy, _: not copy.missing),
    ("most metadata", lambda copy, _: copy.metadata),
    ("not named a copy", lambda copy, _: not copy.is_named_a_copy),
    ("indexed first", lambda copy, _: -copy.id),
)
_OTHER_BYTES: tuple[_Criterion, ...] = (
    ("its file is there", lambda copy, _: not copy.missing),
    ("raw camera file", lambda copy, _: copy.is_raw),
    ("most pixels", lambda copy, most: copy.pixels >= _NEARLY_MOST * most),
    ("no border", lambda copy, _: copy.inner_share == 1),
    ("most metadata", lambda copy, _: copy.metadata),
    ("largest file", lambda copy, _: copy.bytes or 0),
    ("indexed first", lambda copy, _: -copy.id),
)


def group_of(duplicates: DuplicateClass, copies: Iterable[DuplicateCopy]) -> DuplicateGroup:
    """Put copies into an order, the best first, and say why it is."""
    criteria = _SAME_BYTES if duplicates == "bytes" else _OTHER_BYTES
    copies = list(copies)
    most = max(copy.pixels for copy in copies)
    # asked once each: whether a file is there is a question to the file system
    values = {copy.id: [value(copy, most) for _, value in criteria] for copy in copies}
    best, *others = sorted(copies, key=lambda copy: values[copy.id], reverse=True)
    number = next(at for at in range(len(criteria)) if values[best.id][at] > values[others[0].id][at])
    return DuplicateGroup(duplicates, (best, *others), criteria[number][0])


def connected(n: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Join numbers below ``n`` that pairs connect, directly or over others; groups of two and more, ascending."""
    parent = list(range(n))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for one, other in pairs:
        a, b = sorted((root(one), root(other)))
        parent[b] = a
    groups: dict[int, list[int]] = {}
    for number in sorted({number for pair in pairs for number in pair}):
        groups.setdefault(root(number), []).append(number)
    return list(groups.values())
