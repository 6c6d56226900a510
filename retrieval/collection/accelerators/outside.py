"""The seam for approximate indexes that a store outside keeps itself, such as a server's."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.accelerators.measurement import Measurement
from retrieval.collection.search import Candidates


class OutsideFacts(Protocol):
    """What an index takes."""

    @property
    def rows(self) -> int:
        """Vectors that it covers."""
        ...

    @property
    def size(self) -> int:
        """Bytes on disk."""
        ...


class OutsideIndex(Protocol):
    """An approximate index, whose hits have the scores and the order of the exact search."""

    @property
    def facts(self) -> OutsideFacts:
        """What it takes."""
        ...

    @property
    def measurement(self) -> Measurement:
        """Its measured recall and speed."""
        ...

    def search(
        self,
        store: Any,
        queries: NDArray[np.float32],
        k: int,
        masked: NDArray[np.int64],
        some: Any = None,
    ) -> list[Candidates]:
        """Find for each query nearly all of its k best encodings, and k where there are k.

        Args:
            store: all vectors of the kind; of the index's own class.
            queries: (q, d) float32 unit rows.
            k: >= 1.
            masked: encoding ids that are not to be found, ascending.
            some: those of the vectors that may be found; None is all.
        """
        ...
