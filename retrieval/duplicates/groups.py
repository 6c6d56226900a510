"""Groups of duplicates as values: which copies belong together, which one to keep, and why."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from retrieval.uris import display, is_missing

DuplicateClass = Literal["bytes", "picture", "moment"]
"""The same bytes; the same picture in other bytes; another picture of the same moment."""

CLASSES: tuple[DuplicateClass, ...] = ("bytes", "picture", "moment")

RAW_SUFFIXES = tuple(
    ".3fr .arw .cr2 .cr3 .dng .erf .iiq .nef .nrw .orf .pef .raf .raw .rw2 .srw .x3f".split()  # noqa: SIM905 - shorter
)

_COPY_MARK = re.compile(
    r"\(\d+\)$|~\d+$|[ _-]copy( \d+)?$|^copy of |副本|[ _-]kopie$|^img_e\d+$"
    r"|[ _-](edit|edited|bearbeitet|cropped|flipped|mirrored|resized|rotated)$",
    re.IGNORECASE,
)
_NEARLY_MOST = 0.95  # of the most pixels: borders and crops are estimates
_COPIED_TOGETHER_NS = 3600 * 10**9  # between the times of files that were copied together


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
        has_camera: whether its metadata name a camera.
        modified: when its file was last written, in ns since 1970; None where it is not a file of its own.
        is_turned: whether it is mirrored or turned against most copies of its group.
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
    has_camera: bool = False
    modified: int | None = None
    is_turned: bool = False

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
        """Whether its name says that it is a copy, edited or not: ``IMG_1 (2).jpg``, ``IMG_1-edited.jpg``."""
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


@dataclass(frozen=True, slots=True)
class _Extremes:
    """The most pixels of a group, the first date in its metadata and the first in which a file was written."""

    pixels: float
    taken: str
    modified: int

    @classmethod
    def of(cls, copies: Iterable[DuplicateCopy]) -> _Extremes:
        copies = list(copies)
        return cls(
            max(copy.pixels for copy in copies),
            min((copy.taken for copy in copies if copy.taken), default=""),
            min((copy.modified for copy in copies if copy.modified is not None), default=0),
        )


_Criterion = tuple[str, Callable[[DuplicateCopy, _Extremes], float]]

_SAME_BYTES: tuple[_Criterion, ...] = (
    ("its file is there", lambda copy, _: not copy.missing),
    ("most metadata", lambda copy, _: copy.metadata),
    ("not named a copy", lambda copy, _: not copy.is_named_a_copy),
    ("indexed first", lambda copy, _: -copy.id),
)
# An edited copy may well be the larger file, so that its size decides last.
_OTHER_BYTES: tuple[_Criterion, ...] = (
    ("its file is there", lambda copy, _: not copy.missing),
    ("raw camera file", lambda copy, _: copy.is_raw),
    ("most pixels", lambda copy, of: copy.pixels >= _NEARLY_MOST * of.pixels),
    ("no border", lambda copy, _: copy.inner_share == 1),
    ("metadata of a camera", lambda copy, _: copy.has_camera),
    ("most metadata", lambda copy, _: copy.metadata),
    ("not named a copy", lambda copy, _: not copy.is_named_a_copy),
    ("not mirrored or turned", lambda copy, _: not copy.is_turned),
    ("taken first", lambda copy, of: copy.taken == of.taken),
    ("oldest file", lambda copy, of: _is_as_old(copy, of.modified)),
    ("largest file", lambda copy, _: copy.bytes or 0),
    ("indexed first", lambda copy, _: -copy.id),
)


def _is_as_old(copy: DuplicateCopy, oldest: int) -> bool:
    """Whether its file is not known to be newer than the oldest, by more than copying a disk may take."""
    return copy.modified is None or copy.modified - oldest <= _COPIED_TOGETHER_NS


def group_of(duplicates: DuplicateClass, copies: Iterable[DuplicateCopy]) -> DuplicateGroup:
    """Put copies into an order, the best first, and say why it is."""
    criteria = _SAME_BYTES if duplicates == "bytes" else _OTHER_BYTES
    copies = list(copies)
    extremes = _Extremes.of(copies)
    # asked once each: whether a file is there is a question to the file system
    values = {copy.id: [value(copy, extremes) for _, value in criteria] for copy in copies}
    best, *others = sorted(copies, key=lambda copy: values[copy.id], reverse=True)
    number = next(at for at in range(len(criteria)) if values[best.id][at] > values[others[0].id][at])
    return DuplicateGroup(duplicates, (best, *others), criteria[number][0])


class Joined:
    """Numbers below ``n``, and which of them pairs connect, directly or over others."""

    def __init__(self, n: int) -> None:
        self._label: NDArray[np.int64] = np.arange(n)  # the same of what is connected
        self._members: dict[int, list[int]] = {}

    def are_joined(self, pairs: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether the numbers of each of (m, 2) pairs are connected; other threads may join meanwhile."""
        same: NDArray[np.bool_] = self._label[pairs[:, 0]] == self._label[pairs[:, 1]]
        return same

    def labels(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give a label of each number, which is the same for those that are connected now."""
        labels: NDArray[np.int64] = self._label[numbers]
        return labels

    def join(self, pairs: NDArray[np.int64]) -> None:
        """Connect the numbers of (m, 2) pairs; m may be of the order of n squared, where all are connected with all."""
        while len(pairs := pairs[~self.are_joined(pairs)]):
            _, first = np.unique(pairs[:, 1], return_index=True)
            for one, other in pairs[first].tolist():
                self._join(int(self._label[one]), int(self._label[other]))

    def groups(self) -> list[list[int]]:
        """Give groups of two and more, by their least number; each ascending."""
        return sorted(sorted(members) for members in self._members.values())

    def _join(self, one: int, other: int) -> None:
        if one == other:
            return
        members = [self._members.pop(label, [label]) for label in (one, other)]
        few, many = sorted(members, key=len)
        label = int(self._label[many[0]])
        self._label[few] = label
        self._members[label] = many
        many += few
