"""What every reader hands over: a corpus that can be streamed, as often as one likes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from retrieval.types import Entry, Failure

Entries = Iterator[Entry | Failure]
"""A stream of what a reader found; failures stand where the faulty item stood."""


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
    read: Callable[[], Entries] = field(repr=False)
    total: int | None = None
    note: str | None = None

    def entries(self) -> Entries:
        """Stream the corpus from its start, in an order that is the same on every run; no picture is opened.

        Raises:
            CorpusFormatError: while iterating, the source has become unreadable.
        """
        return self.read()
