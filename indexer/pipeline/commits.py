"""The commits of a run: when they are due, what is left out of them because the catalogue has it, and merges."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.pipeline.counts import Counts
from indexer.pipeline.links import new_links
from indexer.pipeline.pace import CommitPace
from indexer.pipeline.renames import GoneObjects, find_renames
from indexer.pipeline.staging import Staged
from indexer.store.known import drop_encoded
from indexer.store.maintenance import merge_small
from indexer.store.writer import Writer

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


class Commits:
    """Takes what is staged into the collection.

    Attributes:
        staged: the work of the next commit.
        encoder_id: catalogue id of the encoder.
    """

    def __init__(
        self, writer: Writer, encoder: Encoder, corpus_id: int, counts: Counts, pace: CommitPace
    ) -> None:
        self._writer, self._encoder, self._corpus_id = writer, encoder, corpus_id
        self._counts, self._pace = counts, pace
        self.encoder_id = writer.ensure_encoder(encoder.identity)
        self._gone = GoneObjects(counts.met)
        self.staged = Staged()
        self._number = 0

    def is_staged(self, digest: bytes) -> bool:
        """Whether the next commit brings this image content; from any thread."""
        return digest in self.staged.digests["image"]

    def commit_if_due(self) -> None:
        """Commit if the pace says so."""
        if self.staged.is_due(self._pace):
            self.commit()

    def commit(self) -> None:
        """Encode the rest of what is staged, and commit it; now and then, merge small segments."""
        staged, change = self.staged, self.staged.change
        staged.encode_rest(self._encoder)
        links = len(change.links)
        with self._writer.look_up() as connection:
            change.links = new_links(connection, change.links, self._corpus_id)
            change.items |= find_renames(connection, change.items, staged.may_be_renamed, self._gone)
            # Leave out contents that another commit has encoded since they were queued.
            drop_encoded(connection, change.contents, self.encoder_id)
        ids = self._writer.commit(change, self._encoder.identity) if change else {}
        self._counts.add_commit(ids, change, links)
        self._number += 1
        if self._number % self._pace.merge_after == 0:
            merge_small(self._writer)
        self.staged = Staged()
