"""What the catalogue knows already of items about to be indexed: look-ups in batches, on the writer's connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, select

from indexer.store.changes import NewContent
from indexer.store.many_rows import SelectAmong
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.statement import Select
from retrieval.collection.stored_values import parse_attributes
from retrieval.types import Attribute, Kind


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item in the catalogue.

    ``encoded``: its content has a vector under the active encoder; ``listed``: the corpus at hand lists it already.
    """

    id: int
    sha256: bytes
    stamp: str | None
    lang: str | None
    attributes: Mapping[str, Attribute]
    encoded: bool
    listed: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """An item with the corpora that list it, and those that have captions of it, by catalogue id."""

    id: int
    uri: str
    corpora: set[int]
    captioned_by: set[int]


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A failure in the catalogue; ``stamp`` is what must change before another try is worth it."""

    stamp: str | None
    reason: str
    corpus_id: int


class _ItemId(NamedTuple):
    """The catalogue id of an item."""

    uri: str
    id: int


_ITEM_IDS = SelectAmong(_ItemId, "SELECT uri, id FROM items", "uri")


def item_ids_of(connection: Connection, uris: Iterable[str]) -> dict[str, int]:
    """Read catalogue ids of items by uri; unknown ones are left out."""
    return dict(_ITEM_IDS.rows(connection, sorted(set(uris))))


class _Item(NamedTuple):
    """An item, with its content, the encoding of that, and whether a corpus lists it."""

    uri: str
    id: int
    sha256: bytes
    stamp: str | None
    lang: str | None
    attributes: str
    encoding_id: int | None
    listed: int


_ITEMS = SelectAmong(
    _Item,
    "SELECT items.uri, items.id, contents.sha256, items.stamp, items.lang, items.attributes, encodings.id,"
    " items.source_id = ? OR listings.source_id IS NOT NULL"
    " FROM items JOIN contents ON contents.id = items.content_id"
    " LEFT JOIN encodings ON encodings.content_id = contents.id AND encodings.encoder_id = ? AND encodings.part = 0"
    " LEFT JOIN listings ON listings.item_id = items.id AND listings.source_id = ?",
    "items.uri",
)


def find_items(
    connection: Connection, uris: Iterable[str], encoder_id: int, corpus_id: int
) -> dict[str, KnownItem]:
    """Read items by uri; unknown ones are left out."""
    return {
        row.uri: KnownItem(
            row.id,
            row.sha256,
            row.stamp,
            row.lang,
            parse_attributes(row.attributes),
            row.encoding_id is not None,
            bool(row.listed),
        )
        for row in _ITEMS.rows(connection, uris, corpus_id, encoder_id, corpus_id)
    }


def find_listings(connection: Connection, ids: Iterable[int]) -> list[Listing]:
    """Find which corpora list items and caption them; ids of no item are left out."""
    items, table, links = schema.items, schema.listings, schema.links
    found = []
    for chunk in chunked(ids):
        corpora: dict[int, set[int]] = {}
        captioned_by: dict[int, set[int]] = {}
        rows = connection.execute(
            select(items.c.id, items.c.uri, items.c.source_id).where(items.c.id.in_(chunk))
        ).all()
        for row in connection.execute(select(table).where(table.c.item_id.in_(chunk))):
            corpora.setdefault(row.item_id, set()).add(row.source_id)
        for row in connection.execute(
            select(links.c.image_item, links.c.source_id).where(links.c.image_item.in_(chunk))
        ):
            captioned_by.setdefault(row.image_item, set()).add(row.source_id)
        found += [
            Listing(
                row.id, row.uri, {row.source_id} | corpora.get(row.id, set()), captioned_by.get(row.id, set())
            )
            for row in rows
        ]
    return found


class _Failure(NamedTuple):
    """A row of the table ``failures``."""

    uri: str
    stamp: str | None
    reason: str
    source_id: int


_FAILURES = SelectAmong(_Failure, "SELECT uri, stamp, reason, source_id FROM failures", "uri")


def find_failures(connection: Connection, uris: Iterable[str]) -> dict[str, KnownFailure]:
    """Read recorded failures by uri."""
    return {
        uri: KnownFailure(stamp, reason, corpus_id)
        for uri, stamp, reason, corpus_id in _FAILURES.rows(connection, uris)
    }


class _FilePart(NamedTuple):
    """An image that is a file or one of the pictures in it, and its stamp; or a failure of such an image."""

    uri: str
    stamp: str | None
    is_failure: int


# +kind: SQLite would else walk all images by their kind, for each file
_FILE_PARTS = Select(
    _FilePart,
    "SELECT uri, stamp, 0 FROM items WHERE +kind = 'image' AND (uri = ?1 OR uri > ?2 AND uri < ?3)"
    " UNION ALL SELECT uri, stamp, 1 FROM failures WHERE uri = ?1 OR uri > ?2 AND uri < ?3",
)


def find_file_parts(
    connection: sqlite3.Connection, file_uri: str, prefix: str
) -> list[tuple[str, str | None, bool]]:
    """Read uri and stamp of the items and failures that are a file or, by the prefix of their uris, in it.

    The last says which are failures.
    """
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    rows = _FILE_PARTS.rows(connection, file_uri, prefix, end)
    return [(row.uri, row.stamp, bool(row.is_failure)) for row in rows]


class _Encoded(NamedTuple):
    """A content that has a vector."""

    sha256: bytes


_ENCODED = SelectAmong(
    _Encoded,
    "SELECT contents.sha256 FROM contents JOIN encodings ON encodings.content_id = contents.id"
    " AND contents.kind = ? AND encodings.encoder_id = ?",
    "contents.sha256",
)


def find_encoded(
    connection: Connection, kind: Kind, digests: Iterable[bytes], encoder_id: int | None
) -> set[bytes]:
    """Read which contents, by sha256, have a vector under an encoder."""
    return {sha256 for (sha256,) in _ENCODED.rows(connection, digests, kind, encoder_id)}


_ENCODED_IMAGE = Select(
    _Encoded,
    "SELECT contents.sha256 FROM contents JOIN encodings ON encodings.content_id = contents.id"
    " WHERE contents.kind = 'image' AND contents.sha256 = ? AND encodings.encoder_id = ? LIMIT 1",
)


def is_encoded_image(connection: sqlite3.Connection, digest: bytes, encoder_id: int) -> bool:
    """Whether an image content has a vector under an encoder, asked of the driver for every image that is read.

    SQLAlchemy takes 260 microseconds for this, the driver 10.

    Raises:
        sqlite3.Error: SQLite cannot read the catalogue.
    """
    return bool(_ENCODED_IMAGE.rows(connection, digest, encoder_id))


def drop_encoded(
    connection: Connection, contents: dict[tuple[Kind, bytes], NewContent], encoder_id: int
) -> None:
    """Leave out contents that have a vector already: each is encoded once."""
    kinds: tuple[Kind, Kind] = ("image", "text")
    for kind in kinds:
        digests = [digest for of_kind, digest in contents if of_kind == kind]
        for digest in find_encoded(connection, kind, digests, encoder_id):
            del contents[kind, digest]


def find_namesakes(
    connection: Connection, kind: Kind, digests: Iterable[bytes], limit: int = 16
) -> dict[bytes, list[tuple[int, str]]]:
    """Id and uri of the first items with each content, ascending: candidates for having been renamed."""
    items, contents = schema.items, schema.contents
    others = items.alias()
    first = select(others.c.id).where(others.c.content_id == contents.c.id).order_by(others.c.id).limit(limit)
    statement = (
        select(contents.c.sha256, items.c.id, items.c.uri)
        .select_from(contents)
        .join(items, items.c.id.in_(first.correlate(contents)))
        .order_by(items.c.id)
    )
    found: dict[bytes, list[tuple[int, str]]] = {}
    for chunk in chunked(digests):
        of_chunk = statement.where(contents.c.kind == kind, contents.c.sha256.in_(chunk))
        for row in connection.execute(of_chunk):
            found.setdefault(row.sha256, []).append((row.id, row.uri))
    return found


class _Link(NamedTuple):
    """That a text describes an image, by catalogue ids, and the corpus that says so."""

    image_item: int
    text_item: int
    source_id: int


_LINKS = SelectAmong(_Link, "SELECT image_item, text_item, source_id FROM links", "text_item")


def find_links(connection: Connection, text_items: Iterable[int]) -> dict[int, dict[int, int]]:
    """Find the images that each of these texts describes, by item id, with the corpus that linked them."""
    found: dict[int, dict[int, int]] = {}
    for image, text, corpus_id in _LINKS.rows(connection, text_items):
        found.setdefault(text, {})[image] = corpus_id
    return found
