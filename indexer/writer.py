"""The commit protocol, and only that: new files first, durable; then one SQLite transaction, which is the switch.

One writer at a time holds ``writer.lock`` (an OS lock: a dead writer frees it). Its holder may sweep every file
that no row names; without it nobody sweeps.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from sqlalchemy import Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DatabaseError

from indexer.changes import Change, NewContent
from indexer.filesystems import check_local
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked, connect, damaged, read_generation
from retrieval.collection.layout import WRITER_LOCK, segments_path
from retrieval.collection.schema import SCHEMA_VERSION, migrate, schema_version
from retrieval.collection.segments import WrittenSegment, sync_folder, write_segment
from retrieval.collection.snapshot import active_encoder_id, read_identity
from retrieval.errors import CollectionError, CollectionLocked, CollectionTooNew, IdentityMismatch
from retrieval.identity import Identity
from retrieval.types import Kind

KINDS: tuple[Kind, Kind] = ("image", "text")


class Writer:
    """The one writer of a collection; a context manager that holds the lock.

    Raises:
        CollectionLocked: another process (or another Writer here) holds the lock.
        CollectionTooNew: a newer vlsearch wrote the collection.
        CollectionError: the folder cannot be written, or is on a network file system.
    """

    def __init__(self, collection: Path) -> None:
        self.path = collection
        try:
            segments_path(collection).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CollectionError(f"collection {collection} cannot be written ({error.strerror})") from error
        check_local(collection)
        self._lock = FileLock(collection / WRITER_LOCK, timeout=0)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise CollectionLocked(collection) from error
        except OSError as error:
            raise CollectionError(f"collection {collection} cannot be written ({error.strerror})") from error
        self._engine: Engine = connect(collection, "write")
        try:
            self._migrate()
            self.sweep()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Fold the write-ahead log into the catalogue and free the lock."""
        with contextlib.suppress(
            DatabaseError
        ):  # a reader in the middle of a query keeps the log; that is fine
            raw = self._engine.raw_connection()
            try:
                raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
            finally:
                raw.close()
        self._engine.dispose()
        self._lock.release()

    @contextlib.contextmanager
    def read(self) -> Any:
        """A transaction of the writer's connection, for look-ups between commits."""
        with self._engine.begin() as connection:
            yield connection

    @property
    def identity(self) -> Identity | None:
        """Identity of the active encoder; None before the first commit of a vector."""
        with self.read() as connection:
            encoder_id = active_encoder_id(connection)
            return None if encoder_id is None else read_identity(connection, encoder_id)

    def check_identity(self, given: Identity) -> None:
        """Refuse an encoder other than the one the collection is bound to.

        Raises:
            IdentityMismatch: with what differs.
        """
        bound = self.identity
        if bound is not None and bound.digest != given.digest:
            raise IdentityMismatch(self.path, bound.name, given.name, bound.difference(given))

    def source_id(self, uri: str, format_: str) -> int:
        """Catalogue id of a corpus, added where it is new."""
        sources = schema.sources
        with self.read() as connection:
            found = connection.execute(select(sources.c.id).where(sources.c.uri == uri)).scalar_one_or_none()
            if found is not None:
                return int(found)
            return int(
                connection.execute(
                    insert(sources).values(uri=uri, format=format_).returning(sources.c.id)
                ).scalar_one()
            )

    def commit(self, change: Change, identity: Identity) -> dict[str, int]:
        """Make a change part of the collection: all of it, or, after any failure or power cut, nothing.

        Returns:
            Item ids of ``change.items`` by uri.

        Raises:
            IdentityMismatch: the collection is bound to another encoder.
            CollectionError: the disk is full or fails; nothing of the change is there.
        """
        self.check_identity(identity)
        with self.read() as connection:
            generation = read_generation(connection) + 1
            next_id = _next_id(connection, "encodings")
        fresh = {kind: [c for c in change.contents.values() if c.kind == kind] for kind in KINDS}
        written: list[tuple[Kind, list[NewContent], NDArray[np.int64], WrittenSegment]] = []
        names: dict[str, int] = {}
        try:
            for kind in KINDS:
                if fresh[kind]:
                    ids = np.arange(next_id, next_id + len(fresh[kind]), dtype=np.int64)
                    next_id += len(ids)
                    vectors = np.stack([content.vector for content in fresh[kind]])
                    written.append(
                        (kind, fresh[kind], ids, write_segment(self.path, generation, vectors, ids))
                    )
            with self.switch(generation) as connection:
                encoder_id = ensure_encoder(connection, identity, activate=True)
                for kind, contents, ids, segment in written:
                    segment_id = insert_segment(connection, kind, encoder_id, segment)
                    _insert_encodings(connection, contents, ids, encoder_id, segment_id)
                touched = _contents_touched(connection, change)
                names = _upsert_items(connection, change)
                _replace_links(connection, change, names)
                _record_failures(connection, change)
                if change.removed:
                    remove_items(connection, change.removed)
                touched |= _contents_of(connection, names.values())
                touched |= set(content_ids_of(connection, change.contents).values())
                bury_and_revive(connection, touched)
        except OSError as error:
            self.sweep()
            raise CollectionError(
                f"collection {self.path} could not be written ({error.strerror or error}); "
                "what was committed before is safe, free some space and run this again"
            ) from error
        except BaseException:
            self.sweep()
            raise
        return names

    @contextlib.contextmanager
    def switch(self, generation: int) -> Any:
        """The transaction that makes ``generation`` current; leaves either it or the one before, and knows which.

        A COMMIT that fails may have happened (a full disk, an I/O error while syncing): the catalogue is opened
        again and asked before anybody removes a file.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
                connection.execute(
                    update(schema.settings)
                    .where(schema.settings.c.name == "generation")
                    .values(value=str(generation))
                )
        except DatabaseError as error:
            self._engine.dispose()
            with self.read() as connection:
                if read_generation(connection) == generation:
                    return
            raise damaged(self.path, error) from error

    def sweep(self) -> list[str]:
        """Remove every file under ``segments/`` that no row names; one that cannot go now waits for the next sweep."""
        segments = schema.segments
        with self.read() as connection:
            kept = {
                name
                for row in connection.execute(select(segments.c.vectors_name, segments.c.ids_name))
                for name in row
            }
        removed = []
        for path in segments_path(self.path).iterdir():
            if path.name not in kept:
                with contextlib.suppress(OSError):  # Windows: mapped by a reader
                    path.unlink()
                    removed.append(path.name)
        if removed:
            sync_folder(segments_path(self.path))
        return sorted(removed)

    def _migrate(self) -> None:
        try:
            with self._engine.begin() as connection:
                version = schema_version(connection)
                if version > SCHEMA_VERSION:
                    raise CollectionTooNew(self.path, version, SCHEMA_VERSION)
                if version < SCHEMA_VERSION:
                    migrate(connection)
        except DatabaseError as error:
            raise damaged(self.path, error) from error


def ensure_encoder(connection: Connection, identity: Identity, activate: bool) -> int:
    """Catalogue id of an encoder, added where it is new, made the active one if asked."""
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
        connection.execute(
            sqlite_insert(schema.settings)
            .values(name="active_encoder", value=str(encoder_id))
            .on_conflict_do_update(index_elements=["name"], set_={"value": str(encoder_id)})
        )
    return encoder_id


def insert_segment(connection: Connection, kind: Kind, encoder_id: int, segment: WrittenSegment) -> int:
    """The row that makes a segment's files part of the collection."""
    return int(
        connection.execute(
            insert(schema.segments)
            .values(
                kind=kind,
                encoder_id=encoder_id,
                rows=segment.rows,
                vectors_name=segment.vectors.name,
                vectors_size=segment.vectors.size,
                vectors_sha256=segment.vectors.sha256,
                ids_name=segment.ids.name,
                ids_size=segment.ids.size,
                ids_sha256=segment.ids.sha256,
            )
            .returning(schema.segments.c.id)
        ).scalar_one()
    )


def remove_items(connection: Connection, ids: Iterable[int]) -> None:
    """Delete items with their links; contents left without items are buried by the same commit."""
    for chunk in chunked(ids):
        connection.execute(delete(schema.items).where(schema.items.c.id.in_(chunk)))


def _next_id(connection: Connection, table: str) -> int:
    used = connection.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).scalar()
    return int(used or 0) + 1


def _insert_encodings(
    connection: Connection,
    contents: Sequence[NewContent],
    ids: NDArray[np.int64],
    encoder_id: int,
    segment_id: int,
) -> None:
    table = schema.contents
    statement = (
        sqlite_insert(table)
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
    content_ids = content_ids_of(connection, {(c.kind, c.sha256) for c in contents})
    connection.execute(
        insert(schema.encodings),
        [
            {
                "id": int(encoding_id),
                "content_id": content_ids[content.kind, content.sha256],
                "encoder_id": encoder_id,
                "part": 0,
                "segment_id": segment_id,
                "row": row,
            }
            for row, (content, encoding_id) in enumerate(zip(contents, ids, strict=True))
        ],
    )


def content_ids_of(
    connection: Connection, keys: Iterable[tuple[Kind, bytes]]
) -> dict[tuple[Kind, bytes], int]:
    """Catalogue ids of contents by kind and sha256; unknown ones are left out."""
    table = schema.contents
    found: dict[tuple[Kind, bytes], int] = {}
    wanted = set(keys)
    for chunk in chunked(sorted({digest for _, digest in wanted})):
        rows = connection.execute(
            select(table.c.id, table.c.kind, table.c.sha256).where(table.c.sha256.in_(chunk))
        )
        found.update(((row.kind, row.sha256), row.id) for row in rows if (row.kind, row.sha256) in wanted)
    return found


def item_ids_of(connection: Connection, uris: Iterable[str]) -> dict[str, int]:
    """Catalogue ids of items by uri; unknown ones are left out."""
    table = schema.items
    found: dict[str, int] = {}
    for chunk in chunked(sorted(set(uris))):
        rows = connection.execute(select(table.c.uri, table.c.id).where(table.c.uri.in_(chunk)))
        found.update((row.uri, row.id) for row in rows)
    return found


def _upsert_items(connection: Connection, change: Change) -> dict[str, int]:
    if not change.items:
        return {}
    table = schema.items
    content_ids = content_ids_of(connection, ((item.kind, item.sha256) for item in change.items.values()))
    for item in change.items.values():
        if item.renames is not None:
            connection.execute(update(table).where(table.c.id == item.renames).values(uri=item.uri))
    rows = [
        {
            "content_id": content_ids[item.kind, item.sha256],
            "source_id": item.source_id,
            "kind": item.kind,
            "uri": item.uri,
            "key": item.key,
            "lang": item.lang,
            "attributes": json.dumps(dict(item.attributes), ensure_ascii=False, sort_keys=True),
            "stamp": item.stamp,
            "extent": item.extent,
        }
        for item in change.items.values()
    ]
    statement = sqlite_insert(table)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["uri"],
            set_={
                "content_id": new.content_id,
                "kind": new.kind,
                "key": func.coalesce(new.key, table.c.key),
                "lang": new.lang,
                "attributes": new.attributes,
                "stamp": new.stamp,
                "extent": new.extent,
            },
        ),
        rows,
    )
    return item_ids_of(connection, change.items)


def _replace_links(connection: Connection, change: Change, names: dict[str, int]) -> None:
    if not change.links:
        return
    uris = {uri for link in change.links.values() for uri in (link.image_uri, link.text_uri)}
    ids = names | item_ids_of(connection, uris - names.keys())
    rows = [
        {
            "image_item": ids[link.image_uri],
            "text_item": ids[link.text_uri],
            "source_id": link.source_id,
            "rank": link.rank,
        }
        for link in change.links.values()
    ]
    table = schema.links
    for source_id in {row["source_id"] for row in rows}:
        texts = sorted({row["text_item"] for row in rows if row["source_id"] == source_id})
        for chunk in chunked(texts):
            connection.execute(
                delete(table).where(table.c.source_id == source_id, table.c.text_item.in_(chunk))
            )
    statement = sqlite_insert(table)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["image_item", "text_item"], set_={"rank": statement.excluded.rank}
        ),
        rows,
    )


def _record_failures(connection: Connection, change: Change) -> None:
    for chunk in chunked([*change.items, *change.settled]):
        connection.execute(delete(schema.failures).where(schema.failures.c.uri.in_(chunk)))
    if not change.failures:
        return
    statement = sqlite_insert(schema.failures)
    new = statement.excluded
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["uri"],
            set_={"reason": new.reason, "stamp": new.stamp, "source_id": new.source_id},
        ),
        [
            {"uri": f.uri, "reason": f.reason, "stamp": f.stamp, "source_id": f.source_id}
            for f in change.failures.values()
        ],
    )


def _contents_touched(connection: Connection, change: Change) -> set[int]:
    """Contents that may lose an item to this change: those of items that it updates or removes, as they are now."""
    items = schema.items
    touched: set[int] = set()
    renamed = [item.renames for item in change.items.values() if item.renames is not None]
    for chunk in chunked(change.items):
        touched.update(connection.execute(select(items.c.content_id).where(items.c.uri.in_(chunk))).scalars())
    return touched | _contents_of(connection, [*change.removed, *renamed])


def _contents_of(connection: Connection, item_ids: Iterable[int]) -> set[int]:
    items = schema.items
    return {
        content
        for chunk in chunked(item_ids)
        for content in connection.execute(select(items.c.content_id).where(items.c.id.in_(chunk))).scalars()
    }


def bury_and_revive(connection: Connection, touched: Iterable[int]) -> None:
    """Of these contents, mask the encodings of those without items and unmask those of the others."""
    encodings, items, dead = schema.encodings, schema.items, schema.dead
    used = select(items.c.id).where(items.c.content_id == encodings.c.content_id).exists()
    for chunk in chunked(touched):
        of_chunk = encodings.c.content_id.in_(chunk)
        unused = select(encodings.c.id).where(of_chunk, ~used)
        connection.execute(sqlite_insert(dead).from_select(["encoding_id"], unused).on_conflict_do_nothing())
        connection.execute(
            delete(dead).where(dead.c.encoding_id.in_(select(encodings.c.id).where(of_chunk, used)))
        )
