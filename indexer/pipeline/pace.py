"""How much work goes into one commit: more makes fewer and larger segments, less loses less to a kill."""

from __future__ import annotations

import math
from dataclasses import dataclass

from retrieval.errors import UsageError


@dataclass(frozen=True, slots=True)
class CommitPace:
    """What makes a commit due: whichever of these is reached first.

    No pace changes a vector or an answer: batches have a fixed size whatever a commit cuts.

    Attributes:
        contents: images and texts with a new vector, >= 1.
        rows: items, links or failures, whichever are the most, >= 1.
        characters: of texts and attributes, >= 1; bounds memory.
        seconds: since the commit before, > 0.
        merge_after: commits between two merges of small segments in the middle of a run, >= 1. A reader holds a file
            open for every segment, and some systems allow 256.

    Raises:
        UsageError: a number is smaller than it may be.
    """

    contents: int = 2048
    rows: int = 8192
    characters: int = 2**24
    seconds: float = 20.0
    merge_after: int = 32

    def __post_init__(self) -> None:
        for name in ("contents", "rows", "characters", "merge_after"):
            if getattr(self, name) < 1:
                raise UsageError(f"the commit pace has {name} {getattr(self, name)}; give at least 1")
        if not self.seconds > 0:
            raise UsageError(f"the commit pace has seconds {self.seconds}; give more than 0")


INDEX_PACE = CommitPace()
"""Of :func:`indexer.build`."""

REINDEX_PACE = CommitPace(seconds=math.inf)
"""Of :func:`indexer.reindex`, whose vectors no reader waits for."""

ITEM_PACE = CommitPace(contents=1024, rows=1024, seconds=math.inf)
"""Of :class:`indexer.ItemWriter`, whose caller commits when it likes."""

IMPORT_PACE = CommitPace(contents=16384, rows=8192, characters=2**26, seconds=math.inf)
"""Of :func:`indexer.import_collection`: a row may bring an image and a text."""
