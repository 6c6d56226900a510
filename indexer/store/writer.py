"""The commit protocol, and only that: new files first, durable; then one SQLite transaction, which is the switch.

One writer at a time holds ``writer.lock`` (an OS lock: a dead writer frees it). Its holder may sweep every file
that it has noted as its own to remove; without it nobody sweeps.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, insert, select

from indexer.store import content_rows, rows
from indexer.store.attribute_rows import items_with_other_values, rebuild_values
from indexer.store.changes import Change, NewContent
from indexer.store.lock import take_lock
from indexer.store.noted_files import note_sweepable
from indexer.store.relocation import follow_move
from indexer.store.settings import drop_settings, set_settings
from indexer.store.sweeping import set_unknown_files_aside, sweep
from indexer.store.transactions import Transactions
from indexer.store.word_rows import items_with_other_words, rebuild_words
from retrieval.closing import Closing
from retrieval.collection import kept_duplicates, schema
from retrieval.collection.accelerators.asked import ASKED, MISSED, SCAN, MissedRecall, scans_as_asked
from retrieval.collection.accelerators.opened import read_accelerators
from retrieval.collection.encoder_rows import active_encoder_id, read_identity
from retrieval.collection.engine import driver_connection
from retrieval.collection.folder import (
    require_collection,
)
from retrieval.collection.known_corpora import CORPUS, OBJECTS, note_of
from retrieval.collection.left_out import LEFT_OUT
from retrieval.collection.stores import SegmentWriter
from retrieval.collection.stores.segment_rows import (
    add_segment,
    drop_accelerators,
    drop_segments,
    drop_segments_of_others,
    read_segments,
    replace_segments,
    set_accelerator,
    set_measured,
)
from retrieval.collection.stores.segment_writer import WrittenSegment
from retrieval.errors import (
    CollectionDamaged,
    CollectionError,
    IdentityMismatch,
    VlsearchError,
)
from retrieval.identity import Identity
from retrieval.places import CollectionPlace
from retrieval.types import KINDS, Kind

if TYPE_CHECKING:
    from retrieval.corpora.noted_objects import NotedObjects
    from retrieval.corpora.spec import CorpusSpec


@dataclass(frozen=True, slots=True)
class _NewVectors:
    """Vectors that are written and not in the catalogue yet, and their contents in the order of their ids."""

    kind: Kind
    contents: list[NewContent]
    written: WrittenSegment


class Writer(Closing):
    """The only writer of a collection, holding its lock; a context manager. Creates the collection if there is none.

    Attributes:
        place: the collection's, for messages.
        path: the folder that its catalogue lies in.
        catalogue: transactions on its catalogue.
        vectors: where its vectors are written.

    Args:
        collection: its folder.
        timeout_s: how long to wait for another writer to end, >= 0.

    Raises:
        CollectionLocked: another process (or another Writer here) holds the lock, and held it that long.
        CollectionTooNew: a newer vlsearch wrote the collection.
        CollectionError: the folder cannot be written, or is on a network file system.
        UsageError: there is no collection yet, and the folder has other files in it.
    """

    place: CollectionPlace
    vectors: SegmentWriter

    def __init__(self, collection: Path, timeout_s: float = 0.0) -> None:
        self.path = self.place = collection
        self._lock = take_lock(collection, timeout_s)
        try:
            self.catalogue = Transactions(collection)
        except BaseException:
            self._lock.release()
            raise
        self.vectors = SegmentWriter(collection, self._note_sweepable)
        try:
            set_unknown_files_aside(self.catalogue)
            self.sweep()
            follow_move(self.catalogue)
        except BaseException:
            self.close()
            raise

    @classmethod
    def existing(cls, collection: Path, timeout_s: float = 0.0) -> Self:
        """Open the writer of a collection that is there, for changes that make no sense on an empty one.

        Raises:
            CollectionNotFound: there is none, and none is made.
        """
        require_collection(collection)
        return cls(collection, timeout_s)

    def close(self) -> None:
        """Fold the write-ahead log into the catalogue, as far as readers allow, and free the lock."""
        try:
            self.catalogue.close()
        finally:
            self._lock.release()

    def look_up(self) -> AbstractContextManager[Connection]:
        """Begin a read transaction between commits; SQLite refuses to write in it."""
        return self.catalogue.look_up()

    @property
    def identity(self) -> Identity | None:
        """The identity of the active encoder; None before the first commit of a vector."""
        with self.look_up() as connection:
            driver = driver_connection(connection)
            encoder_id = active_encoder_id(driver)
            return None if encoder_id is None else read_identity(driver, self.path, encoder_id)

    def check_identity(self, given: Identity) -> None:
        """Refuse an encoder other than the one the collection is bound to.

        Raises:
            IdentityMismatch: with what differs.
        """
        bound = self.identity
        if bound is not None and bound.digest != given.digest:
            raise IdentityMismatch(self.place, bound.name, given.name, bound.difference(given))

    def ensure_corpus(self, uri: str, format_: str) -> int:
        """Return the catalogue id of a corpus, adding the corpus if it is new."""
        sources = schema.sources
        with self.look_up() as connection:
            found = connection.execute(select(sources.c.id).where(sources.c.uri == uri)).scalar_one_or_none()
        if found is not None:
            return int(found)
        with self.catalogue.without_generation() as connection:
            added = insert(sources).values(uri=uri, format=format_).returning(sources.c.id)
            return int(connection.execute(added).scalar_one())

    def ensure_encoder(self, identity: Identity) -> int:
        """Return the catalogue id of an encoder, adding the encoder if it is new; the active one stays active."""
        with self.look_up() as connection:
            found = content_rows.find_encoder(connection, identity)
        if found is not None:
            return found
        with self.catalogue.without_generation() as connection:
            return content_rows.ensure_encoder(connection, self.path, identity, activate=False)

    def note_run(
        self,
        corpus_id: int,
        left_out: Mapping[str, int],
        spec: CorpusSpec | None,
        objects: NotedObjects | None = None,
    ) -> None:
        """Keep what the last whole run over a corpus passed over, and how it is read again; no new generation.

        ``objects`` are those of a store that it was read from.
        """
        notes = {f"{LEFT_OUT}{corpus_id}": json.dumps(dict(left_out), sort_keys=True)}
        if spec is not None:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            notes[f"{CORPUS}{corpus_id}"] = note_of(spec, now)
        if objects is not None:
            notes[f"{OBJECTS}{corpus_id}"] = objects.to_json()
        with self.catalogue.without_generation() as connection:
            set_settings(connection, notes)

    def note_kept(self, digests: Collection[bytes]) -> None:
        """Keep the decision that contents, by sha256, all stay although they are duplicates; no new generation."""
        name, value = kept_duplicates.note_of(digests)
        with self.catalogue.without_generation() as connection:
            set_settings(connection, {name: value})

    def forget_kept(self, digests: Collection[bytes]) -> int:
        """Take back every decision of :meth:`note_kept` about any of these contents; give how many there were."""
        settings = schema.settings
        is_kept = settings.c.name.startswith(kept_duplicates.KEPT, autoescape=True)
        with self.catalogue.without_generation() as connection:
            rows = connection.execute(select(settings).where(is_kept)).all()
            gone = [row.name for row in rows if not kept_duplicates.digests_in(row.value).isdisjoint(digests)]
            drop_settings(connection, gone)
        return len(gone)

    def commit(self, change: Change, identity: Identity) -> dict[str, int]:
        """Make a change part of the collection: all of it, or, after any failure or power cut, nothing.

        The first commit with a vector binds the collection to ``identity``.

        Returns:
            Item ids of ``change.items`` by uri.

        Raises:
            IdentityMismatch: the collection is bound to another encoder.
            CollectionError: the disk is full or fails; nothing of the change is there.
        """
        self.check_identity(identity)
        if any(content.vector.shape != (identity.dimension,) for content in change.contents.values()):
            raise CollectionError(
                f"an encoder gave vectors that cannot be kept: their dimension is not {identity.dimension}"
            )
        generation = self.catalogue.next_generation()
        with self.new_files():
            new = self._write_vectors(change.contents.values(), generation)
            with self.catalogue.switch(generation) as connection:
                encoder_id = content_rows.ensure_encoder(connection, self.path, identity, activate=bool(new))
                return rows.apply(connection, change, _name_vectors(connection, new, encoder_id))

    def commit_rows(self, change: Change) -> None:
        """Make a change that brings no new content part of the collection; needs no encoder.

        Raises:
            CollectionError: the disk is full or fails; nothing of the change is there.
        """
        assert not change.contents, "new contents come with their encoder's identity"
        with self.catalogue.switch(self.catalogue.next_generation()) as connection:
            rows.apply(connection, change)

    def commit_beside(self, contents: Iterable[NewContent], encoder_id: int) -> None:
        """Make vectors of contents that are in the catalogue part of it, under an encoder that need not be active.

        Raises:
            CollectionError: the disk is full or fails; nothing of this is there.
        """
        generation = self.catalogue.next_generation()
        with self.new_files():
            new = self._write_vectors(contents, generation)
            with self.catalogue.switch(generation) as connection:
                _name_vectors(connection, new, encoder_id)

    def replace_segments(self, numbers: Sequence[int], gone: NDArray[np.int64]) -> None:
        """Merge segments of one kind into one, without the masked encodings that are ``gone``; answers stay.

        Args:
            numbers: ids of segments in the catalogue.
            gone: ids of encodings, which leave the catalogue.

        Raises:
            CollectionDamaged: a vector is not what was written; nothing has changed.
            CollectionError: the disk is full or fails; nothing has changed.
        """
        generation = self.catalogue.next_generation()
        with self.look_up() as connection:
            old = read_segments(connection, numbers)
        with self.new_files():
            try:
                merged = self.vectors.replace(generation, old, gone)
            except ValueError as error:
                raise CollectionDamaged(
                    self.path, f"a segment that is merged holds damaged vectors: {error}"
                ) from error
            with self.catalogue.switch(generation) as connection:
                content_rows.drop_encodings(connection, gone.tolist())
                replace_segments(connection, old, merged)

    def masked(self, connection: Connection) -> NDArray[np.int64]:
        """Read the ids of encodings that no item uses, ascending, in a look-up."""
        dead = schema.dead.c.encoding_id
        return np.fromiter(connection.execute(select(dead).order_by(dead)).scalars(), np.int64)

    def commit_accelerator(
        self,
        kind: Kind,
        encoder_id: int,
        rows: int,
        last: int,
        measured: str,
        pieces: Iterable[bytes | memoryview],
    ) -> None:
        """Make an accelerator part of the collection, in the place of the one before; then remove that one's file.

        Args:
            kind: of its vectors.
            encoder_id: of their encoder, in the catalogue.
            rows: vectors that it holds.
            last: the last encoding that it covers.
            measured: JSON, its measured recall and speed.
            pieces: of its file.

        Raises:
            CollectionError: the disk is full or fails; nothing has changed.
        """
        generation = self.catalogue.next_generation()
        with self.new_files():
            written = self.vectors.write_file(generation, "accelerator", rows, pieces)
            with self.catalogue.switch(generation) as connection:
                set_accelerator(connection, kind, encoder_id, written, last, measured)
                drop_settings(connection, [f"{MISSED}{kind}"])
        self.sweep()

    def tune_accelerator(self, number: int, measured: str) -> None:
        """Have searches look at more or less of the vectors of an accelerator, by its id in the catalogue.

        ``measured`` is JSON, as in :meth:`commit_accelerator`.
        """
        with self.catalogue.switch(self.catalogue.next_generation()) as connection:
            set_measured(connection, number, measured)

    def give_accelerator_up(self, kind: Kind, missed: MissedRecall) -> None:
        """Note which recall no accelerator of a kind has reached; searches scan all its vectors from then on."""
        with self.catalogue.switch(self.catalogue.next_generation()) as connection:
            known = read_accelerators(driver_connection(connection), missed.encoder_id)
            drop_accelerators(connection, [facts.id for facts in known if facts.kind == kind])
            set_settings(connection, {f"{MISSED}{kind}": json.dumps(missed)})
        self.sweep()

    def ask_accelerators(self, recall: float | None) -> None:
        """Note what accelerators are to reach from now on, and that what was missed may be tried again.

        ``recall`` is above 0 and below 1; None keeps the one that was asked for before, and takes back
        :meth:`ask_scans`.
        """
        with self.catalogue.without_generation() as connection:
            drop_settings(connection, [f"{MISSED}{kind}" for kind in KINDS])
            if recall is not None:
                set_settings(connection, {ASKED: repr(recall)})
            elif scans_as_asked(driver_connection(connection)):
                drop_settings(connection, [ASKED])

    def ask_scans(self) -> None:
        """Note that searches are to scan all vectors, so that nobody builds an accelerator unasked."""
        with self.catalogue.without_generation() as connection:
            set_settings(connection, {ASKED: SCAN})

    def drop_accelerators(self, numbers: Sequence[int]) -> None:
        """Take accelerators out of the collection; searches scan all vectors from then on."""
        if numbers:
            with self.catalogue.switch(self.catalogue.next_generation()) as connection:
                drop_accelerators(connection, numbers)
            self.sweep()

    def drop_segments(self, numbers: Iterable[int]) -> None:
        """Take damaged segments out of the catalogue, whose contents count as not encoded from then on."""
        with self.catalogue.switch(self.catalogue.next_generation()) as connection:
            drop_segments(connection, numbers)
            content_rows.mask_unused(connection)

    def mend_fields(self) -> None:
        """Have items found by the attributes and words that they have, where that is not so."""
        with self.look_up() as connection:
            wrong = items_with_other_values(connection) or items_with_other_words(connection)
        if wrong:
            with self.catalogue.switch(self.catalogue.next_generation()) as connection:
                rebuild_values(connection)
                rebuild_words(connection)

    def switch_encoder(self, identity: Identity) -> None:
        """Make an encoder the active one and drop the vectors of all others, in one commit; then their files."""
        with self.catalogue.switch(self.catalogue.next_generation()) as connection:
            encoder_id = content_rows.ensure_encoder(connection, self.path, identity, activate=True)
            drop_segments_of_others(connection, encoder_id)
            content_rows.forget_other_encoders(connection, encoder_id)
        self.sweep()

    def _write_vectors(self, contents: Iterable[NewContent], generation: int) -> list[_NewVectors]:
        """Write the vectors of each kind that has new contents; part of nothing yet."""
        with self.look_up() as connection:
            next_id = content_rows.next_id(connection, "encodings")
        by_kind: dict[Kind, list[NewContent]] = {kind: [] for kind in KINDS}
        for content in contents:
            by_kind[content.kind].append(content)
        new = []
        for kind, fresh in by_kind.items():
            if fresh:
                ids = np.arange(next_id, next_id + len(fresh), dtype=np.int64)
                next_id += len(ids)
                vectors = np.stack([content.vector for content in fresh])
                try:
                    written = self.vectors.write(generation, ids, [vectors])
                except ValueError as error:
                    raise CollectionError(f"an encoder gave vectors that cannot be kept: {error}") from error
                new.append(_NewVectors(kind, fresh, written))
        return new

    @contextlib.contextmanager
    def new_files(self) -> Iterator[None]:
        """Run a block that writes vectors and commits them; if it fails, sweep what it wrote.

        Raises:
            CollectionError: instead of an OSError, which is a disk that is full or fails.
        """
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(VlsearchError, OSError):  # what cannot go now goes with the next writer
                self.sweep()
            if not isinstance(error, OSError):
                raise
            raise CollectionError(
                f"collection {self.place} could not be written ({error.strerror or error}); "
                "what was committed before is safe, free some space and run this again"
            ) from error

    def sweep(self) -> list[str]:
        """Remove the files that are this catalogue's own to remove; see :func:`indexer.store.sweeping.sweep`."""
        return sweep(self.catalogue, self.vectors)

    def _note_sweepable(self, names: tuple[str, ...]) -> None:
        with self.catalogue.without_generation() as connection:
            note_sweepable(connection, names)


def _name_vectors(
    connection: Connection, new: Iterable[_NewVectors], encoder_id: int
) -> dict[tuple[Kind, bytes], int]:
    """Make vectors part of the catalogue; give the ids of their contents by kind and sha256."""
    named: dict[tuple[Kind, bytes], int] = {}
    for of_kind in new:
        content_ids = content_rows.ensure_contents(connection, of_kind.contents)
        add_segment(connection, of_kind.kind, encoder_id, of_kind.written, content_ids)
        named.update(zip(((one.kind, one.sha256) for one in of_kind.contents), content_ids, strict=True))
    return named
