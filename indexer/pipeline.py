"""From a corpus into a collection: look up, read, decode, encode, commit.

Entries are looked up in batches; what is new or changed is read, hashed, decoded and prepared by worker threads, in
order and bounded; this thread encodes in batches of fixed size (a row's bits must not depend on which run encoded
it) and commits every so often, so that a killed run loses seconds and a resumed one ends with equal vectors.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from indexer.changes import (
    Change,
    NewContent,
    NewFailure,
    NewItem,
    NewLink,
    normalise_text,
    text_digest,
)
from indexer.decoding import DecodePool
from indexer.interrupts import interrupts_noted
from indexer.known import KnownItem, find_encoded, find_failures, find_items, find_links, find_namesakes
from indexer.report import Progress, Report, SeenItems
from indexer.writer import Writer, ensure_encoder, item_ids_of
from retrieval.collection.catalogue import connect
from retrieval.collection.layout import JOURNAL
from retrieval.collection.schema import failures as failures_table
from retrieval.errors import ImageError
from retrieval.fetch import read_bytes, stamp
from retrieval.types import Entry, Failure, Kind, Limits, MemberBytes, Picture, Text
from retrieval.uris import split_file_uri

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.encoders.base import Encoder

IMAGE_BATCH = 32  # rows of every forward pass of the image tower; part of what makes vectors reproducible
TEXT_BATCH = 64
LOOK_UP = 256  # entries a catalogue look-up
WINDOW = 64  # pictures read ahead; prepared ones are small, so this bounds memory
COMMIT_CONTENTS = 2048
COMMIT_ITEMS = 16384
COMMIT_SECONDS = 20.0


@dataclass(slots=True)
class _TextTask:
    text: Text
    normalised: str
    digest: bytes
    known: KnownItem | None = None
    encoded: bool = False  # when looked up


@dataclass(slots=True)
class _Task:
    """An entry with what the catalogue knows of it."""

    picture: Picture | None = None
    texts: list[_TextTask] = field(default_factory=list)
    failure: Failure | None = None
    stamp: str | None = None
    known: KnownItem | None = None
    read: bool = False
    first: _Task | None = (
        None  # an entry just before with the same picture, as in a table with one caption a row
    )
    taken: bool = False

    @property
    def uri(self) -> str:
        return self.picture.uri if self.picture is not None else ""


@dataclass(frozen=True, slots=True)
class _Read:
    """A picture's bytes as a worker thread leaves them; ``prepared`` is None where a vector is there already."""

    digest: bytes
    prepared: NDArray[Any] | None = None
    width: int | None = None
    height: int | None = None


class Run:
    """One run over one corpus; :meth:`take` the entries, then :meth:`finish`."""

    def __init__(
        self,
        writer: Writer,
        encoder: Encoder,
        source: tuple[str, str],
        limits: Limits,
        *,
        retry_failed: bool = False,
        workers: int | None = None,
        total: int | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        writer.check_identity(encoder.identity)
        self.writer, self.encoder, self.limits = writer, encoder, limits
        self.source_id = writer.source_id(*source)
        self.retry_failed, self.total, self.on_progress = retry_failed, total, on_progress
        self.workers = workers or max(2, os.cpu_count() or 1)
        with writer.read() as connection:
            self.encoder_id = ensure_encoder(connection, encoder.identity, activate=False)
        self.started = self.committed_at = time.monotonic()
        self.images, self.texts, self.changed, self.linked = (SeenItems() for _ in range(4))
        self.failed_uris: set[str] = set()
        self.done = self.encoded = self.links = self.failed = self.removed = 0
        self.walk_failed = False
        self.pictures: list[tuple[_Read, NDArray[Any]]] = []
        self.sentences: list[tuple[bytes, str]] = []
        self._reset()

    def take(self, entries: Iterable[Entry | Failure]) -> bool:
        """Index entries, committing on the way; whether all were taken (False: Ctrl-C came and work is committed)."""
        reader = connect(self.writer.path, "read")
        with (
            interrupts_noted() as interrupted,
            DecodePool(self.workers, self.limits, self.writer.path / JOURNAL) as pool,
        ):

            def read(task: _Task) -> _Read | None:
                return self._read(task, pool, reader)

            try:
                for task, outcome in pool.map(read, self._look_up(entries), _uri_of, WINDOW):
                    self._stage(task, outcome)
                    self._tell("indexing")
                    if self._due() or interrupted.is_set():
                        self._commit()
                        pool.checkpoint()
                    if interrupted.is_set():
                        return False
                self._commit()
                self._settle()
                pool.checkpoint()
            finally:
                reader.dispose()
        return True

    def report(self, interrupted: bool) -> Report:
        """The counts so far."""
        return Report(
            images=self.images.count,
            captions=self.texts.count,
            links=self.links,
            encoded=self.encoded,
            unchanged=self.images.count + self.texts.count - self.changed.count,
            failed=self.failed,
            removed=self.removed,
            seconds=round(time.monotonic() - self.started, 3),
            interrupted=interrupted,
        )

    def prune(self, candidates: Iterable[tuple[int, str]]) -> None:
        """Drop items of this corpus that this run has not met and whose absence is sure.

        After a failure of the reader itself (a folder that could not be listed) only items whose file is known to
        be gone are dropped.
        """
        gone = [
            item
            for item, uri in candidates
            if item not in self.images and item not in self.texts and (not self.walk_failed or _is_gone(uri))
        ]
        for start in range(0, len(gone), COMMIT_ITEMS):
            self.writer.commit(Change(removed=gone[start : start + COMMIT_ITEMS]), self.encoder.identity)
        self.removed += len(gone)

    def _settle(self) -> None:
        """Forget failures of this corpus that a whole run has not met again."""
        table = failures_table
        with self.writer.read() as connection:
            before = connection.execute(
                select(table.c.uri).where(table.c.source_id == self.source_id)
            ).scalars()
            settled = [uri for uri in before if uri not in self.failed_uris]
        if settled:
            self.writer.commit(Change(settled=settled), self.encoder.identity)

    # Stage 1, this thread: what does the catalogue know?

    def _look_up(self, entries: Iterable[Entry | Failure]) -> Iterator[_Task]:
        iterator = iter(entries)
        while batch := list(itertools.islice(iterator, LOOK_UP)):
            yield from self._look_up_batch(batch)

    def _look_up_batch(self, batch: Sequence[Entry | Failure]) -> list[_Task]:
        tasks = [self._task(entry) for entry in batch]
        uris = {task.uri for task in tasks if task.picture is not None}
        uris |= {text.text.uri for task in tasks for text in task.texts}
        with self.writer.read() as connection:
            known = find_items(connection, uris, self.encoder_id)
            failed = find_failures(connection, uris)
            digests = {text.digest for task in tasks for text in task.texts}
            encoded = find_encoded(connection, "text", digests, self.encoder_id)
        first: dict[str, _Task] = {}
        for task in tasks:
            for text in task.texts:
                text.known = known.get(text.text.uri)
                text.encoded = text.digest in encoded
            if task.picture is None:
                continue
            if first.setdefault(task.uri, task) is not task:
                task.first, task.failure = first[task.uri], None
                continue
            if task.failure is not None:
                continue
            task.known = known.get(task.uri)
            before = failed.get(task.uri)
            same = task.known is not None and task.stamp is not None and task.known.stamp == task.stamp
            if (
                before is not None
                and before[0] == task.stamp is not None
                and not self.retry_failed
                and not same
            ):
                task.failure = Failure(task.uri, before[1])
            else:
                task.read = not (same and task.known is not None and task.known.encoded)
        return tasks

    def _task(self, entry: Entry | Failure) -> _Task:
        if isinstance(entry, Failure):
            self.walk_failed = True
            return _Task(failure=entry)
        task = _Task(entry.picture)
        for text in entry.texts:
            normalised = normalise_text(text.text)
            if normalised:
                task.texts.append(_TextTask(text, normalised, text_digest(normalised)))
        if entry.picture is not None:
            try:
                task.stamp = stamp(entry.picture.location)
            except ImageError as error:
                task.failure = Failure(entry.picture.uri, str(error))
        return task

    # Stage 2, worker threads: bytes to prepared pixels

    def _read(self, task: _Task, pool: DecodePool, reader: Any) -> _Read | None:
        if task.picture is None or not task.read:
            return None
        data = read_bytes(task.picture.location, self.limits)
        digest = hashlib.sha256(data).digest()
        if digest in self.staged["image"]:
            return _Read(digest)
        with reader.begin() as connection:
            if find_encoded(connection, "image", [digest], self.encoder_id):
                return _Read(digest)
        image = pool.decode_picture(data, task.uri, self.encoder.image_size)
        return _Read(digest, self.encoder.prepare_image(image), image.width, image.height)

    # Stage 3, this thread: encode and stage

    def _stage(self, task: _Task, outcome: _Read | ImageError | None) -> None:
        self.done += 1
        failure = Failure(task.uri, str(outcome)) if isinstance(outcome, ImageError) else task.failure
        if failure is not None:
            self._stage_failure(failure, task.stamp)
        elif task.first is not None:
            task.taken = task.first.taken
        elif task.picture is not None:
            self._stage_picture(task, task.picture, outcome)
            task.taken = True
        for text in task.texts:
            self._stage_text(text)
            if task.taken:
                rank = self.ranks[task.uri] = self.ranks.get(task.uri, -1) + 1
                pair = (task.uri, text.text.uri)
                self.change.links[pair] = NewLink(*pair, self.source_id, rank)

    def _stage_failure(self, failure: Failure, stamp_: str | None) -> None:
        self.failed += 1
        self.failed_uris.add(failure.uri)
        self.change.failures[failure.uri] = NewFailure(failure.uri, failure.reason, self.source_id, stamp_)

    def _stage_picture(self, task: _Task, picture: Picture, read: _Read | ImageError | None) -> None:
        if isinstance(read, _Read):
            if read.prepared is not None and read.digest not in self.staged["image"]:
                self.staged["image"].add(read.digest)
                self.pictures.append((read, read.prepared))
                if len(self.pictures) >= IMAGE_BATCH:
                    self._encode_pictures()
            digest = read.digest
        elif task.known is not None:
            digest = task.known.sha256
            if dict(task.known.attributes) == dict(picture.attributes):
                self.images.add(task.known.id)
                return
        else:
            raise AssertionError(f"{picture.uri} is neither known nor read")
        if task.known is None or task.known.sha256 != digest:
            self.fresh.add(picture.uri)
        extent = None
        if isinstance(picture.location, MemberBytes):
            extent = f"{picture.location.offset}+{picture.location.size}"
        self.change.items[picture.uri] = NewItem(
            uri=picture.uri,
            kind="image",
            sha256=digest,
            source_id=self.source_id,
            key=picture.key,
            attributes=picture.attributes,
            stamp=task.stamp,
            extent=extent,
            renames=self._renamed("image", picture.uri, digest) if task.known is None else None,
        )

    def _stage_text(self, task: _TextTask) -> None:
        if not task.encoded and task.digest not in self.staged["text"]:
            self.staged["text"].add(task.digest)
            self.sentences.append((task.digest, task.normalised))
            if len(self.sentences) >= TEXT_BATCH * 4:
                self._encode_texts()
        text, known = task.text, task.known
        if known is not None and known.sha256 == task.digest and known.lang == text.lang:
            self.texts.add(known.id)
            if dict(known.attributes) == dict(text.attributes):
                return
        if known is None or known.sha256 != task.digest:
            self.fresh.add(text.uri)
        self.change.items[text.uri] = NewItem(
            uri=text.uri,
            kind="text",
            sha256=task.digest,
            source_id=self.source_id,
            key=text.key,
            lang=text.lang,
            attributes=text.attributes,
            renames=self._renamed("text", text.uri, task.digest) if known is None else None,
        )

    def _renamed(self, kind: Kind, uri: str, digest: bytes) -> int | None:
        """The item whose file went away and came back, bytes unchanged, under this uri; None for most."""
        split = split_file_uri(uri)
        if split is None or split[1] is not None or uri in self.change.items:
            return None
        taken = {item.renames for item in self.change.items.values() if item.renames is not None}
        with self.writer.read() as connection:
            namesakes = find_namesakes(connection, kind, digest)
        for item, old in namesakes:
            old_split = split_file_uri(old)
            if item not in taken and old_split is not None and old_split[1] is None and _is_gone(old):
                return item
        return None

    def _encode_pictures(self) -> None:
        pictures, self.pictures = self.pictures, []
        if not pictures:
            return
        vectors = self.encoder.encode_prepared([prepared for _, prepared in pictures], IMAGE_BATCH)
        for (read, _), vector in zip(pictures, vectors, strict=True):
            self.change.contents["image", read.digest] = NewContent(
                "image", read.digest, vector, None, read.width, read.height
            )
        self.encoded += len(pictures)

    def _encode_texts(self) -> None:
        sentences, self.sentences = self.sentences, []
        if not sentences:
            return
        vectors = self.encoder.encode_texts([text for _, text in sentences], TEXT_BATCH)
        for (digest, text), vector in zip(sentences, vectors, strict=True):
            self.change.contents["text", digest] = NewContent("text", digest, vector, text)
        self.encoded += len(sentences)

    # Commits

    def _due(self) -> bool:
        return (
            len(self.change.contents) >= COMMIT_CONTENTS
            or len(self.change.items) >= COMMIT_ITEMS
            or len(self.change.links) >= COMMIT_ITEMS
            or time.monotonic() - self.committed_at > COMMIT_SECONDS
        )

    def _commit(self) -> None:
        self._encode_pictures()
        self._encode_texts()
        links = self.change.links
        with self.writer.read() as connection:
            ids = item_ids_of(connection, {uri for pair in links for uri in pair})
            self._drop_known_links(connection, ids)
            self._drop_known_contents(connection)
        new_links = set(links)
        names = self.writer.commit(self.change, self.encoder.identity) if self.change else {}
        for uri, item in names.items():
            seen = self.images if self.change.items[uri].kind == "image" else self.texts
            seen.add(item)
            if uri in self.fresh:
                self.changed.add(item)
        for pair in self.pairs | new_links:
            text = names.get(pair[1]) or ids[pair[1]]
            self.links += self.linked.add(text)
        self._reset()
        self.committed_at = time.monotonic()

    def _drop_known_contents(self, connection: Any) -> None:
        """Leave out contents whose twin a commit took while they were on their way through the workers."""
        kinds: tuple[Kind, Kind] = ("image", "text")
        for kind in kinds:
            digests = [digest for of_kind, digest in self.change.contents if of_kind == kind]
            for digest in find_encoded(connection, kind, digests, self.encoder_id):
                del self.change.contents[kind, digest]
                self.encoded -= 1

    def _drop_known_links(self, connection: Any, ids: dict[str, int]) -> None:
        """Leave out links that are in the catalogue as they should be; the common case on a second run."""
        links = self.change.links
        wanted: dict[str, set[str]] = {}
        for image, text in links:
            wanted.setdefault(text, set()).add(image)
        there = find_links(connection, (ids[text] for text in wanted if text in ids), self.source_id)
        for text, images in wanted.items():
            if text in ids and {ids.get(image) for image in images} == there.get(ids[text]):
                for image in images:
                    del links[image, text]
                    self.pairs.add((image, text))

    def _reset(self) -> None:
        self.change = Change()
        self.pictures, self.sentences = [], []
        self.fresh: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()
        self.ranks: dict[str, int] = {}
        self.staged: dict[Kind, set[bytes]] = {"image": set(), "text": set()}

    def _tell(self, stage: str) -> None:
        if self.on_progress is not None:
            self.on_progress(Progress(stage, self.done, self.total, self.failed))


def _uri_of(task: _Task) -> str:
    return task.uri


def _is_gone(uri: str) -> bool:
    """Whether a file item's file is known not to be there (an unreadable folder or an absent drive is no proof)."""
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
