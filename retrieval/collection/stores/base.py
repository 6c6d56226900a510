"""The seam between ranking and the place where vectors lie; knows neither FAISS nor row numbers.

A store proposes rows by its own float32 arithmetic, says how good a row that it has not shown can be, and hands out
vectors by id. :mod:`retrieval.collection.search` scores the proposals exactly and asks for more until nothing unseen
can matter. ``tests/conformance/test_vector_stores.py`` is what an implementation must pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Proposals(Protocol):
    """Rows that a store has shown for one query so far; masked ones are left out."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids, (n,) int64, each once, in no particular order."""
        ...

    @property
    def scores(self) -> NDArray[np.float32]:
        """Their scores, (n,) float32, each within :func:`~retrieval.collection.score.error_bound` of the exact one."""
        ...

    @property
    def unseen_bound(self) -> float:
        """The highest score, by the store's arithmetic, that a row not shown yet may have; -inf: all are shown."""
        ...

    def deepen(self, floor: float) -> None:
        """Show more of the rows that may score ``floor`` or above, until all are shown; each call makes progress."""
        ...


class VectorStore(Protocol):
    """The vectors of one kind under one encoder in one generation; may be used from many threads."""

    @property
    def rows(self) -> int:
        """Number of vectors, masked ones included."""
        ...

    def propose(
        self, queries: NDArray[np.float32], depth: int, masked: NDArray[np.int64]
    ) -> Sequence[Proposals]:
        """Show about ``depth`` rows or more for each query, fewer only where there are fewer.

        Args:
            queries: (q, d) float32 unit rows, C-contiguous.
            depth: >= 1.
            masked: encoding ids that are never to be shown, (m,) int64, ascending.
        """
        ...

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors by encoding id, (n, d) float32, C-contiguous, in the order of the ids.

        Raises:
            KeyError: the store holds no vector of one of them.
        """
        ...
