"""Frozen values that the read side and the write side share. The words are those of docs/architecture.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from retrieval.errors import UsageError
from retrieval.uris import is_missing

Kind = Literal["image", "text"]
"""What an item is: a picture or a text."""

KINDS: tuple[Kind, Kind] = ("image", "text")

Scalar = str | int | float | bool | None

Attribute = Scalar | list[str] | tuple[str, ...]
"""What an attribute may hold: a plain JSON value, or a list of texts (tags). It is read back as a list."""


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Bytes that are a whole file."""

    path: Path


@dataclass(frozen=True, slots=True)
class MemberBytes:
    """Bytes that are a member of an uncompressed tar, read in place."""

    archive: Path
    name: str
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class CellBytes:
    """Bytes stored in a row (from 1) of a Parquet table; ``column`` is the path of a column of bytes.

    An empty ``column`` is the one that holds pictures.
    """

    table: Path
    column: str
    row: int


@dataclass(frozen=True, slots=True)
class UrlBytes:
    """Bytes behind an http(s) URL."""

    url: str


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """Bytes that the caller handed over."""

    data: bytes


Location = FileBytes | MemberBytes | CellBytes | UrlBytes | InlineBytes
"""Where a picture's encoded bytes (JPEG, PNG, ...) are."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in a corpus, not yet read.

    ``uri`` names it for good (see :mod:`retrieval.uris`); ``key`` is the caller's own name for it.
    """

    uri: str
    location: Location
    key: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Text:
    """A text in a corpus. ``lang`` is a BCP 47 tag such as ``en`` or ``zh``, where it is known."""

    uri: str
    text: str
    key: str | None = None
    lang: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """What a reader found in one place: a picture with the texts that describe it, or either alone.

    Each text is linked to the picture in the order given. The same picture (by uri) may come in several
    entries, as in a CSV file with one caption a row; the links add up.
    """

    picture: Picture | None
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, slots=True)
class Failure:
    """One item that could not be taken, and why, in one clause without a final stop."""

    uri: str
    reason: str


@dataclass(frozen=True, slots=True)
class HiddenItem:
    """A uri that is hidden; ``kind`` is None while the collection has no such item, and ``key`` where it has none."""

    uri: str
    key: str | None
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Limits:
    """What is accepted from untrusted input; beyond it an item is a failure."""

    file_bytes: int = 256 * 2**20
    pixels: int = 200_000_000  # about 200 megapixels: the largest phone sensors, below decompression bombs
    seconds: float = 30.0  # for one picture, to download or to decode
    private_addresses: bool = False  # whether downloads may connect to this machine and its network
    memory: int | None = None  # bytes, of all processes that decode; None: a quarter of the machine's


@dataclass(frozen=True, slots=True)
class LinkedText:
    """A text linked to a picture: its item id, uri and words."""

    id: int
    uri: str
    text: str
    lang: str | None


@dataclass(frozen=True, slots=True)
class Item:
    """One image or one text that can be found.

    ``text`` is set where the item is a text, ``captions`` where it is an image that texts are linked to.
    """

    id: int
    kind: Kind
    uri: str
    key: str | None
    text: str | None
    lang: str | None
    captions: tuple[LinkedText, ...]
    attributes: Mapping[str, Attribute]

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; it is looked for on each use, and a URL never is."""
        return is_missing(self.uri)


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that answers a query, with what an item has.

    ``rank`` counts from 1; ``score`` is the float32 inner product with the query (docs/architecture.md, Ranking).
    """

    rank: int
    score: float
    item: Item

    @property
    def id(self) -> int:
        """The item's id."""
        return self.item.id

    @property
    def kind(self) -> Kind:
        """The item's kind."""
        return self.item.kind

    @property
    def uri(self) -> str:
        """Where the item is."""
        return self.item.uri

    @property
    def key(self) -> str | None:
        """The caller's own name for the item."""
        return self.item.key

    @property
    def text(self) -> str | None:
        """The words of a text."""
        return self.item.text

    @property
    def lang(self) -> str | None:
        """BCP 47 tag of a text, where it is known."""
        return self.item.lang

    @property
    def captions(self) -> tuple[LinkedText, ...]:
        """Texts linked to an image."""
        return self.item.captions

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """What the caller or the corpus said of the item."""
        return self.item.attributes

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; see :attr:`Item.missing`."""
        return self.item.missing


@dataclass(frozen=True, slots=True)
class Request:
    """All that is asked of a search beside the vector, passed whole.

    Attributes:
        k: hits wanted, >= 1; counts items, so equal images under two names are two hits.
        find: the kind of item wanted; None leaves it to the query.
        distinct: give each content once, as its item with the lowest id.
        offset: best hits to pass over, >= 0; the first hit returned has rank ``offset + 1``.
    """

    k: int = 10
    find: Kind | None = None
    distinct: bool = False
    offset: int = 0

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UsageError(f"k is {self.k}; ask for at least 1 hit")
        if self.offset < 0:
            raise UsageError(f"offset is {self.offset}; begin at 0, the best hit")
