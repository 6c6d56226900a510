"""Texts that programs make of pictures, committed on the way: captions that are written, text that is read."""

from __future__ import annotations

import time

from indexer.store.changes import Change, NewImageText
from indexer.store.writer import Writer
from retrieval.types import Box, Origin

COMMIT_SECONDS = 10.0  # what a kill costs at most, beside what is being made


class StagedTexts:
    """Texts of one origin and maker that wait for a commit."""

    def __init__(self, writer: Writer, origin: Origin, maker: str) -> None:
        self._writer, self._origin, self._maker = writer, origin, maker
        self._change, self._since = Change(), time.monotonic()

    def __len__(self) -> int:
        return len(self._change.texts)

    def add(self, sha256: bytes, text: str, boxes: tuple[Box, ...] = ()) -> None:
        """Stage the text of an image content."""
        self._change.texts[sha256, self._origin] = NewImageText(self._maker, text, boxes)

    @property
    def is_due(self) -> bool:
        """Whether the last commit was so long ago that a kill would cost too much."""
        return time.monotonic() - self._since > COMMIT_SECONDS

    def commit(self) -> None:
        """Commit what waits."""
        change, self._change = self._change, Change()
        if change:
            self._writer.commit_rows(change)
        self._since = time.monotonic()
