"""From a corpus into a collection: look up, read, decode, encode, commit.

Entries are looked up in batches; what is new or changed is read, hashed, decoded and prepared by worker processes, in
order and bounded; this thread encodes and commits every so often, so that a killed run loses seconds and a resumed
one ends with equal vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from indexer.pipeline.commits import Commits
from indexer.pipeline.counts import Counts
from indexer.pipeline.entries import EntryStager
from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.look_up import LookUp
from indexer.pipeline.pace import INDEX_PACE, CommitPace
from indexer.pipeline.parts import PartsExpander
from indexer.pipeline.reading import ImageReader
from indexer.pipeline.vanished import forget_settled
from indexer.store.writer import Writer
from retrieval.decoding.ordered import READ_AHEAD
from retrieval.decoding.pool import DecodePool
from retrieval.errors import CorpusFormatError
from retrieval.types import Entry, Failure

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


class Run:
    """One run over one corpus.

    Args:
        writer: of the collection.
        encoder: the one that the collection is bound to, or will be.
        corpus: uri and format of the corpus.
        pool: the processes that decode.
        retry_failed: try images again that failed before.
        reread: read every image again.
        pace: how much work a commit takes.
        window: images read ahead of the encoder.

    Attributes:
        corpus_id: catalogue id of the corpus.
        encoder_id: catalogue id of the encoder.
        counts: what the run has met so far.
        look_up: what the catalogue knows already.

    Raises:
        IdentityMismatch: the collection is bound to another encoder.
    """

    def __init__(
        self,
        writer: Writer,
        encoder: Encoder,
        corpus: tuple[str, str],
        pool: DecodePool,
        *,
        retry_failed: bool = False,
        reread: bool = False,
        pace: CommitPace = INDEX_PACE,
        window: int = READ_AHEAD,
    ) -> None:
        writer.check_identity(encoder.identity)
        self.corpus_id = writer.ensure_corpus(*corpus)
        self.counts = Counts()
        self._writer, self._identity, self._pool = writer, encoder.identity, pool
        self._commits = Commits(writer, encoder, self.corpus_id, self.counts, pace)
        self.encoder_id = encoder_id = self._commits.encoder_id
        self.look_up = LookUp(writer, encoder_id, self.corpus_id, pool.limits, retry_failed, reread)
        self._parts = PartsExpander(writer, self.look_up, pool, reread)
        self._stager = EntryStager(encoder, self.corpus_id, self.counts, self.look_up.failure_stamp)
        self._reader = ImageReader(pool, encoder, writer.path, encoder_id, self._commits.is_staged, window)

    def take(
        self, entries: Iterable[Entry | Failure], on_entry: Callable[[int, int], None] | None = None
    ) -> bool:
        """Index entries, committing on the way; whether all were taken (False: Ctrl-C came and work is committed).

        Args:
            entries: of the corpus.
            on_entry: told, after each, how many were taken and how many items have failed.

        Raises:
            CorpusFormatError: the corpus breaks off; what came before is committed, because a second run would break
                off in the same place.
        """
        broken: list[CorpusFormatError] = []
        with interrupts_noted() as interrupted, self._reader:
            expanded = self._parts.entries(_up_to_a_break(entries, broken), interrupted)
            looked_up = self.look_up.entries(expanded)
            outcomes = self._reader.read_all(looked_up, interrupted)
            for done, (entry, outcome) in enumerate(outcomes, start=1):
                self._stager.stage(self._commits.staged, entry, outcome)
                if on_entry is not None:
                    on_entry(done, len(self.counts.failures))
                self._commits.commit_if_due()
            self._pool.end_idle()  # the last pictures are encoded yet, and of few pictures that takes the most memory
            self._commits.commit()
            if broken:
                raise broken[0]
            if interrupted.is_set():
                return False
            forget_settled(self._writer, self._identity, self.corpus_id, self.counts.failures)
            return not interrupted.is_set()


def _up_to_a_break(
    entries: Iterable[Entry | Failure], broken: list[CorpusFormatError]
) -> Iterator[Entry | Failure]:
    """Give entries until the reader fails; its error goes into ``broken``, so that what was read ahead is not lost."""
    try:
        yield from entries
    except CorpusFormatError as error:
        broken.append(error)
