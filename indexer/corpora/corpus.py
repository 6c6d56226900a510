"""What every reader hands over: a corpus that can be streamed, as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from retrieval.types import Entry, Failure

Entries = Iterator[Entry | Failure]
"""A stream of what a reader found; failures stand where the faulty item stood."""


LeftOut: TypeAlias = "Counter[str]"
"""How many files, folders or members a reader passed over, by what they are (see :mod:`indexer.corpora.left_out`)."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A source of items, recognised and checked but not yet read.

    Attributes:
        uri: canonical name of the source: the same on every run, whatever the working directory.
        format: name of the format that it is read as.
        total: about how many entries it has, for a progress bar; None where that would not be cheap to know.
        note: a sentence on what was decided for the caller, where they might have expected otherwise.
    """

    uri: str
    format: str
    read: Callable[[LeftOut], Entries] = field(repr=False)
    total: int | None = None
    note: str | None = None

    def entries(self, left_out: LeftOut | None = None) -> Entries:
        """Stream the corpus from its start, in an order that is the same on every run; no picture is decoded.

        Args:
            left_out: grows by what the reader passes over on its way.

        Raises:
            CorpusFormatError: while iterating, the source has become unreadable.
        """
        return self.read(Counter() if left_out is None else left_out)
