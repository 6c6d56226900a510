"""A collection as readers see it: open anywhere, from many threads, while a writer commits.

One query is one read transaction: it reads the generation, brings the snapshot up to date if that moved, searches,
resolves hits, and ends. Nothing holds a transaction between queries: the write-ahead log would grow without bound.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, Table, func, select, type_coerce
from sqlalchemy.exc import DatabaseError

from retrieval.collection import schema
from retrieval.collection.catalogue import (
    check_readable,
    chunked,
    connect,
    damaged,
    read_generation,
    unreadable,
)
from retrieval.collection.column_types import OptionalText, WrongValue
from retrieval.collection.hits import read_hits, read_items
from retrieval.collection.layout import segments_path
from retrieval.collection.left_out import read_left_out
from retrieval.collection.search import Candidates, search
from retrieval.collection.snapshot import Snapshot, active_encoder_id, read_identity, read_snapshot
from retrieval.collection.stored import KeyedVector, read_keyed, read_vectors
from retrieval.collection.stores.segments import SegmentStore, search_threads
from retrieval.errors import CollectionDamaged
from retrieval.identity import Identity
from retrieval.types import Failure, HiddenItem, Hit, Kind

KEYS_PAGE = 1000  # keys a read transaction
OPEN_ATTEMPTS = 20  # compactions that may overtake one query before it gives up
SEARCH_THREADS = 2  # that searches of one collection share


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """Totals of one generation.

    ``images`` and ``texts`` count hidden items too, ``hidden`` those alone; ``dead`` counts masked rows that the next
    compaction drops; ``left_out`` what the last run over each corpus passed over, by what it is (``RAW picture``,
    ``hidden file``).
    """

    path: str
    generation: int
    model: str | None
    dimension: int | None
    images: int
    texts: int
    links: int
    contents: int
    failures: int
    sources: int
    segments: int
    rows: int
    dead: int
    unencoded: int
    hidden: int
    vector_bytes: int
    catalogue_bytes: int
    schema_version: int
    left_out: Mapping[str, int] = field(default_factory=dict)


class Collection:
    """A collection opened for reading; safe to share between threads. Make one with :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._engine = connect(path, "read")
        self._lock = threading.Lock()
        self._snapshot: Snapshot | None = None
        self._threads = search_threads(SEARCH_THREADS)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a collection. Reads no per-row data, so ten million items open at once.

        Raises:
            CollectionNotFound: there is none at ``path``.
            CollectionTooNew: a newer vlsearch wrote it.
            CollectionDamaged: SQLite cannot read the catalogue, or a segment's file is missing or cut short.
        """
        folder = Path(path)
        collection = cls(folder)
        try:
            with collection._transaction():
                pass
        except BaseException:
            collection.close()
            raise
        return collection

    @property
    def identity(self) -> Identity | None:
        """Identity of the encoder whose vectors are searched; None while nothing has been indexed."""
        with self._transaction() as (connection, _):
            encoder_id = active_encoder_id(connection)
            return None if encoder_id is None else read_identity(connection, self.path, encoder_id)

    @property
    def generation(self) -> int:
        """Number of the committed state that a query would see now."""
        with self._transaction() as (_, snapshot):
            return snapshot.generation

    def search(
        self, vectors: NDArray[np.float32], find: Kind, k: int, distinct: bool = False
    ) -> list[list[Hit]]:
        """The k best items of a kind for each query: by score descending, then item id ascending.

        Exact: equal to scoring every live item with :func:`~retrieval.collection.score.exact_scores`, in one
        generation, whatever the segments, threads, deletions and compactions on the way. Fewer than k come back
        only where there are fewer.

        Args:
            vectors: (q, d) float32 unit rows by the collection's encoder.
            find: the kind of item wanted.
            k: >= 1; counts items, so equal pictures under two names are two hits.
            distinct: give each content once, as its item with the lowest id.
        """
        with self._transaction() as (connection, snapshot):
            with _ids_in_order():
                found = search(self._store(snapshot, find), vectors, k, snapshot.masked)
            return self._resolve(connection, snapshot, found, k, distinct)

    def has(self, kind: Kind) -> bool:
        """Whether there is any item of a kind that is not hidden."""
        table = schema.items
        with self._transaction() as (connection, snapshot):
            hidden = len(snapshot.hidden[kind])
            some = select(table.c.id).where(table.c.kind == kind).limit(hidden + 1)
            return len(connection.execute(some).all()) > hidden

    def count(self, kind: Kind) -> int:
        """Number of items of a kind that are not hidden."""
        table = schema.items
        with self._transaction() as (connection, snapshot):
            all_items = select(func.count()).select_from(table).where(table.c.kind == kind)
            return int(connection.execute(all_items).scalar_one()) - len(snapshot.hidden[kind])

    def items(self, ids: Sequence[int]) -> list[Hit]:
        """Items by id, ascending, as hits of rank 0 and score 0; ids that are gone or hidden are left out."""
        with self._transaction() as (connection, snapshot):
            hidden = {item for of_kind in snapshot.hidden.values() for item in of_kind.tolist()}
            return read_items(connection, [id_ for id_ in ids if id_ not in hidden], snapshot.hidden["text"])

    def get(self, key: str) -> Hit | None:
        """The item with a key, as a hit of rank 0 and score 0; None if there is none, or it is hidden."""
        table = schema.items
        with self._transaction() as (connection, snapshot):
            found = connection.execute(select(table.c.id).where(table.c.key == key)).scalar_one_or_none()
            if found is None or snapshot.hides(found):
                return None
            return read_items(connection, [found], snapshot.hidden["text"])[0]

    def keys(self) -> Iterator[str]:
        """Keys of the items that have one and are not hidden, in the order in which the items came.

        Read a page at a time, each in one generation, so that a commit may come between two of them.
        """
        table = schema.items
        keyed = select(table.c.id, table.c.key).where(table.c.key.is_not(None)).order_by(table.c.id)
        last = 0
        while True:
            with self._transaction() as (connection, snapshot):
                page = connection.execute(keyed.where(table.c.id > last).limit(KEYS_PAGE)).all()
                seen = [row.key for row in page if not snapshot.hides(row.id)]
            yield from seen
            if len(page) < KEYS_PAGE:
                return
            last = page[-1].id

    def vectors(
        self, contents: Iterable[tuple[Kind, bytes]]
    ) -> dict[tuple[Kind, bytes], NDArray[np.float32]]:
        """Stored vectors, (d,) float32, of contents by kind and sha256; what no item has is left out."""
        with self._transaction() as (connection, snapshot), _ids_in_order():
            return read_vectors(connection, snapshot, partial(self._store, snapshot), contents)

    def keyed_vectors(self, keys: Sequence[str]) -> dict[str, KeyedVector]:
        """Kinds and stored vectors of items by key; unknown and hidden ones are left out."""
        with self._transaction() as (connection, snapshot), _ids_in_order():
            return read_keyed(connection, snapshot, partial(self._store, snapshot), keys)

    def hidden(self) -> Iterator[HiddenItem]:
        """What is hidden, by uri: items, and uris that no item has now."""
        table, items = schema.hidden, schema.items
        with self._transaction() as (connection, _):
            if schema.schema_version(connection) < schema.HIDDEN_SINCE:
                return iter(())
            rows = connection.execute(
                select(table.c.uri, items.c.key, type_coerce(items.c.kind, OptionalText()).label("kind"))
                .outerjoin(items, items.c.uri == table.c.uri)
                .order_by(table.c.uri)
            ).all()
        return (HiddenItem(row.uri, row.key, row.kind) for row in rows)

    def failures(self, source: str | None = None) -> Iterator[Failure]:
        """Items that could not be taken, of all corpora or of the one with this uri, in the order of first failure."""
        table, sources = schema.failures, schema.sources
        statement = select(table.c.uri, table.c.reason).order_by(table.c.id)
        if source is not None:
            of_source = select(sources.c.id).where(sources.c.uri == source)
            statement = statement.where(table.c.source_id.in_(of_source))
        with self._transaction() as (connection, _):
            rows = connection.execute(statement).all()
        return (Failure(row.uri, row.reason) for row in rows)

    def info(self) -> CollectionInfo:
        """Totals, counted in one generation."""
        with self._transaction() as (connection, snapshot):
            identity = None
            if snapshot.encoder_id is not None:
                identity = read_identity(connection, self.path, snapshot.encoder_id)

            def count(table: Table, *where: ColumnElement[bool]) -> int:
                statement = select(func.count()).select_from(table).where(*where)
                return int(connection.execute(statement).scalar_one())

            encoded = (
                select(schema.encodings.c.id)
                .where(
                    schema.encodings.c.content_id == schema.items.c.content_id,
                    schema.encodings.c.encoder_id == snapshot.encoder_id,
                )
                .exists()
            )
            live = schema.segments.c.encoder_id == snapshot.encoder_id
            size = select(func.coalesce(func.sum(schema.segments.c.vectors_size), 0)).where(live)
            page_count = int(connection.exec_driver_sql("PRAGMA page_count").scalar_one())
            page_size = int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())
            return CollectionInfo(
                path=str(self.path),
                generation=snapshot.generation,
                model=None if identity is None else identity.name,
                dimension=None if identity is None else identity.dimension,
                images=count(schema.items, schema.items.c.kind == "image"),
                texts=count(schema.items, schema.items.c.kind == "text"),
                links=count(schema.links),
                contents=count(schema.contents),
                failures=count(schema.failures),
                sources=count(schema.sources),
                segments=count(schema.segments, live),
                rows=snapshot.rows("image") + snapshot.rows("text"),
                dead=len(snapshot.dead),
                unencoded=count(schema.items, ~encoded),
                hidden=sum(len(of_kind) for of_kind in snapshot.hidden.values()),
                vector_bytes=int(connection.execute(size).scalar_one()),
                catalogue_bytes=page_count * page_size,
                schema_version=schema.schema_version(connection),
                left_out=read_left_out(connection),
            )

    def close(self) -> None:
        """Close the catalogue; mapped files go when the last thread lets go of them."""
        self._threads.shutdown()
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[tuple[Connection, Snapshot]]:
        """A read transaction and the snapshot of exactly the generation that it sees."""
        for attempt in range(OPEN_ATTEMPTS):
            try:
                connection = self._engine.connect()
            except DatabaseError as error:
                raise damaged(self.path, error) from error
            try:
                with connection, connection.begin():
                    try:
                        check_readable(connection, self.path)
                        snapshot = self._current(connection)
                    except FileNotFoundError as error:
                        # A writer has committed and unlinked since this transaction began: look again. If the
                        # files that the newest generation names are gone, no number of attempts finds them.
                        if attempt == OPEN_ATTEMPTS - 1:
                            missing = f"{error.filename or segments_path(self.path)} is missing"
                            raise CollectionDamaged(self.path, missing) from error
                        continue
                    yield connection, snapshot
                    return
            except DatabaseError as error:
                raise damaged(self.path, error) from error
            except OSError as error:
                raise unreadable(self.path, error) from error

    def _store(self, snapshot: Snapshot, kind: Kind) -> SegmentStore:
        segments = [segment for segment in snapshot.segments[kind].values() if segment.rows]
        return SegmentStore(segments, self._threads)

    def _current(self, connection: Connection) -> Snapshot:
        generation = read_generation(connection)
        last = self._snapshot
        if last is not None and last.generation == generation:
            return last
        snapshot = read_snapshot(connection, self.path, generation, last)
        with self._lock:
            # A thread whose transaction began earlier uses its own snapshot and leaves the newer one in place.
            if self._snapshot is None or self._snapshot.generation < generation:
                self._snapshot = snapshot
        return snapshot

    def _resolve(
        self,
        connection: Connection,
        snapshot: Snapshot,
        found: Sequence[Candidates],
        k: int,
        distinct: bool,
    ) -> list[list[Hit]]:
        encoding_ids = {number for candidates in found for number in candidates.ids.tolist()}
        content_of: dict[int, int] = {}
        encodings, items = schema.encodings, schema.items
        for ids in chunked(sorted(encoding_ids)):
            rows = connection.execute(
                select(encodings.c.id, encodings.c.content_id).where(encodings.c.id.in_(ids))
            )
            content_of.update((row.id, row.content_id) for row in rows)
        if len(content_of) < len(encoding_ids):
            raise WrongValue("segments hold encodings that the catalogue does not know")
        items_of: dict[int, list[int]] = {}
        hidden = {item for of_kind in snapshot.hidden.values() for item in of_kind.tolist()}
        for ids in chunked(sorted(set(content_of.values()))):
            rows = connection.execute(
                select(items.c.id, items.c.content_id).where(items.c.content_id.in_(ids)).order_by(items.c.id)
            )
            for row in rows:
                of_content = items_of.setdefault(row.content_id, [])
                if row.id not in hidden:
                    of_content.append(row.id)
        if len(items_of) < len(set(content_of.values())):
            raise WrongValue("the catalogue holds encodings of no item that are not masked")
        ranked = [_rank(candidates, content_of, items_of, k, distinct) for candidates in found]
        return read_hits(connection, ranked, snapshot.hidden["text"])


@contextmanager
def _ids_in_order() -> Iterator[None]:
    """A block that looks vectors up by id, which a store does by bisection."""
    try:
        yield
    except KeyError as error:
        raise WrongValue("the ids of a segment are not in order") from error


def _rank(
    candidates: Candidates,
    content_of: dict[int, int],
    items_of: dict[int, list[int]],
    k: int,
    distinct: bool,
) -> list[tuple[int, float]]:
    """Item ids with their scores, best first: contents become their items before the cut, so that k counts items."""
    scored: dict[int, float] = {}
    for encoding_id, score in zip(candidates.ids.tolist(), candidates.scores.tolist(), strict=True):
        content = content_of[encoding_id]
        scored[content] = max(
            score, scored.get(content, -np.inf)
        )  # several parts of one content reduce by max
    pairs = [
        (item, score)
        for content, score in scored.items()
        for item in (items_of[content][:1] if distinct else items_of[content])
    ]
    pairs.sort(key=lambda pair: (-pair[1], pair[0]))
    return pairs[:k]
