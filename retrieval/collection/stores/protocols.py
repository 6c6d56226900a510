"""The seam between a collection and the place where its vectors lie; knows neither FAISS nor row numbers.

Reading: a store proposes candidate rows by its own float32 arithmetic, gives an upper bound on the score of every row
that it has not proposed, and returns vectors by id. :mod:`retrieval.collection.search` scores the proposals exactly
and asks for more until that bound rules out the rest. Writing: a store makes vectors durable, and the catalogue decides
which of them count, by naming them in a commit. ``tests/conformance/test_vector_stores.py`` is what an implementation
of either part must pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from retrieval.unit_rows import first_not_unit


class WrittenVectors(Protocol):
    """Vectors that one call of ``write`` has made durable; part of a generation once the catalogue names them."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids, (n,) int64, ascending, n >= 1."""
        ...

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what lies in the store, never used before; what the catalogue must name."""
        ...


W = TypeVar("W", bound=WrittenVectors)

SAMPLE_ROWS = 512
"""Vectors whose scores stand for those of all: mean and deviation of so many are known to a twentieth."""


class Proposals(Protocol):
    """Rows that a store has proposed for one query so far; masked ones are left out."""

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
        """The highest score, by the store's arithmetic, that any row not yet proposed may have; -inf if all are."""
        ...

    def deepen(self, floor: float) -> None:
        """Propose more of the rows that may score ``floor`` or above, until all are proposed; calls make progress."""
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
        """Propose about ``depth`` rows or more for each query, fewer only if the store holds fewer.

        Args:
            queries: (q, d) float32 unit rows, C-contiguous.
            depth: >= 1.
            masked: encoding ids that are never to be proposed, (m,) int64, ascending.
        """
        ...

    def vectors(self, ids: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give vectors by encoding id, (n, d) float32, C-contiguous, in the order of the ids.

        Raises:
            KeyError: the store holds no vector of one of them.
        """
        ...

    def only(self, ids: NDArray[np.int64]) -> VectorStore:
        """Give a store of those of the vectors whose encoding ids are given, ascending; ids of no vector count not.

        It is made once for a condition and searched by many queries.
        """
        ...


class KindStore(VectorStore, Protocol):
    """A store as a view uses it, which looks at the ids and at a sample of the vectors, too."""

    @property
    def ids(self) -> NDArray[np.int64]:
        """Encoding ids of all its vectors, (n,) int64."""
        ...

    @property
    def last(self) -> int:
        """The highest id of an encoding; 0 where there is none."""
        ...

    def ids_after(self, last: int) -> NDArray[np.int64]:
        """Give the ids of the encodings after the one with this id, ascending."""
        ...

    def sample(self, masked: NDArray[np.int64]) -> tuple[NDArray[np.float32], int]:
        """Give up to :data:`SAMPLE_ROWS` vectors, (m, d) float32, at even distances, and how many there are in all.

        Args:
            masked: encoding ids that count not, ascending.
        """
        ...

    def only(self, ids: NDArray[np.int64]) -> KindStore:
        """Give a store of some of the vectors; see :class:`VectorStore`."""
        ...


class VectorWriter(Protocol[W]):
    """The write part of a store, for the holder of the writer's lock.

    The catalogue records durably the names of files before they are written, so that files left by a killed writer can
    be told from files that another catalogue names, and be removed.
    """

    def write(self, generation: int, ids: NDArray[np.int64], blocks: Iterable[NDArray[np.float32]]) -> W:
        """Write vectors; after success they survive a power cut, after a failure their noted names may be removed.

        Args:
            generation: the one that is meant to hold them.
            ids: (n,) int64 encoding ids, ascending, n >= 1.
            blocks: (m, d) float32 unit rows, n in all, in the order of their ids.

        Raises:
            ValueError: :func:`check_rows` refuses a row, or the numbers of ids and rows differ.
            OSError: the store is full or fails.
        """
        ...

    def replace(self, generation: int, old: Sequence[W], gone: NDArray[np.int64]) -> W | None:
        """Write the vectors of several calls again as one, bit for bit, without those of the ids that are ``gone``.

        What is replaced stays until it is removed. None where all are gone.

        Raises:
            ValueError: a row that is read is damaged.
            OSError: as :meth:`write`.
        """
        ...

    def remove(self, names: Iterable[str]) -> list[str]:
        """Remove files that no generation names any more, and return the names of those removed.

        Readers that have a file open read on. A file that cannot be removed now stays, for a later call.
        """
        ...


def check_rows(vectors: NDArray[np.float32]) -> None:
    """Refuse rows that are not finite or not of unit length (within 1e-4).

    Raises:
        ValueError: with the first such row and what is wrong with it.
    """
    if vectors.dtype != np.float32 or vectors.ndim != 2:
        raise ValueError(f"vectors must be a 2-d float32 array, not {vectors.ndim}-d {vectors.dtype}")
    if wrong := first_not_unit(vectors):
        raise ValueError(f"row {wrong[0]} is not a finite unit vector (its length is {wrong[1]})")
