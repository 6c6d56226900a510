"""From a corpus into a collection: look up, read, decode, encode, commit.

Entries are looked up in batches; what is new or changed is read, hashed, decoded and prepared by worker processes, in
order and bounded; this thread encodes and commits every so often, so that a killed run loses seconds and a resumed
one ends with equal vectors.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import DatabaseError

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.look_up import LookUp, Task, TextTask
from indexer.pipeline.report import Failures, Report, SeenItems
from indexer.pipeline.staging import Staged
from indexer.store.changes import Change, NewFailure, NewItem, NewLink
from indexer.store.known import (
    KnownItem,
    drop_encoded,
    find_encoded,
    find_links,
    find_listings,
    find_namesakes,
    item_ids_of,
)
from indexer.store.maintenance import merge_small
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.collection.catalogue import chunked, connect, damaged
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import CorpusFormatError, ImageError, ImageGivenUp, ImageUnreadable
from retrieval.locations.extents import extent_of
from retrieval.types import CorpusImage, Entry, Failure, Kind, OnProgress, Progress
from retrieval.uris import split_file_uri

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

WINDOW = 64  # pictures read ahead; prepared ones are small, so this bounds memory
COMMIT_CONTENTS = 2048
COMMIT_ITEMS = 16384
COMMIT_CHARACTERS = 2**24  # of texts and attributes
COMMIT_SECONDS = 20.0
ITEMS_INSIDE = ("folder", "webdataset", "lines")
"""Formats whose items are all named after the file or folder that the reader found them in."""
MERGE_COMMITS = 32  # a reader holds a file open for every segment, and some systems allow 256


class Run:
    """One run over one corpus: :meth:`take` its entries, :meth:`prune` what vanished, read the :meth:`report`."""

    def __init__(
        self,
        writer: Writer,
        encoder: Encoder,
        source: tuple[str, str],
        pool: DecodePool,
        *,
        retry_failed: bool = False,
        reread: bool = False,
        total: int | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        writer.check_identity(encoder.identity)
        self.writer, self.encoder, self.pool = writer, encoder, pool
        self.source_id = writer.source_id(*source)
        self.total, self.on_progress = total, on_progress
        self.encoder_id = writer.encoder_id(encoder.identity)
        self.look_up = LookUp(writer, self.encoder_id, self.source_id, pool.limits, retry_failed, reread)
        self.started = self.committed_at = time.monotonic()
        self.images, self.texts, self.changed, self.encoded, self.kept = (SeenItems() for _ in range(5))
        self.failures = Failures()
        self.done = self.links = self.removed = self.commits = 0
        self.unread: set[str] = set()
        self.holds_its_items = source[1] in ITEMS_INSIDE
        self.staged, self.characters = Staged(), 0

    def take(self, entries: Iterable[Entry | Failure]) -> bool:
        """Index entries, committing on the way; whether all were taken (False: Ctrl-C came and work is committed).

        Raises:
            CorpusFormatError: the corpus breaks off; what came before is committed, because a second run would break
                off in the same place.
        """
        reader = connect(self.writer.path, "read")
        with interrupts_noted() as interrupted:

            def read(task: Task) -> PreparedImage | None:
                return self._read(task, reader)

            broken: list[CorpusFormatError] = []
            tasks = self.look_up.tasks(_up_to_a_break(entries, broken))
            try:
                for task, outcome in map_in_order(read, tasks, self.pool.workers, WINDOW, interrupted):
                    self._stage(task, outcome)
                    self._tell("indexing")
                    if self._due():
                        self._commit()
                self._commit()
                if broken:
                    raise broken[0]
                if not interrupted.is_set():
                    self._settle()
            finally:
                reader.dispose()
            return not interrupted.is_set()

    def report(self, interrupted: bool) -> Report:
        """The counts so far."""
        known = self.changed.count_without(self.encoded)
        return Report(
            images=self.images.count,
            captions=self.texts.count,
            links=self.links,
            encoded=self.encoded.count,
            known=known,
            unchanged=self.images.count + self.texts.count - self.encoded.count - known,
            failed=len(self.failures),
            removed=self.removed,
            seconds=round(time.monotonic() - self.started, 3),
            interrupted=interrupted,
            reasons=self.failures.groups(),
        )

    def prune(self, candidates: Iterable[int], folders: Collection[int]) -> None:
        """Take back that this source lists these items, which the run has not met; drop what nobody lists.

        A picture that could not be taken this time is listed still, and a source that has captions of a picture
        lists it. No folder lists a file that is gone: ``folders`` are the sources that are folders. Of what the reader
        itself could not read (a folder that cannot be listed, a link that leads nowhere) only items whose file is
        known to be gone count.
        """
        for chunk in chunked(candidates):
            change = self._withdrawal(chunk, folders)
            if change:
                self.writer.commit(change, self.encoder.identity)
                self.removed += len(change.removed)

    def count_vanished(self, candidates: Iterable[int], folders: Collection[int]) -> int:
        """How many items :meth:`prune` would drop."""
        return sum(len(self._withdrawal(chunk, folders).removed) for chunk in chunked(candidates))

    def was_met(self, item: int) -> bool:
        """Whether the run has met an item, or has kept it because its file could not be read this time."""
        return item in self.images or item in self.texts or item in self.kept

    def _withdrawal(self, ids: Iterable[int], folders: Collection[int]) -> Change:
        with self.writer.look_up() as connection:
            listings = find_listings(connection, ids)
        change = Change()
        for item in listings:
            is_gone = _is_gone(item.uri)
            if not is_gone and self._may_be_unread(item.uri):
                continue
            others = (item.sources | item.captioned_by) - {self.source_id}
            if not others.difference(folders if is_gone else ()):
                change.removed.append(item.id)
            elif self.source_id in item.sources and len(item.sources) > 1:
                change.withdrawn.append((item.id, self.source_id))
        return change

    def _may_be_unread(self, uri: str) -> bool:
        """Whether an item may stand in a part of the corpus that could not be read this time.

        A folder and a tar name their items after the places in them. A row of a table that cannot be read may be
        of any picture.
        """
        if not self.holds_its_items:
            return bool(self.unread)
        return any(place in self.unread for place in _places_around(uri))

    def _settle(self) -> None:
        """Forget failures of this corpus that a whole run has not met again."""
        table = schema.failures
        with self.writer.look_up() as connection:
            before = connection.execute(select(table.c.uri).where(table.c.source_id == self.source_id))
            settled = [uri for uri in before.scalars() if uri not in self.failures]
        if settled:
            self.writer.commit(Change(settled=settled), self.encoder.identity)

    # Threads, each of which waits for a worker process

    def _read(self, task: Task, reader: Engine) -> PreparedImage | None:
        if task.picture is None or not task.read:
            return None
        try:
            return prepare_for_encoder(
                self.pool, task.picture.location, self.encoder, lambda digest: self._is_wanted(digest, reader)
            )
        except ImageUnreadable:
            task.stamp = None  # rights and drives come back without a change of the file: try every time
            raise

    def _is_wanted(self, digest: bytes, reader: Engine) -> bool:
        """Whether a content has no vector yet."""
        if digest in self.staged.digests["image"]:
            return False
        try:
            with reader.begin() as connection:
                return not find_encoded(connection, "image", [digest], self.encoder_id)
        except DatabaseError as error:
            raise damaged(self.writer.path, error) from error

    # This thread: stage what came back, in the order of the corpus

    def _stage(self, task: Task, outcome: PreparedImage | ImageError | None) -> None:
        self.done += 1
        self.characters += task.weight
        failure = Failure(task.uri, str(outcome)) if isinstance(outcome, ImageError) else task.failure
        if isinstance(outcome, ImageError):
            task.attempts = task.attempts + 1 if isinstance(outcome, ImageGivenUp) else 0
        if failure is not None:
            self._stage_failure(task, failure)
        elif task.first is not None:
            task.taken = task.first.taken
        elif task.picture is not None:
            self.failures.forget(task.uri)
            self._stage_picture(task, task.picture, outcome)
            task.taken = True
        for text in task.texts:
            self._stage_text(text)
            if task.taken:
                pair = (task.uri, text.text.uri)
                self.staged.change.links[pair] = NewLink(*pair, self.source_id)

    def _stage_failure(self, task: Task, failure: Failure) -> None:
        if task.known is not None and task.known.id in self.images:
            return  # this run has taken it already, from another place in the corpus
        self.failures.add(failure)
        if task.picture is None:
            self.unread.add(failure.uri)
        elif task.known is not None and not _is_gone(task.uri):
            self.kept.add(task.known.id)
        if not task.repeated:
            self.staged.change.failures[failure.uri] = NewFailure(
                failure.uri, failure.reason, self.source_id, self.look_up.failure_stamp(task)
            )

    def _stage_picture(
        self, task: Task, picture: CorpusImage, read: PreparedImage | ImageError | None
    ) -> None:
        is_new = task.known is None
        to_encode = isinstance(read, PreparedImage) and read.array is not None
        if isinstance(read, PreparedImage):
            self.staged.add_picture(read, self.encoder)
            digest = read.digest
        else:
            assert task.known is not None, f"{picture.uri} is neither known nor read"
            digest = task.known.sha256
            if dict(task.known.attributes) == dict(picture.attributes):
                self.images.add(task.known.id)
                self._list(task.known)
                return
        if task.known is None or task.known.sha256 != digest:
            self.staged.fresh.add(picture.uri)
        self.staged.change.items[picture.uri] = NewItem(
            uri=picture.uri,
            kind="image",
            sha256=digest,
            source_id=self.source_id,
            key=picture.key,
            attributes=picture.attributes,
            stamp=task.stamp,
            extent=extent_of(picture.location),
            renames=self._renamed("image", picture.uri, digest) if is_new and not to_encode else None,
        )

    def _stage_text(self, task: TextTask) -> None:
        if not task.encoded:
            self.staged.add_text(task.digest, task.normalised, self.encoder)
        text, known = task.text, task.known
        if known is not None and known.sha256 == task.digest and known.lang == text.lang:
            self.texts.add(known.id)
            if not task.encoded:
                self.staged.restored["text", task.digest] = known.id
            if dict(known.attributes) == dict(text.attributes):
                self._list(known)
                return
        if known is None or known.sha256 != task.digest:
            self.staged.fresh.add(text.uri)
        self.staged.change.items[text.uri] = NewItem(
            uri=text.uri,
            kind="text",
            sha256=task.digest,
            source_id=self.source_id,
            key=text.key,
            lang=text.lang,
            attributes=text.attributes,
            renames=self._renamed("text", text.uri, task.digest) if known is None and task.encoded else None,
        )

    def _list(self, known: KnownItem) -> None:
        """Note of an item that stays as it is that this corpus lists it too."""
        if not known.listed:
            self.staged.change.listed.append((known.id, self.source_id))

    def _renamed(self, kind: Kind, uri: str, digest: bytes) -> int | None:
        """The item whose file went away and came back, bytes unchanged, under this uri; None for most.

        Of an archive or a table, items go over to the one that has them in the same place. Only for contents that
        have a vector: others are new, and so had no item before.
        """
        items = self.staged.change.items
        split = split_file_uri(uri)
        if split is None or uri in items:
            return None
        with self.writer.look_up() as connection:
            namesakes = find_namesakes(connection, kind, digest)
        if not namesakes:
            return None
        taken = {item.renames for item in items.values() if item.renames is not None}
        for item, old in namesakes:
            old_split = split_file_uri(old)
            if item not in taken and old_split is not None and old_split[1] == split[1] and _is_gone(old):
                return item
        return None

    # Commits

    def _due(self) -> bool:
        change = self.staged.change
        return (
            len(change.contents) >= COMMIT_CONTENTS
            or len(change.items) >= COMMIT_ITEMS
            or len(change.links) >= COMMIT_ITEMS
            or len(change.listed) >= COMMIT_ITEMS
            or len(change.failures) >= COMMIT_ITEMS
            or self.characters >= COMMIT_CHARACTERS
            or time.monotonic() - self.committed_at > COMMIT_SECONDS
        )

    def _commit(self) -> None:
        self.staged.encode_rest(self.encoder)
        change = self.staged.change
        with self.writer.look_up() as connection:
            self._drop_known_links(connection)
            # whose twin a commit took while they were on their way through the workers
            drop_encoded(connection, change.contents, self.encoder_id)
        names = self.writer.commit(change, self.encoder.identity) if change else {}
        self._count(names, change)
        self.links += len(self.staged.known_links) + len(change.links)
        self.staged, self.characters = Staged(), 0
        self.commits += 1
        if self.commits % MERGE_COMMITS == 0:
            merge_small(self.writer)
        self.committed_at = time.monotonic()

    def _count(self, names: Mapping[str, int], change: Change) -> None:
        """Note what a commit has done: each content that it encoded counts for one item, the first that has it."""
        unclaimed = set(change.contents)
        for uri, item in names.items():
            new = change.items[uri]
            (self.images if new.kind == "image" else self.texts).add(item)
            if uri in self.staged.fresh:
                self.changed.add(item)
            if (new.kind, new.sha256) in unclaimed:
                unclaimed.discard((new.kind, new.sha256))
                self.encoded.add(item)
        for content in unclaimed & self.staged.restored.keys():
            self.encoded.add(self.staged.restored[content])

    def _drop_known_links(self, connection: Connection) -> None:
        """Leave out links that are in the catalogue as they should be; the common case on a second run."""
        links = self.staged.change.links
        ids = item_ids_of(connection, {uri for pair in links for uri in pair})
        wanted: dict[str, set[str]] = {}
        for image, text in links:
            wanted.setdefault(text, set()).add(image)
        there = find_links(connection, (ids[text] for text in wanted if text in ids))
        for text, images in wanted.items():
            linked = there.get(ids[text], {}) if text in ids else {}
            said_before = {image for image, source in linked.items() if source == self.source_id}
            if said_before <= {ids.get(image) for image in images} <= linked.keys():
                for image in images:
                    del links[image, text]
                    self.staged.known_links.add((image, text))

    def _tell(self, stage: str) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(stage, self.done, self.total, len(self.failures)))


def _up_to_a_break(
    entries: Iterable[Entry | Failure], broken: list[CorpusFormatError]
) -> Iterator[Entry | Failure]:
    """Entries until the reader fails; its error goes into ``broken``, so that what was read ahead is not lost."""
    try:
        yield from entries
    except CorpusFormatError as error:
        broken.append(error)


def _places_around(uri: str) -> Iterator[str]:
    """A uri, and those of the places that hold it: members, files and folders, from the inside out."""
    while uri:
        yield uri
        uri = uri[: max(uri.rfind("/"), uri.rfind("#"), 0)]


def _is_gone(uri: str) -> bool:
    """Whether a file item's file is known not to be there (an unreadable folder or an absent drive proves nothing)."""
    split = split_file_uri(uri)
    if split is None:
        return False
    try:
        Path(split[0]).lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False
