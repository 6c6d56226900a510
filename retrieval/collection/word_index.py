"""The seam below searches for words: where it is looked up which items hold them, in a folder or on a server."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

TOKENIZER = "unicode61 remove_diacritics 2"
"""How FTS5 cuts texts and phrases into tokens, for both."""

Joined = Literal["AND", "OR"]
"""Whether an item must hold all phrases, or one of them."""


class WordIndex(Protocol):
    """Words of items in a read transaction. Phrases are FTS5's, in double quotes: tokens that follow each other."""

    def matching(self, phrases: Sequence[str], joined: Joined) -> NDArray[np.int64]:
        """Find the items that hold all or any of some phrases; ids, ascending int64."""
        ...

    def scores(self, phrases: Sequence[str], joined: Joined, ids: NDArray[np.int64]) -> list[float]:
        """Score the first items that match by BM25, as FTS5 computes it; higher is better.

        Args:
            phrases: that were matched.
            joined: as they were.
            ids: the first of those that :meth:`matching` gives, at least one.
        """
        ...

    def counts(self, phrases: Sequence[str], most: int) -> list[int]:
        """Count the items that hold each phrase, up to so many."""
        ...

    def any_holds(self, phrases: Sequence[str], ids: Iterable[int]) -> bool:
        """Whether one of some items holds all phrases."""
        ...
