"""The seam for approximate indexes that a store outside keeps itself, such as a server's."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

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


class OutsideMeasurement(Protocol):
    """What was measured of an index; see :class:`~retrieval.collection.accelerators.opened.Measurement`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def recall(self) -> float:
        """Share of the exact 10 best that a query found, mean over queries, 0 to 1."""
        ...

    @property
    def target(self) -> float:
        """The recall that was asked for."""
        ...

    @property
    def queries(self) -> int:
        """How many queries it was measured on."""
        ...

    @property
    def queried_with(self) -> str:
        """What they were."""
        ...

    @property
    def milliseconds(self) -> float:
        """A query took, exact scores included; median."""
        ...

    @property
    def exact_milliseconds(self) -> float:
        """A scan of all vectors takes."""
        ...

    @property
    def bytes_per_vector(self) -> float:
        """Of the index."""
        ...


class OutsideIndex(Protocol):
    """An approximate index, whose hits have the scores and the order of the exact search."""

    @property
    def facts(self) -> OutsideFacts:
        """What it takes."""
        ...

    @property
    def measurement(self) -> OutsideMeasurement:
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
