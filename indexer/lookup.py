"""Entries of a corpus beside what the catalogue knows of them: which pictures must be read, which texts encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexer.corpora.corpus import weight_of
from indexer.known import KnownFailure, KnownItem, find_encoded, find_failures, find_items
from indexer.writer import Writer
from retrieval.contents import normalise_text, text_digest
from retrieval.errors import ImageError
from retrieval.fetch import stamp
from retrieval.types import Entry, Failure, Limits, Picture, Text

LOOK_UP = 256  # entries a catalogue look-up
LOOK_UP_CHARACTERS = 2**22  # of their texts and attributes


@dataclass(slots=True)
class TextTask:
    """A text of an entry; ``encoded`` says whether its content had a vector when it was looked up."""

    text: Text
    normalised: str
    digest: bytes
    known: KnownItem | None = None
    encoded: bool = False


@dataclass(slots=True)
class Task:
    """An entry with what the catalogue knows of it.

    Attributes:
        picture: the entry's picture, if it has one.
        texts: its texts, empty ones left out.
        failure: why the picture cannot be taken, where that is clear without reading it.
        repeated: that failure is in the catalogue already.
        stamp: of the picture's bytes.
        known: the picture's item.
        read: whether the picture must be read.
        first: an entry shortly before with the same picture, as in a table with one caption a row.
        weight: characters of its texts and attributes.
        taken: whether the picture is an item of the collection, or will be with the next commit.
    """

    picture: Picture | None = None
    texts: list[TextTask] = field(default_factory=list)
    failure: Failure | None = None
    repeated: bool = False
    stamp: str | None = None
    known: KnownItem | None = None
    read: bool = False
    first: Task | None = None
    weight: int = 0
    taken: bool = False

    @property
    def uri(self) -> str:
        """The picture's uri, or an empty string."""
        return self.picture.uri if self.picture is not None else ""


class LookUp:
    """Looks entries up in batches, on the writer's connection."""

    def __init__(
        self,
        writer: Writer,
        encoder_id: int,
        source_id: int,
        limits: Limits,
        retry_failed: bool,
        reread: bool = False,
    ) -> None:
        self.writer, self.encoder_id, self.source_id = writer, encoder_id, source_id
        self.limits, self.retry_failed, self.reread = limits, retry_failed, reread

    def tasks(self, entries: Iterable[Entry | Failure]) -> Iterator[Task]:
        """A task for every entry, in order."""
        batch: list[Entry | Failure] = []
        weight = 0
        for entry in entries:
            batch.append(entry)
            weight += weight_of(entry) if isinstance(entry, Entry) else 0
            if len(batch) >= LOOK_UP or weight > LOOK_UP_CHARACTERS:
                yield from self._batch(batch)
                batch, weight = [], 0
        yield from self._batch(batch)

    def failure_stamp(self, task: Task) -> str | None:
        """What must change before a failed picture is worth another try: its bytes, or what is accepted of any."""
        if task.stamp is None:
            return None
        private = " private" if self.limits.private_addresses else ""
        return f"{task.stamp} {self.limits.file_bytes}/{self.limits.pixels}/{self.limits.seconds:g}{private}"

    def _batch(self, batch: Sequence[Entry | Failure]) -> list[Task]:
        tasks = [_task(entry) for entry in batch]
        uris = {task.uri for task in tasks if task.picture is not None}
        uris |= {text.text.uri for task in tasks for text in task.texts}
        with self.writer.look_up() as connection:
            known = find_items(connection, uris, self.encoder_id, self.source_id)
            failed = find_failures(connection, uris)
            digests = {text.digest for task in tasks for text in task.texts}
            encoded = find_encoded(connection, "text", digests, self.encoder_id)
        first: dict[str, Task] = {}
        for task in tasks:
            for text in task.texts:
                text.known = known.get(text.text.uri)
                text.encoded = text.digest in encoded
            if task.picture is None:
                continue
            task.known = known.get(task.uri)
            if first.setdefault(task.uri, task) is not task:
                task.first, task.failure = first[task.uri], None
            elif task.failure is None:
                self._decide(task, failed.get(task.uri))
        return tasks

    def _decide(self, task: Task, failed: KnownFailure | None) -> None:
        known = task.known
        same = known is not None and task.stamp is not None and known.stamp == task.stamp
        hopeless = failed is not None and failed.stamp == self.failure_stamp(task) is not None and not same
        if failed is not None and hopeless and not self.retry_failed and not self.reread:
            task.failure = Failure(task.uri, failed.reason)
            task.repeated = failed.source_id == self.source_id
        else:
            task.read = self.reread or not (same and known is not None and known.encoded)


def _task(entry: Entry | Failure) -> Task:
    if isinstance(entry, Failure):
        return Task(failure=entry)
    task = Task(entry.picture, weight=weight_of(entry))
    for text in entry.texts:
        normalised = normalise_text(text.text)
        if normalised:
            task.texts.append(TextTask(text, normalised, text_digest(normalised)))
    if entry.picture is not None:
        try:
            task.stamp = stamp(entry.picture.location)
        except ImageError as error:
            task.failure = Failure(entry.picture.uri, str(error))
    return task
