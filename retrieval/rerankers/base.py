"""What every reranker is: an image and texts in, scores out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from retrieval.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.decoding.preparations import Preparation

DEPTH = 32
"""Hits that are looked at again where nothing else is asked for."""

MOST_DEPTH = 1000


class Reranker(Protocol):
    """Images and words to scores. A score is a function of its image and its text alone."""

    @property
    def name(self) -> str:
        """Alias, hub id or absolute folder that ``load_reranker`` takes."""
        ...

    @property
    def preparation(self) -> Preparation:
        """The rule by which a worker process prepares an image."""
        ...

    def check(self, text: str) -> None:
        """Refuse a text that the model cannot read.

        Raises:
            UsageError: it is in another language.
        """
        ...

    def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
        """Score how well each text matches one prepared image: the higher the better; finite numbers.

        Raises:
            ModelError: the model cannot be used, or gives something else than numbers.
        """
        ...


def check_depth(depth: int) -> None:
    """Refuse a number of hits that is out of range.

    Raises:
        UsageError: it is.
    """
    if not 1 <= depth <= MOST_DEPTH:
        raise UsageError(f"{depth} hits are to be looked at again; give a depth of 1 to {MOST_DEPTH}")
