"""Frozen values that the read side and the write side share; docs/architecture.md explains the terms."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from retrieval.errors import UsageError
from retrieval.uris import is_missing

if TYPE_CHECKING:
    from retrieval.expressions import Expression


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: indexing, training or evaluating.

    Attributes:
        stage: what is being done, in a word or two.
        done: items finished.
        total: items in all; None where a corpus cannot tell its length cheaply.
        failed: items that could not be taken so far.
        note: what else changes on the way (a loss), in a few words.
    """

    stage: str
    done: int
    total: int | None
    failed: int = 0
    note: str = ""


OnProgress = Callable[[Progress], None]
"""Called as a run goes on."""


def ignore_progress(_: Progress) -> None:
    """Do nothing: for runs that nobody watches."""


Kind = Literal["image", "text"]
"""The two kinds of item."""

KINDS: tuple[Kind, Kind] = ("image", "text")

Sort = Literal["score", "taken", "name"]
"""The orders in which hits are given."""

SORTS: tuple[Sort, ...] = ("score", "taken", "name")

Mode = Literal["vector", "words", "hybrid"]
"""What ranks the items of a search: vectors, words, or both."""

MODES: tuple[Mode, ...] = ("vector", "words", "hybrid")

Distinct = bool | Literal["picture"]
"""Which hits are given once: none of them; equal contents, and frames of one video; or also copies of a picture."""

Scalar = str | int | float | bool | None

Attribute = Scalar | list[str] | tuple[str, ...]
"""Value of an attribute: a plain JSON value, or a list of strings (tags); a tuple is read back as a list."""


@dataclass(frozen=True, slots=True)
class FileBytes:
    """Bytes that are a whole file."""

    path: Path


@dataclass(frozen=True, slots=True)
class PartBytes:
    """One of several pictures that a file holds: a page of a document.

    Attributes:
        path: of the file.
        part: which picture, as its uri says behind ``#`` (``page=3``); empty for the one that the file's uri names.
        place: its number among the pictures, from 1, and how many there are: ``3/120``; empty where it is not known.
            Of a video, behind ``@`` how many frames a minute were wanted at most.
    """

    path: Path
    part: str
    place: str = ""


@dataclass(frozen=True, slots=True)
class MemberBytes:
    """Bytes that are a member of an uncompressed tar, read in place.

    Attributes:
        archive: the tar.
        name: of the member.
        offset: of its bytes in the archive.
        size: in bytes.
        part: which of the pictures in it, as of :class:`PartBytes`.
        place: likewise.
    """

    archive: Path
    name: str
    offset: int
    size: int
    part: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class CellBytes:
    """Bytes stored in a row (from 1) of a Parquet table; ``column`` is the path of a column of bytes.

    An empty ``column`` stands for the column that holds images.
    """

    table: Path
    column: str
    row: int


@dataclass(frozen=True, slots=True)
class UrlBytes:
    """Bytes that an http(s) URL serves."""

    url: str


@dataclass(frozen=True, slots=True)
class InlineBytes:
    """Bytes that the caller passed in memory; ``part`` is which of the pictures in them, as of :class:`PartBytes`."""

    data: bytes
    part: str = ""


Location = FileBytes | PartBytes | MemberBytes | CellBytes | UrlBytes | InlineBytes
"""Where the encoded bytes (JPEG, PNG, ...) of an image are."""


def part_of(location: Location) -> str:
    """Give which of the pictures in a file a location is; empty where it is the whole file, or the first of them."""
    return location.part if isinstance(location, PartBytes | MemberBytes | InlineBytes) else ""


@dataclass(frozen=True, slots=True)
class CorpusImage:
    """An image listed by a corpus, not yet read.

    ``uri`` identifies it in the collection (see :mod:`retrieval.uris`); ``key`` is the caller's own name for it;
    ``sidecars`` are files beside it that describe it (XMP, Google Takeout's JSON). Where ``may_be_several``, the file
    may hold further pictures, each of which becomes an item; of a video, at most ``frames_per_minute``.
    """

    uri: str
    location: Location
    key: str | None = None
    attributes: Mapping[str, Attribute] = field(default_factory=dict)
    sidecars: tuple[Path, ...] = ()
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


@dataclass(frozen=True, slots=True)
class HiddenItem:
    """A hidden uri; ``kind`` is None while no item has that uri, and ``key`` is None where the item has no key."""

    uri: str
    key: str | None
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits on untrusted input; an item that exceeds one is recorded as a failure."""

    file_bytes: int = 256 * 2**20
    pixels: int = 200_000_000  # about 200 megapixels: the largest phone sensors, below decompression bombs
    seconds: float = 30.0  # for one image, to download or to decode
    private_addresses: bool = False  # whether downloads may connect to this machine and its network
    memory: int | None = None  # bytes, of all processes that decode; None: a quarter of the machine's


@dataclass(frozen=True, slots=True)
class LinkedText:
    """A text linked to an image: its item id, uri, text and language."""

    id: int
    uri: str
    text: str
    lang: str | None


Origin = Literal["page", "read", "written"]
"""Where a stored text of an image that is not a caption comes from: the page of a document that the image shows, a
reader of text in images (OCR), or a model that writes captions."""

ORIGINS: tuple[Origin, ...] = ("page", "read", "written")

Box = tuple[float, float, float, float, float, float, float, float]
"""Corners of a line of text in an image: x and y of the top left, top right, bottom right and bottom left corner of the
line as it is read, as shares of the upright image's width and height."""


Region = tuple[float, float, float, float]
"""A rectangle of an image: left, top, width and height, as shares of the upright image's width and height."""


@dataclass(frozen=True, slots=True)
class ImageText:
    """A text of an image that is not a caption: no evaluation and no training takes it for one.

    Attributes:
        origin: an :data:`Origin`; or ``title`` or ``description``, the attribute whose value the text is.
        maker: the reader or the model, with its version; None of an attribute.
        text: one or more lines.
        boxes: where each line stands in the image; empty where that is not known.
    """

    origin: Origin | Literal["title", "description"]
    maker: str | None
    text: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """One image or one text that can be found.

    ``text`` is set where the item is a text, ``captions`` where it is an image that texts are linked to, and
    ``texts`` where an image has others, which words find too.
    """

    id: int
    kind: Kind
    uri: str
    key: str | None
    text: str | None
    lang: str | None
    captions: tuple[LinkedText, ...]
    attributes: Mapping[str, Attribute]
    texts: tuple[ImageText, ...] = ()

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; it is looked for on each use, and a URL never is."""
        return is_missing(self.uri)


@dataclass(frozen=True, slots=True)
class SecondLook:
    """What re-ranking found of a hit.

    Attributes:
        first_rank: the hit's rank before.
        score: of the model that re-ranked; None where the picture could not be read.
        failure: the reason, in one clause; else None.
    """

    first_rank: int
    score: float | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class Hit:
    """An item that answers a query, with its rank and score; the item's fields can be read from the hit itself.

    ``rank`` counts from 1; ``score`` is the float32 inner product with the query (docs/architecture.md, Ranking). Of a
    search for words it is BM25; of a hybrid search the sum of reciprocal ranks, and ``ranks`` has the hit's rank in
    each of the rankings, by ``vector`` and ``words``, that it stands in (:mod:`retrieval.query.fuse`). ``region`` is
    the part of an image whose vector is the nearest to the query; None where that is the whole's, or the image has no
    others. After re-ranking, ``rank`` counts in the new order, and ``second_look`` has what was found; else it is None.
    """

    rank: int
    score: float
    item: Item
    ranks: Mapping[str, int] = field(default_factory=dict)
    region: Region | None = None
    second_look: SecondLook | None = None

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
    def texts(self) -> tuple[ImageText, ...]:
        """Texts of an image that are not captions."""
        return self.item.texts

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """Attributes that the caller or the corpus gave the item."""
        return self.item.attributes

    @property
    def missing(self) -> bool:
        """Whether the item's file is not there now; see :attr:`Item.missing`."""
        return self.item.missing


Verdict = Literal["sure", "likely", "doubtful", "probably nothing"]
"""How likely the first hit of a query is right, in words."""

VERDICTS: tuple[Verdict, ...] = ("sure", "likely", "doubtful", "probably nothing")

LEAST_PROBABILITY: Mapping[str, float] = {"sure": 0.75, "likely": 0.4}
"""Least probability of the two best verdicts; where "doubtful" begins is the model's own."""


class Hits(list[Hit]):
    """The hits of one query, in their order, and how likely the first of them is right.

    Attributes:
        probability: that the best hit shows what was asked for, as :mod:`retrieval.calibration` estimates it; None
            where that is not known: the model has no calibration, or the query is not one of words for images by
            vectors, from the first hit on. Where words have a say in the order it is that of the best hit by vectors.
        verdict: the same in a word; None likewise.
        mode: what ranked them.
        next_page: gives the cursor of the next page; None where there is none.
    """

    def __init__(
        self,
        hits: Iterable[Hit] = (),
        probability: float | None = None,
        verdict: Verdict | None = None,
        mode: Mode = "vector",
    ) -> None:
        super().__init__(hits)
        self.probability, self.verdict = probability, verdict
        self.mode = mode
        self.next_page: Callable[[], str] | None = None

    @property
    def cursor(self) -> str | None:
        """Where the next page begins, to be passed to the same search; None where these are the last hits."""
        return None if self.next_page is None else self.next_page()


@dataclass(frozen=True, slots=True)
class After:
    """A place in the ranking of a query, behind a hit of a page that was given; a later page begins there.

    Attributes:
        score: of that hit.
        item: its id.
        seen: its rank: as many hits were given.
        last_item: id of the newest item that counts; what came after the first page does not.
        last_encoding: likewise, of the newest vector.
    """

    score: float
    item: int
    seen: int
    last_item: int
    last_encoding: int


@dataclass(frozen=True, slots=True)
class Request:
    """Parameters of a search other than the query vector.

    Attributes:
        k: hits wanted, >= 1; counts items, so equal images under two names are two hits.
        find: the kind of item wanted; None leaves it to the query.
        distinct: give each content once, as its item with the lowest id, and each video once, as its best frame;
            ``"picture"``: also each picture once, which an engine does, and not a view.
        offset: best hits to pass over, >= 0; the first hit returned has rank ``offset + 1``.
        exact: scan all vectors, even where an accelerator finds nearly all of the best ones sooner.
        where: what an item must meet to be found; a text becomes one by ``retrieval.parse_where``.
        sort: order of the hits that are given: by score; by the attribute ``taken``, the newest first; or by the name
            of the file. A hit's rank is that of its score all the same.
        min_score: hits with a lower score are left out.
        mode: what ranks items: vectors; words, by BM25 among items that hold all of the query's; or both
            (``hybrid``), by the sum of ``1 / (60 + rank)`` over the two rankings. None: both where words that find
            images are held by captions of images, else vectors (:mod:`retrieval.query.choosing`).
        only: hits are left out that would not be so likely right, were they the first: ``sure``, ``likely`` or
            ``doubtful``.
        regions: an image is as near as the nearest of its regions, where it has any (``vlsearch index --regions``);
            else whole images are compared.
        after: only what stands behind this place is given; :mod:`retrieval.query.cursor` says what that means while a
            collection is written to.
    """

    k: int = 10
    find: Kind | None = None
    distinct: Distinct = False
    offset: int = 0
    exact: bool = False
    where: Expression | None = None
    sort: Sort = "score"
    min_score: float | None = None
    mode: Mode | None = None
    only: Verdict | None = None
    regions: bool = True
    after: After | None = None

    def __post_init__(self) -> None:
        if self.where is not None:
            from retrieval.expressions import check_size  # late: most queries have no condition

            check_size(self.where)
        if self.sort not in SORTS:
            raise UsageError(f"sort is {self.sort!r}; choose one of {', '.join(SORTS)}")
        if self.distinct not in (True, False, "picture"):
            raise UsageError(f"distinct is {self.distinct!r}; choose True, False or 'picture'")
        if self.mode is not None and self.mode not in MODES:
            raise UsageError(f"mode is {self.mode!r}; choose one of {', '.join(MODES)}")
        if self.min_score is not None and self.mode not in (None, "vector"):
            raise UsageError("a least score goes with the mode vector alone: scores of words have no scale")
        if self.only is not None and self.only not in VERDICTS[:-1]:
            raise UsageError(f"only is {self.only!r}; choose one of {', '.join(VERDICTS[:-1])}")
        if self.only is not None and self.mode not in (None, "vector"):
            raise UsageError(
                "how likely hits are is told by their vectors and goes with the mode vector alone; leave out only, or "
                "mode"
            )
        if self.min_score is not None and not -2 <= self.min_score <= 2:
            raise UsageError(f"min_score is {self.min_score}; scores lie between -1 and 1")
        if self.k < 1:
            raise UsageError(f"k is {self.k}; ask for at least 1 hit")
        if self.offset < 0:
            raise UsageError(f"offset is {self.offset}; begin at 0, the best hit")
