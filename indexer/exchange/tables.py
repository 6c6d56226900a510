"""What a copy of a collection is made of: rows of its catalogue, the same in a folder and on a server, and vectors.

Of a catalogue is copied what its items need. Left behind are vectors that no item uses and those of other encoders,
what belongs to files (segments, accelerators, regions), and what is derived from the rows (values of attributes,
words). The SELECTs read both sides, page by page, in the order of the primary keys.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, get_type_hints

import numpy as np
from numpy.typing import NDArray

from retrieval.collection.image_texts import READS_TEXT
from retrieval.collection.kept_duplicates import KEPT
from retrieval.collection.known_corpora import CORPUS
from retrieval.collection.left_out import LEFT_OUT
from retrieval.collection.shard_note import SHARD
from retrieval.collection.statement import ReadConnection, Select
from retrieval.collection.stores.protocols import check_rows
from retrieval.errors import CollectionDamaged, CollectionError
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, Kind, Origin

PAGE_ROWS = 2000

R = TypeVar("R", bound=tuple[Any, ...])


class Table(Generic[R]):
    """A table whose rows are copied.

    Args:
        name: of the table, on both sides.
        row: a NamedTuple with its columns.
        keys: how many of the first columns are its primary key.
        condition: which rows; of encodings, with a ``?`` for the encoder's id.
    """

    def __init__(self, name: str, row: type[R], keys: int = 1, condition: str = "1 = 1") -> None:
        self.name = name
        self.columns: tuple[str, ...] = row._fields  # type: ignore[attr-defined]  # of every NamedTuple
        self.keys = keys
        types = get_type_hints(row)
        self.start = tuple(0 if types[column] is int else "" for column in self.columns[:keys])
        key = ", ".join(self.columns[:keys])
        self.by_encoder = "?" in condition
        self._page = Select(
            row,
            f"SELECT {', '.join(self.columns)} FROM {name} WHERE {condition} "
            f"AND ({key}) > ({', '.join('?' * keys)}) ORDER BY {key} LIMIT ?",
        )

    def pages(self, connection: ReadConnection, encoder_id: int) -> Iterator[list[R]]:
        """Read the rows, so many at a time, in the order of their keys.

        Raises:
            WrongValue: a value is not of its column's type.
        """
        last = self.start
        of_encoder = [encoder_id] if self.by_encoder else []
        while page := self._page.rows(connection, *of_encoder, *last, PAGE_ROWS):
            last = page[-1][: self.keys]
            yield page


class SettingRow(NamedTuple):
    """A setting."""

    name: str
    value: str


class EncoderRow(NamedTuple):
    """An encoder."""

    id: int
    digest: str
    identity: str


class SourceRow(NamedTuple):
    """A corpus."""

    id: int
    uri: str
    format: str


class ContentRow(NamedTuple):
    """A content."""

    id: int
    kind: Kind
    sha256: bytes
    text: str | None
    width: int | None
    height: int | None


class EncodingRow(NamedTuple):
    """A vector's row."""

    id: int
    content_id: int
    encoder_id: int
    part: int


class ItemRow(NamedTuple):
    """An item."""

    id: int
    content_id: int
    source_id: int
    kind: Kind
    uri: str
    key: str | None
    lang: str | None
    attributes: str
    stamp: str | None
    extent: str | None
    indexed: int | None


class ListingRow(NamedTuple):
    """A further corpus of an item."""

    item_id: int
    source_id: int


class LinkRow(NamedTuple):
    """A link."""

    image_item: int
    text_item: int
    source_id: int
    rank: int


class ImageTextRow(NamedTuple):
    """A text of an image that is no caption."""

    content_id: int
    origin: Origin
    maker: str
    text: str
    boxes: str


class FailureRow(NamedTuple):
    """A failure."""

    id: int
    source_id: int
    uri: str
    reason: str
    stamp: str | None


class HiddenRow(NamedTuple):
    """A hidden uri."""

    uri: str
    sha256: bytes | None


class AlbumRow(NamedTuple):
    """An album."""

    id: int
    name: str
    request: str


_USED = "EXISTS (SELECT 1 FROM items WHERE items.content_id = {})"
_SETTINGS = " OR ".join(f"substr(name, 1, {len(prefix)}) = '{prefix}'" for prefix in (LEFT_OUT, CORPUS, KEPT))

SETTINGS = Table(
    "settings",
    SettingRow,
    condition=f"(name IN ('active_encoder', '{READS_TEXT}', '{SHARD}') OR {_SETTINGS})",
)
"""Without the generation, which a copy has from its own commit, and what is of a folder (its files, its place)."""

ENCODERS = Table("encoders", EncoderRow, condition="id = ?")
CONTENTS = Table("contents", ContentRow, condition=_USED.format("contents.id"))
ENCODINGS = Table(
    "encodings", EncodingRow, condition=f"encoder_id = ? AND {_USED.format('encodings.content_id')}"
)

TABLES: tuple[Table[Any], ...] = (
    SETTINGS,
    ENCODERS,
    Table("sources", SourceRow),
    CONTENTS,
    ENCODINGS,
    Table("items", ItemRow),
    Table("listings", ListingRow, keys=2),
    Table("links", LinkRow, keys=2),
    Table("image_texts", ImageTextRow, keys=2, condition=_USED.format("image_texts.content_id")),
    Table("failures", FailureRow),
    Table("hidden", HiddenRow),
    Table("albums", AlbumRow),
)
"""In an order in which each refers to those before it."""

NUMBERED = ("encoders", "sources", "contents", "encodings", "items", "failures", "albums")
"""Tables whose ids are never used again."""


class VectorId(NamedTuple):
    """The id of an encoding, and its content's."""

    id: int
    content_id: int


_VECTOR_IDS = Select(
    VectorId,
    "SELECT encodings.id, encodings.content_id FROM encodings JOIN contents ON contents.id = encodings.content_id "
    f"WHERE contents.kind = ? AND encodings.encoder_id = ? AND {_USED.format('contents.id')} "
    "AND encodings.id > ? ORDER BY encodings.id LIMIT ?",
)


def vector_ids(connection: ReadConnection, encoder_id: int, kind: Kind) -> Iterator[list[VectorId]]:
    """Read the encodings of a kind whose vectors are copied, so many at a time, in the order of their ids."""
    last = 0
    while page := _VECTOR_IDS.rows(connection, kind, encoder_id, last, PAGE_ROWS):
        last = page[-1].id
        yield page


class LastId(NamedTuple):
    """The last id that a table has ever used."""

    name: str
    number: int


_LAST_IDS = Select(LastId, "SELECT name, seq FROM sqlite_sequence ORDER BY name")
_LAST_IDS_OF_SERVER = Select(LastId, "SELECT name, number FROM last_ids ORDER BY name")


def last_ids(connection: ReadConnection) -> list[LastId]:
    """Read the last ids of the tables whose ids are never used again."""
    statement = _LAST_IDS if isinstance(connection, sqlite3.Connection) else _LAST_IDS_OF_SERVER
    return [row for row in statement.rows(connection) if row.name in NUMBERED]


class Tally:
    """Counts rows, and digests them, on their way; equal ones mean equal rows in equal order."""

    def __init__(self) -> None:
        self.count, self._hash = 0, hashlib.sha256()

    def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add rows of plain values."""
        self.count += len(rows)
        for row in rows:
            self._hash.update(repr(tuple(row)).encode("utf-8", "surrogatepass"))

    def add_vectors(self, ids: NDArray[np.int64], vectors: NDArray[np.float32]) -> None:
        """Add vectors with their encoding ids."""
        self.count += len(ids)
        self._hash.update(ids.astype("<i8").tobytes())
        self._hash.update(vectors.astype("<f4").tobytes())

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Tally)
            and self.count == other.count
            and self._hash.digest() == other._hash.digest()
        )

    __hash__ = None  # type: ignore[assignment]  # it changes


VectorsOf = Callable[[Kind, Sequence[int]], NDArray[np.float32]]


class Tallied:
    """A collection that is copied: its rows and vectors, tallied as they are read.

    Args:
        connection: to its catalogue, in a read transaction.
        encoder_id: of the vectors.
        vectors: gives them by kind and encoding ids.
        place: of the collection.
    """

    def __init__(
        self, connection: ReadConnection, encoder_id: int, vectors: VectorsOf, place: CollectionPlace
    ) -> None:
        self.connection, self.encoder_id = connection, encoder_id
        self._vectors, self.place = vectors, place
        self.tallies: dict[str, Tally] = {}

    def rows(self, table: Table[R]) -> Iterator[list[R]]:
        """Read the rows of a table, so many at a time."""
        tally = self.tallies[table.name] = Tally()
        for page in table.pages(self.connection, self.encoder_id):
            tally.add(page)
            yield page

    def vectors(self, kind: Kind) -> Iterator[tuple[list[VectorId], NDArray[np.float32]]]:
        """Read the vectors of a kind, so many at a time.

        Raises:
            CollectionDamaged: one of them is not a finite unit vector.
        """
        tally = self.tallies[f"vectors of {kind}s"] = Tally()
        for page in vector_ids(self.connection, self.encoder_id, kind):
            ids = np.array([row.id for row in page], np.int64)
            vectors = self._vectors(kind, [row.id for row in page])
            try:
                check_rows(vectors)
            except ValueError as error:
                raise CollectionDamaged(self.place, f"of the vectors of {kind}s, {error}") from error
            tally.add_vectors(ids, vectors)
            yield page, vectors

    def last_ids(self) -> list[LastId]:
        """Read the last ids ever used."""
        rows = last_ids(self.connection)
        tally = self.tallies["last ids"] = Tally()
        tally.add(rows)
        return rows

    def read_all(self) -> dict[str, Tally]:
        """Read everything, and give the tallies."""
        for table in TABLES:
            for _ in self.rows(table):
                pass
        for kind in KINDS:
            for _ in self.vectors(kind):
                pass
        self.last_ids()
        return self.tallies


def check_equal(source: dict[str, Tally], copy: dict[str, Tally]) -> None:
    """Compare what was read of a collection with what is read of its copy.

    Raises:
        CollectionError: they differ.
    """
    assert source.keys() == copy.keys()
    for name, tally in source.items():
        if tally != copy[name]:
            raise CollectionError(
                f"the copy differs in its {name} (of {tally.count:,} rows; it has {copy[name].count:,}), and was not "
                "kept; run it again, and if it differs again check memory and disks"
            )
