"""What a run tells while it works and at its end, and which items it has met."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands.

    ``total`` is None where a corpus cannot tell its length cheaply; ``note`` is what else changes on the way (a
    loss), in a few words.
    """

    stage: str
    done: int
    total: int | None
    failed: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Counts of one run.

    Attributes:
        images: pictures of this corpus that the collection holds now.
        captions: texts likewise.
        links: picture-text links likewise.
        encoded: contents encoded in this run (equal bytes once).
        unchanged: items that were in the collection before and are as they were.
        failed: items that could not be taken; their reasons are in the catalogue.
        removed: items dropped because they vanished from the corpus.
        seconds: wall time.
        left_out: files, folders and members that the reader passed over, by what they are (``RAW picture``).
        interrupted: Ctrl-C came; what was done is committed.
    """

    images: int
    captions: int
    links: int
    encoded: int
    unchanged: int
    failed: int
    removed: int
    seconds: float
    interrupted: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)


class SeenItems:
    """A set of item ids in one bit each: ten million items take 1.25 MB."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.count = 0

    def add(self, item: int) -> bool:
        """Note an item; whether it is new here."""
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
