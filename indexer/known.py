"""What the catalogue knows already of items about to be indexed: look-ups in batches, on the writer's connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from indexer.changes import NewContent
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.types import Kind, Scalar


@dataclass(frozen=True, slots=True)
class KnownItem:
    """An item in the catalogue; ``encoded``: its content has a vector under the active encoder."""

    id: int
    sha256: bytes
    stamp: str | None
    lang: str | None
    attributes: Mapping[str, Scalar]
    encoded: bool


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """A failure in the catalogue; ``stamp`` is what must change before another try is worth it."""

    stamp: str | None
    reason: str
    source_id: int


def find_items(connection: Connection, uris: Iterable[str], encoder_id: int | None) -> dict[str, KnownItem]:
    """Items by uri; unknown ones are left out."""
    items, contents, encodings = schema.items, schema.contents, schema.encodings
    statement = (
        select(
            items.c.uri,
            items.c.id,
            contents.c.sha256,
            items.c.stamp,
            items.c.lang,
            items.c.attributes,
            encodings.c.id.label("encoding_id"),
        )
        .join(contents, contents.c.id == items.c.content_id)
        .outerjoin(
            encodings,
            (encodings.c.content_id == contents.c.id)
            & (encodings.c.encoder_id == encoder_id)
            & (encodings.c.part == 0),
        )
    )
    found = {}
    for chunk in chunked(uris):
        for row in connection.execute(statement.where(items.c.uri.in_(chunk))):
            found[row.uri] = KnownItem(
                row.id,
                row.sha256,
                row.stamp,
                row.lang,
                json.loads(row.attributes),
                row.encoding_id is not None,
            )
    return found


def find_failures(connection: Connection, uris: Iterable[str]) -> dict[str, KnownFailure]:
    """Recorded failures by uri."""
    table = schema.failures
    found: dict[str, KnownFailure] = {}
    for chunk in chunked(uris):
        for row in connection.execute(select(table).where(table.c.uri.in_(chunk))):
            found[row.uri] = KnownFailure(row.stamp, row.reason, row.source_id)
    return found


def find_encoded(
    connection: Connection, kind: Kind, digests: Iterable[bytes], encoder_id: int | None
) -> set[bytes]:
    """Which contents, by sha256, have a vector under the active encoder."""
    contents, encodings = schema.contents, schema.encodings
    statement = (
        select(contents.c.sha256)
        .join(encodings, encodings.c.content_id == contents.c.id)
        .where(contents.c.kind == kind, encodings.c.encoder_id == encoder_id)
    )
    found: set[bytes] = set()
    for chunk in chunked(digests):
        found.update(connection.execute(statement.where(contents.c.sha256.in_(chunk))).scalars())
    return found


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
    connection: Connection, kind: Kind, digest: bytes, limit: int = 16
) -> list[tuple[int, str]]:
    """Id and uri of the first items with a content: candidates for having been renamed."""
    items, contents = schema.items, schema.contents
    rows = connection.execute(
        select(items.c.id, items.c.uri)
        .join(contents, contents.c.id == items.c.content_id)
        .where(contents.c.kind == kind, contents.c.sha256 == digest)
        .order_by(items.c.id)
        .limit(limit)
    )
    return [(row.id, row.uri) for row in rows]


def find_links(connection: Connection, text_items: Iterable[int], source_id: int) -> dict[int, set[int]]:
    """Pictures that a source has linked to each of these texts, by item id."""
    table = schema.links
    found: dict[int, set[int]] = {}
    for chunk in chunked(text_items):
        rows = connection.execute(
            select(table.c.text_item, table.c.image_item).where(
                table.c.text_item.in_(chunk), table.c.source_id == source_id
            )
        )
        for row in rows:
            found.setdefault(row.text_item, set()).add(row.image_item)
    return found
