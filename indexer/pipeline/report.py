"""What a run reports: progress, counts and failures; and sets of item ids."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from retrieval.types import Failure

_VARIABLE = re.compile(r"'[^']*'|\"[^\"]*\"|[0-9][0-9,._]*")  # what differs between two failures of one kind


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failures of one kind: how many, and the uri and the reason of the first of them."""

    count: int
    example: str
    reason: str


@dataclass(frozen=True, slots=True)
class RegionsMade:
    """Images whose regions a run has encoded, and those that could not be read again, which the next run tries.

    Attributes:
        images: how many have regions now that had none.
        failed: how many could not be read.
        seconds: wall time.
        interrupted: Ctrl-C came; what was done is committed.
        reasons: the failures, grouped by reason, the most frequent first.
    """

    images: int
    failed: int
    seconds: float
    interrupted: bool = False
    reasons: tuple[FailureGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of one run.

    Each item that the run has met is one of ``encoded``, ``known``, ``unchanged``, ``failed`` and ``left_out``, so that
    they add up to :attr:`seen`; the first three add up to ``images + captions``.

    Attributes:
        images: images of this corpus that the collection holds now.
        captions: texts likewise.
        links: image-text links likewise.
        encoded: items whose content this run has encoded (of several with equal bytes, the first).
        known: new, renamed or changed items whose content had a vector already.
        unchanged: items that were in the collection before and are as they were.
        failed: items that could not be taken; their reasons are in the catalogue.
        removed: items dropped because they vanished from the corpus.
        seconds: wall time.
        interrupted: Ctrl-C came; what was done is committed.
        vanished: items that are no longer in the corpus, and stay in the collection until a run that prunes.
        left_out: files, folders and members that the reader passed over, by what they are (``RAW picture``).
        reasons: the failures, grouped by reason, the most frequent first.
        regions: what became of the regions of the collection's images; None where it keeps none.
    """

    images: int
    captions: int
    links: int
    encoded: int
    known: int
    unchanged: int
    failed: int
    removed: int
    seconds: float
    interrupted: bool = False
    vanished: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    reasons: tuple[FailureGroup, ...] = ()
    regions: RegionsMade | None = None

    @property
    def seen(self) -> int:
        """Number of items that the run has met."""
        return self.encoded + self.known + self.unchanged + self.failed + sum(self.left_out.values())


class Failures:
    """The failures of a run, each uri once."""

    def __init__(self) -> None:
        self._kinds: dict[str, str] = {}
        self._groups: dict[str, FailureGroup] = {}

    def __len__(self) -> int:
        return len(self._kinds)

    def __contains__(self, uri: str) -> bool:
        return uri in self._kinds

    def add(self, failure: Failure) -> None:
        """Count a failure, unless its item has failed before."""
        if failure.uri in self._kinds:
            return
        kind = _VARIABLE.sub("", failure.reason)
        group = self._groups.get(kind, FailureGroup(0, failure.uri, failure.reason))
        self._kinds[failure.uri] = sys.intern(kind)  # one string for all failures of a kind
        self._groups[kind] = FailureGroup(group.count + 1, group.example, group.reason)

    def forget(self, uri: str) -> None:
        """Take a failure back: a second try in the same run went well."""
        kind = self._kinds.pop(uri, None)
        if kind is not None:
            group = self._groups[kind]
            self._groups[kind] = FailureGroup(group.count - 1, group.example, group.reason)

    def groups(self) -> tuple[FailureGroup, ...]:
        """Give the failures by kind, the most frequent first."""
        there = [group for group in self._groups.values() if group.count]
        return tuple(sorted(there, key=lambda group: (-group.count, group.reason)))


class SeenItems:
    """A set of item ids in one bit each: ten million items take 1.25 MB."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.count = 0

    def add(self, item: int) -> bool:
        """Add an item, and return whether it is new here."""
        at, bit = item >> 3, 1 << (item & 7)
        if at >= len(self._bits):
            self._bits.extend(bytes(at + 1 - len(self._bits) + 4096))
        if self._bits[at] & bit:
            return False
        self._bits[at] |= bit
        self.count += 1
        return True

    def __contains__(self, item: int) -> bool:
        at = item >> 3
        return at < len(self._bits) and bool(self._bits[at] & 1 << (item & 7))

    def count_without(self, other: SeenItems) -> int:
        """Count those that are here and not in ``other``."""
        return (self._number() & ~other._number()).bit_count()

    def _number(self) -> int:
        return int.from_bytes(self._bits, "little")
