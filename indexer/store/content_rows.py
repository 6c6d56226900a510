"""Rows of contents, their encodings and encoders, as one commit changes them, inside the writer's transaction.

Where the vectors of encodings lie is the store's to say: :mod:`retrieval.collection.stores.segment_rows`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from indexer.store.changes import NewContent
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
        connection.execute(
            sqlite_insert(schema.settings)
            .values(name="active_encoder", value=str(encoder_id))
            .on_conflict_do_update(index_elements=["name"], set_={"value": str(encoder_id)})
        )
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
    statement = (
        sqlite_insert(schema.contents)
        .values(kind=None, sha256=None, text=None, width=None, height=None)
        .on_conflict_do_nothing(index_elements=["sha256", "kind"])
    )
    connection.execute(
        statement,
        [
            {"kind": c.kind, "sha256": c.sha256, "text": c.text, "width": c.width, "height": c.height}
            for c in contents
        ],
    )
    ids = content_ids_of(connection, {(c.kind, c.sha256) for c in contents})
    return [ids[content.kind, content.sha256] for content in contents]


def content_ids_of(
    connection: Connection, keys: Iterable[tuple[Kind, bytes]]
) -> dict[tuple[Kind, bytes], int]:
    """Read catalogue ids of contents by kind and sha256; unknown ones are left out."""
    table = schema.contents
    found: dict[tuple[Kind, bytes], int] = {}
    wanted = set(keys)
    for chunk in chunked(sorted({digest for _, digest in wanted})):
        rows = connection.execute(
            select(table.c.id, table.c.kind, table.c.sha256).where(table.c.sha256.in_(chunk))
        )
        found.update(((row.kind, row.sha256), row.id) for row in rows if (row.kind, row.sha256) in wanted)
    return found


def contents_of(connection: Connection, item_ids: Iterable[int]) -> set[int]:
    """Read the catalogue ids of the contents of items."""
    items = schema.items
    return {
        content
        for chunk in chunked(item_ids)
        for content in connection.execute(select(items.c.content_id).where(items.c.id.in_(chunk))).scalars()
    }


def mask_and_unmask(connection: Connection, touched: Iterable[int]) -> None:
    """Mask the encodings of these contents that no item has, and unmask the others.

    A content that has neither item nor encoding is deleted.
    """
    contents, encodings, items, dead = schema.contents, schema.encodings, schema.items, schema.dead
    has_item = select(items.c.id).where(items.c.content_id == contents.c.id).exists()
    has_encoding = select(encodings.c.id).where(encodings.c.content_id == contents.c.id).exists()
    used = select(items.c.id).where(items.c.content_id == encodings.c.content_id).exists()
    for chunk in chunked(touched):
        of_chunk = encodings.c.content_id.in_(chunk)
        unused = select(encodings.c.id).where(of_chunk, ~used)
        connection.execute(sqlite_insert(dead).from_select(["encoding_id"], unused).on_conflict_do_nothing())
        connection.execute(
            delete(dead).where(dead.c.encoding_id.in_(select(encodings.c.id).where(of_chunk, used)))
        )
        connection.execute(delete(contents).where(contents.c.id.in_(chunk), ~has_item, ~has_encoding))


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
