"""Entries of a corpus beside what the catalogue knows of them: which pictures must be read, which texts encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexer.store.known import KnownFailure, KnownItem, find_encoded, find_failures, find_items
from indexer.store.writer import Writer
from retrieval.contents import text_digest
from retrieval.corpora.corpus import weight_of
from retrieval.decoding.budget import default_budget
from retrieval.decoding.versions import decoder_versions
from retrieval.errors import ImageError
from retrieval.locations.fetch import stamp
from retrieval.texts import normalise_text
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, Limits

LOOK_UP = 256  # entries a catalogue look-up
LOOK_UP_CHARACTERS = 2**22  # of their texts and attributes
ATTEMPTS = 3
"""Runs that try a picture whose decoding was given up (a deadline, a crash) before it waits for something to change."""

_TRIED = " tried "


@dataclass(slots=True)
class TextTask:
    """A text of an entry; ``encoded`` says whether its content had a vector when it was looked up."""

    text: CorpusText
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
        attempts: how often in a row its decoding was given up, so far.
        taken: whether the picture is an item of the collection, or will be with the next commit.
    """

    picture: CorpusImage | None = None
    texts: list[TextTask] = field(default_factory=list)
    failure: Failure | None = None
    repeated: bool = False
    stamp: str | None = None
    known: KnownItem | None = None
    read: bool = False
    first: Task | None = None
    weight: int = 0
    attempts: int = 0
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
        self.retry_failed, self.reread = retry_failed, reread
        memory = (limits.memory or default_budget()) >> 20
        private = " private" if limits.private_addresses else ""
        accepted = f"{limits.file_bytes}/{limits.pixels}/{limits.seconds:g}/{memory}{private}"
        self._conditions = f"{accepted} {decoder_versions()}"

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
        """What must change before a failed picture is worth another try; ``task.attempts`` counts those given up."""
        cause = self._cause(task)
        return cause if cause is None or not task.attempts else f"{cause}{_TRIED}{task.attempts}"

    def _cause(self, task: Task) -> str | None:
        """All that may be the cause of a failure: its bytes, what is accepted of any, and what decodes them."""
        return None if task.stamp is None else f"{task.stamp} {self._conditions}"

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
        ask_again = self.retry_failed or self.reread
        if failed is not None and self._is_hopeless(task, failed) and not same and not ask_again:
            task.failure = Failure(task.uri, failed.reason)
            task.repeated = failed.source_id == self.source_id
        else:
            task.read = self.reread or not (same and known is not None and known.encoded)

    def _is_hopeless(self, task: Task, failed: KnownFailure) -> bool:
        """Whether all is as it was when a picture failed; one that was given up has a few tries."""
        cause, _, tried = (failed.stamp or "").partition(_TRIED)
        if not cause or cause != self._cause(task):
            return False
        task.attempts = int(tried) if tried.isdigit() else 0
        return task.attempts == 0 or task.attempts >= ATTEMPTS


def _task(entry: Entry | Failure) -> Task:
    if isinstance(entry, Failure):
        return Task(failure=entry)
    task = Task(entry.image, weight=weight_of(entry))
    for text in entry.texts:
        normalised = normalise_text(text.text)
        if normalised:
            task.texts.append(TextTask(text, normalised, text_digest(normalised)))
    if entry.image is not None:
        try:
            task.stamp = stamp(entry.image.location)
        except ImageError as error:
            task.failure = Failure(entry.image.uri, str(error))
    return task
