"""What every reader hands over: a corpus that can be streamed, as often as one likes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from retrieval.corpora.spec import CorpusSpec
from retrieval.types import Attribute, Entry, Failure

ATTRIBUTES_LIMIT = 4096
TEXTS_LIMIT = 1000
ENTRY_LIMIT = 2**20  # characters
"""Most characters of an entry's texts and attributes; thousands of entries are in memory at once."""

_REASON_LIMIT = 2000  # characters; a sentence that quotes what it found

Entries = Iterator[Entry | Failure]
"""A stream of what a reader found; failures stand where the faulty item stood."""


LeftOut: TypeAlias = "Counter[str]"
"""How many files, folders or members a reader skipped, by kind (see :mod:`retrieval.corpora.left_out`)."""


@dataclass(frozen=True, slots=True)
class CorpusObject:
    """One of the objects of a store that a corpus is read from, one after the other; each is fetched to be read.

    Attributes:
        uri: of the object.
        stamp: size, time and ETag.
        read: what is in it; as of :class:`Corpus`.
        stamp_of: the stamp now of an object beside it, by uri; None where it is not there, or cannot be listed.
    """

    uri: str
    stamp: str
    read: Callable[[LeftOut], Entries] = field(repr=False)
    stamp_of: Callable[[str], str | None] = field(repr=False)

    def entries(self, left_out: LeftOut) -> Entries:
        """Stream what is in it, as :meth:`Corpus.entries` does."""
        return _checked(self.read(left_out))


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus, recognised and checked but not yet read.

    Attributes:
        uri: canonical name of the corpus: the same on every run, whatever the working directory.
        format: name of the format that it is read as.
        total: about how many entries it has, for a progress bar; None where that would not be cheap to know.
        note: a sentence on what was decided for the caller, where they might have expected otherwise.
        spec: how it was named, so that it can be opened again; None where it was made by other means.
        objects: of a store, that it is read from one after the other; none where it is read otherwise.
    """

    uri: str
    format: str
    read: Callable[[LeftOut], Entries] = field(repr=False)
    total: int | None = None
    note: str | None = None
    spec: CorpusSpec | None = None
    objects: tuple[CorpusObject, ...] = ()

    def entries(self, left_out: LeftOut | None = None) -> Entries:
        """Stream the corpus from its start, in an order that is the same on every run; no image is decoded.

        Args:
            left_out: grows by what the reader passes over on its way.

        Raises:
            CorpusFormatError: while iterating, the corpus has become unreadable.
        """
        return _checked(self.read(Counter() if left_out is None else left_out))


def _checked(entries: Entries) -> Entries:
    for found in entries:
        if isinstance(found, Failure):
            yield _valid_unicode(found)
        else:
            yield from _within_limits(found)


def without_videos(entries: Entries) -> Entries:
    """Leave videos out, for runs that take each file of a corpus for one picture."""
    for entry in entries:
        image = entry.image if isinstance(entry, Entry) else None
        if image is None or image.frames_per_minute is None:
            yield entry


def weight_of(entry: Entry) -> int:
    """Count the characters of an entry's texts and attributes."""
    weight = 0 if entry.image is None else _characters(entry.image.attributes)
    if not entry.texts:
        return weight
    weight += sum(len(text.text) for text in entry.texts)
    return weight + _characters(entry.texts[0].attributes)


def _characters(attributes: Mapping[str, Attribute]) -> int:
    return (
        0
        if not attributes
        else sum(
            len(name) + (len(value) if isinstance(value, str) else 8) for name, value in attributes.items()
        )
    )


def _valid_unicode(failure: Failure) -> Failure:
    """Make a failure's texts valid Unicode, whatever the corpus quotes."""
    reason = failure.reason.encode(errors="backslashreplace").decode()
    return Failure(failure.uri.encode(errors="backslashreplace").decode(), reason[:_REASON_LIMIT])


def _within_limits(entry: Entry) -> Entries:
    """Give an entry that is within the limits; else a failure that says which one it exceeds."""
    name = entry.texts[0].uri if entry.image is None else entry.image.uri
    attributes = entry.texts[0].attributes if entry.image is None else entry.image.attributes
    if len(attributes) > ATTRIBUTES_LIMIT:
        yield Failure(
            name, f"it has {len(attributes):,} attributes, and at most {ATTRIBUTES_LIMIT:,} are kept"
        )
    elif len(entry.texts) > TEXTS_LIMIT:
        yield Failure(name, f"it has {len(entry.texts):,} captions, and at most {TEXTS_LIMIT:,} are taken")
    elif weight_of(entry) > ENTRY_LIMIT:
        yield Failure(name, f"its captions and attributes are longer than {ENTRY_LIMIT:,} characters")
    else:
        yield entry
