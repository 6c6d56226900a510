"""Entries of a corpus beside what the catalogue knows of them: which images must be read, which texts encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from indexer.pipeline.described import is_unchanged, stamp_of_files
from indexer.store.known import KnownFailure, KnownItem, find_encoded, find_failures, find_items
from indexer.store.writer import Writer
from retrieval.contents import text_digest
from retrieval.corpora.corpus import weight_of
from retrieval.decoding.budget import default_budget
from retrieval.decoding.versions import decoder_versions
from retrieval.errors import ImageError, ImageGivenUp, ImageUnreadable
from retrieval.texts import normalise_text
from retrieval.types import CorpusImage, CorpusText, Entry, Failure, Limits

LOOK_UP_ENTRIES = 256
LOOK_UP_CHARACTERS = 2**22  # of their texts and attributes
ATTEMPTS = 3
"""Runs that try an image whose decoding was given up (a deadline, a crash) before it waits for something to change."""

_TRIED = " tried "


@dataclass(frozen=True, slots=True)
class Unlisted:
    """An entry of a file whose pictures could not be listed; ``error`` is None where that was so before."""

    entry: Entry
    error: ImageError | None = None


@dataclass(slots=True)
class LookedUpText:
    """A text of an entry; ``encoded`` says whether its content had a vector when it was looked up."""

    text: CorpusText
    normalised: str
    digest: bytes
    known: KnownItem | None = None
    encoded: bool = False


@dataclass(slots=True)
class LookedUp:
    """An entry with what the catalogue knows of it.

    Attributes:
        image: the entry's image, if it has one.
        texts: its texts, empty ones left out.
        failure: why the image cannot be taken, where that is clear without reading it.
        repeated: that failure is in the catalogue already.
        stamp: of the image's bytes and sidecars.
        known: the image's item.
        must_be_read: whether the image must be read.
        first: an entry shortly before with the same image, as in a table with one caption a row.
        weight: characters of its texts and attributes.
        attempts: how often in a row its decoding was given up, so far.
        taken: whether the image is an item of the collection, or will be with the next commit.
        unlisted: the file whose pictures could not be listed.
    """

    image: CorpusImage | None = None
    texts: list[LookedUpText] = field(default_factory=list)
    failure: Failure | None = None
    repeated: bool = False
    stamp: str | None = None
    known: KnownItem | None = None
    must_be_read: bool = False
    first: LookedUp | None = None
    weight: int = 0
    attempts: int = 0
    taken: bool = False
    unlisted: Unlisted | None = None

    @property
    def uri(self) -> str:
        """The image's uri, or an empty string."""
        return self.image.uri if self.image is not None else ""


class LookUp:
    """Looks entries up in batches, on the writer's connection."""

    def __init__(
        self,
        writer: Writer,
        encoder_id: int,
        corpus_id: int,
        limits: Limits,
        retry_failed: bool,
        reread: bool = False,
    ) -> None:
        self._writer, self._encoder_id, self._corpus_id = writer, encoder_id, corpus_id
        self._retry_failed, self._reread = retry_failed, reread
        memory = (limits.memory or default_budget()) >> 20
        private = " private" if limits.private_addresses else ""
        accepted = f"{limits.file_bytes}/{limits.pixels}/{limits.seconds:g}/{memory}{private}"
        self._conditions = f"{accepted} {decoder_versions()}"

    def entries(self, entries: Iterable[Entry | Failure | Unlisted]) -> Iterator[LookedUp]:
        """Look up every entry, in order."""
        batch: list[Entry | Failure | Unlisted] = []
        weight = 0
        for entry in entries:
            batch.append(entry)
            weight += weight_of(entry) if isinstance(entry, Entry) else 0
            if len(batch) >= LOOK_UP_ENTRIES or weight > LOOK_UP_CHARACTERS:
                yield from self._batch(batch)
                batch, weight = [], 0
        yield from self._batch(batch)

    def is_hopeless(self, uri: str, stamp: str | None) -> bool:
        """Whether a file failed before, and all that may be the cause is as it was then."""
        if self._retry_failed or self._reread:
            return False
        with self._writer.look_up() as connection:
            failed = find_failures(connection, [uri]).get(uri)
        return failed is not None and self._is_hopeless(LookedUp(stamp=stamp), failed)

    def fails_again(self, stamp: str) -> bool:
        """Whether an image that failed fails again, if its bytes are as they were; ``stamp`` is that of the failure."""
        cause, _, tried = stamp.partition(_TRIED)
        is_settled = not tried or (tried.isdigit() and int(tried) >= ATTEMPTS)
        return is_settled and cause.endswith(f" {self._conditions}")

    def failure_stamp(self, entry: LookedUp) -> str | None:
        """Say what must change before a failed image is worth another try, and how often its decoding was given up."""
        cause = self._cause(entry)
        return cause if cause is None or not entry.attempts else f"{cause}{_TRIED}{entry.attempts}"

    def _cause(self, entry: LookedUp) -> str | None:
        """Name all that may be the cause of a failure: the bytes, what is accepted of any, and what decodes them."""
        return None if entry.stamp is None else f"{entry.stamp} {self._conditions}"

    def _batch(self, batch: Sequence[Entry | Failure | Unlisted]) -> list[LookedUp]:
        entries = [_unknown(entry) for entry in batch]
        uris = {entry.uri for entry in entries if entry.image is not None}
        uris |= {text.text.uri for entry in entries for text in entry.texts}
        with self._writer.look_up() as connection:
            known = find_items(connection, uris, self._encoder_id, self._corpus_id)
            failed = find_failures(connection, uris)
            digests = {text.digest for entry in entries for text in entry.texts}
            encoded = find_encoded(connection, "text", digests, self._encoder_id)
        first: dict[str, LookedUp] = {}
        for entry in entries:
            for text in entry.texts:
                text.known = known.get(text.text.uri)
                text.encoded = text.digest in encoded
            if entry.image is None:
                continue
            entry.known = known.get(entry.uri)
            if first.setdefault(entry.uri, entry) is not entry:
                entry.first, entry.failure = first[entry.uri], None
            elif entry.unlisted is not None:
                self._fail_again(entry, entry.unlisted, failed.get(entry.uri))
            elif entry.failure is None:
                self._decide(entry, failed.get(entry.uri))
        return entries

    def _decide(self, entry: LookedUp, failed: KnownFailure | None) -> None:
        """Decide whether an image must be read, or fails again as it did before."""
        known = entry.known
        image = entry.image
        assert image is not None, "only entries with an image are decided on"
        same = known is not None and is_unchanged(image, entry.stamp, known.stamp, known.attributes)
        ask_again = self._retry_failed or self._reread
        if failed is not None and self._is_hopeless(entry, failed) and not same and not ask_again:
            entry.failure = Failure(entry.uri, failed.reason)
            entry.repeated = failed.corpus_id == self._corpus_id
        else:
            entry.must_be_read = self._reread or not (same and known is not None and known.encoded)

    def _fail_again(self, entry: LookedUp, unlisted: Unlisted, failed: KnownFailure | None) -> None:
        """Note of a file whose pictures could not be listed why, and how often that was given up."""
        if failed is not None:
            self._is_hopeless(entry, failed)
            if unlisted.error is None:
                entry.failure = Failure(entry.uri, failed.reason)
                entry.repeated = failed.corpus_id == self._corpus_id
        if unlisted.error is not None:
            entry.attempts = entry.attempts + 1 if isinstance(unlisted.error, ImageGivenUp) else 0

    def _is_hopeless(self, entry: LookedUp, failed: KnownFailure) -> bool:
        """Whether all is as it was when an image failed; one that was given up has a few tries."""
        cause, _, tried = (failed.stamp or "").partition(_TRIED)
        if not cause or cause != self._cause(entry):
            return False
        entry.attempts = int(tried) if tried.isdigit() else 0
        return entry.attempts == 0 or entry.attempts >= ATTEMPTS


def _unknown(entry: Entry | Failure | Unlisted) -> LookedUp:
    """Take an entry of which the catalogue has not been asked yet."""
    if isinstance(entry, Failure):
        return LookedUp(failure=entry)
    if isinstance(entry, Unlisted):
        found = _unknown(entry.entry)
        found.unlisted = entry
        if entry.error is not None and found.failure is None:
            found.failure = Failure(found.uri, str(entry.error))
            if isinstance(entry.error, ImageUnreadable):
                found.stamp = None  # as of images that cannot be read
        return found
    found = LookedUp(entry.image, weight=weight_of(entry))
    for text in entry.texts:
        normalised = normalise_text(text.text)
        if normalised:
            found.texts.append(LookedUpText(text, normalised, text_digest(normalised)))
    if entry.image is not None:
        try:
            found.stamp = stamp_of_files(entry.image)
        except ImageError as error:
            found.failure = Failure(entry.image.uri, str(error))
    return found
