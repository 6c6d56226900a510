"""What a corpus lists, not yet read."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.types.items import Attribute
from retrieval.types.locations import Location, StoredObject


@dataclass(frozen=True, slots=True)
class CorpusImage:
    """An image listed by a corpus, not yet read.

    ``uri`` identifies it in the collection (see :mod:`retrieval.uris`); ``key`` is the caller's own name for it;
    ``sidecars`` are files or objects beside it that describe it (XMP, Google Takeout's JSON). Where
    ``may_be_several``, the file may hold further pictures, each of which becomes an item; of a video, at most
    ``frames_per_minute``.
    """

    uri: str
    location: Location
    key: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    sidecars: tuple[Path | StoredObject, ...] = ()
    may_be_several: bool = False
    frames_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class CorpusText:
    """A text listed by a corpus. ``lang`` is a BCP 47 tag such as ``en`` or ``zh``, where it is known."""

    uri: str
    text: str
    key: str | None = None
    lang: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a corpus: an image with the texts that describe it, or either alone.

    The texts are linked to the image in the order given. Several entries may list the same image (by uri), as
    in a CSV file with one caption per row; the image is then linked to the texts of all of them.
    """

    image: CorpusImage | None
    texts: tuple[CorpusText, ...] = ()

    @property
    def picture(self) -> CorpusImage | None:
        """Deprecated name of ``image``."""
        warnings.warn("Entry.picture is Entry.image now", DeprecationWarning, stacklevel=2)
        return self.image


@dataclass(frozen=True, slots=True)
class Failure:
    """An item that could not be read, and the reason: one clause without a full stop."""

    uri: str
    reason: str
