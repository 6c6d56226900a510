"""Rows of contents, their encodings and encoders, as one commit changes them, inside the writer's transaction.

Where the vectors of encodings lie is the store's to say: :mod:`retrieval.collection.stores.segment_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.changes import NewContent
from indexer.store.many_rows import SelectAmong, among, write_rows
from indexer.store.settings import set_settings
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked
from retrieval.collection.encoder_rows import read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.stored_values import count_of
from retrieval.identity import Identity
from retrieval.types import Kind

LAST_ID = 2**62  # a catalogue that says it has used more was altered


def ensure_encoder(connection: Connection, collection: Path, identity: Identity, activate: bool) -> int:
    """Give the catalogue id of an encoder, added where it is new; make it the active one if asked.

    The active encoder's row tells every precision and runtime that its vectors were computed with.

    Raises:
        CollectionDamaged: the catalogue has a row of its digest that holds something else.
    """
    table = schema.encoders
    connection.execute(
        sqlite_insert(table)
        .values(digest=identity.digest, identity=identity.to_json())
        .on_conflict_do_nothing(index_elements=["digest"])
    )
    encoder_id = int(
        connection.execute(select(table.c.id).where(table.c.digest == identity.digest)).scalar_one()
    )
    if activate:
        _note_computation(connection, collection, encoder_id, identity)
        set_settings(connection, {"active_encoder": str(encoder_id)})
    return encoder_id


def _note_computation(connection: Connection, collection: Path, encoder_id: int, identity: Identity) -> None:
    """Add the precisions and runtimes of an identity to those in an encoder's row."""
    stored = read_identity(driver_connection(connection), collection, encoder_id)
    joined = stored.joined(identity)
    if joined != stored:
        table = schema.encoders
        values = {"identity": joined.to_json()}
        connection.execute(update(table).where(table.c.id == encoder_id).values(values))


def find_encoder(connection: Connection, identity: Identity) -> int | None:
    """Read the catalogue id of an encoder; None where it is new."""
    table = schema.encoders
    return connection.execute(
        select(table.c.id).where(table.c.digest == identity.digest)
    ).scalar_one_or_none()


def next_id(connection: Connection, table: str) -> int:
    """Read the id that AUTOINCREMENT gives next; an id that was ever used is never given again."""
    used = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).scalar()
    return count_of(0 if used is None else used, f"the last id of {table}", LAST_ID) + 1


def ensure_contents(connection: Connection, contents: Sequence[NewContent]) -> list[int]:
    """Give the catalogue ids of contents, in their order; add those that are new."""
    write_rows(
        connection,
        "INSERT INTO contents (kind, sha256, text, width, height) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT (sha256, kind) DO NOTHING",
        ((c.kind, c.sha256, c.text, c.width, c.height) for c in contents),
    )
    ids = content_ids_of(connection, {(c.kind, c.sha256) for c in contents})
    return [ids[content.kind, content.sha256] for content in contents]


class _ContentId(NamedTuple):
    """The catalogue id of a content."""

    id: int
    kind: Kind
    sha256: bytes


_CONTENT_IDS = SelectAmong(_ContentId, "SELECT id, kind, sha256 FROM contents", "sha256")


def content_ids_of(
    connection: Connection, keys: Iterable[tuple[Kind, bytes]]
) -> dict[tuple[Kind, bytes], int]:
    """Read catalogue ids of contents by kind and sha256; unknown ones are left out."""
    wanted = set(keys)
    if not wanted:
        return {}
    rows = _CONTENT_IDS.rows(connection, sorted({digest for _, digest in wanted}))
    return {(kind, sha256): number for number, kind, sha256 in rows if (kind, sha256) in wanted}


def contents_of(connection: Connection, item_ids: Iterable[int]) -> set[int]:
    """Read the catalogue ids of the contents of items."""
    return {content for (content,) in _CONTENTS_OF_ITEMS.rows(connection, item_ids)}


def contents_at(connection: Connection, uris: Iterable[str]) -> set[int]:
    """Read the catalogue ids of the contents of items, by uri."""
    return {content for (content,) in _CONTENTS_AT_URIS.rows(connection, uris)}


class _ContentOfItem(NamedTuple):
    """The content of an item."""

    content_id: int


_CONTENTS_OF_ITEMS = SelectAmong(_ContentOfItem, "SELECT content_id FROM items", "id")
_CONTENTS_AT_URIS = SelectAmong(_ContentOfItem, "SELECT content_id FROM items", "uri")


def mask_and_unmask(connection: Connection, touched: Iterable[int]) -> None:
    """Mask the encodings of these contents that no item has, and unmask the others.

    A content that has neither item nor encoding is deleted.
    """
    driver = driver_connection(connection)
    for chunk in chunked(touched):
        encodings = f"SELECT id FROM encodings {among('content_id', len(chunk))} AND"
        has_item = "EXISTS (SELECT 1 FROM items WHERE items.content_id = encodings.content_id)"
        driver.execute(
            f"INSERT INTO dead (encoding_id) {encodings} NOT {has_item} ON CONFLICT DO NOTHING", chunk
        )
        driver.execute(f"DELETE FROM dead WHERE encoding_id IN ({encodings} {has_item})", chunk)
        driver.execute(
            f"DELETE FROM contents {among('id', len(chunk))}"
            " AND NOT EXISTS (SELECT 1 FROM items WHERE items.content_id = contents.id)"
            " AND NOT EXISTS (SELECT 1 FROM encodings WHERE encodings.content_id = contents.id)",
            chunk,
        )


def mask_unused(connection: Connection) -> None:
    """Mask the encodings that no item uses, and no others."""
    encodings, items, dead = schema.encodings, schema.items, schema.dead
    used = select(items.c.id).where(items.c.content_id == encodings.c.content_id).exists()
    connection.execute(delete(dead).where(dead.c.encoding_id.in_(select(encodings.c.id).where(used))))
    unused = select(encodings.c.id).where(~used, encodings.c.id.not_in(select(dead.c.encoding_id)))
    connection.execute(insert(dead).from_select(["encoding_id"], unused))


def drop_encodings(connection: Connection, ids: Iterable[int]) -> None:
    """Delete encodings, and contents that neither an item nor another encoding needs."""
    contents, encodings, items, dead = schema.contents, schema.encodings, schema.items, schema.dead
    has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
    has_encoding = select(encodings.c.id).where(encodings.c.content_id == contents.c.id).exists()
    for chunk in chunked(ids):
        of_chunk = select(encodings.c.content_id).where(encodings.c.id.in_(chunk))
        content_ids = connection.execute(of_chunk).scalars().all()
        connection.execute(delete(dead).where(dead.c.encoding_id.in_(chunk)))
        connection.execute(delete(encodings).where(encodings.c.id.in_(chunk)))
        connection.execute(delete(contents).where(contents.c.id.in_(content_ids), ~has_item, ~has_encoding))


def forget_other_encoders(connection: Connection, encoder_id: int) -> None:
    """Drop all encoders but one, which have no encodings any more, and contents that nothing needs."""
    contents, encodings, items, encoders = schema.contents, schema.encodings, schema.items, schema.encoders
    has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
    has_encoding = select(encodings.c.id).where(encodings.c.content_id == contents.c.id).exists()
    connection.execute(delete(encoders).where(encoders.c.id != encoder_id))
    connection.execute(delete(contents).where(~has_item, ~has_encoding))
