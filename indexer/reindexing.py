"""Encode a collection again with another model: vectors beside the old ones, then one commit that switches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.pace import REINDEX_PACE, CommitPace
from indexer.pipeline.staging import Staged
from indexer.region_making import make_regions
from indexer.store.maintenance import compact_if_due
from indexer.store.region_files import keeps_regions
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from indexer.stored_images import StoredContent, StoredContents, read_again
from retrieval.collection import schema
from retrieval.decoding.ordered import READ_AHEAD, map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.encoders.regions import region_encoder
from retrieval.encoders.registry import load_encoder
from retrieval.errors import CollectionError, ImageError
from retrieval.places import CollectionPlace
from retrieval.types import Failure, Limits, Location, OnProgress, Progress
from retrieval.uris import display

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What became of it: contents ``encoded`` in this run, and how many images could not be read again."""

    encoded: int
    unreadable: int


def reindex(
    collection: str | CollectionPlace,
    model: str | Path | Encoder,
    *,
    skip_unreadable: bool = False,
    limits: Limits | None = None,
    workers: int = 2,
    timeout: float = 0.0,
    pace: CommitPace = REINDEX_PACE,
    on_progress: OnProgress | None = None,
) -> Reindexed:
    """Encode every content of a collection with another model, then switch to it in one commit.

    Until the switch, queries are answered by the old vectors, and after a failure, Ctrl-C or a kill they still are;
    run again, it goes on where it was. With the collection's own model it encodes what has lost its vector. Images that
    have vectors of regions get new ones.

    Args:
        collection: its folder.
        model: name, alias or folder of the encoder, or an encoder.
        skip_unreadable: switch even if some images cannot be read again; they stay in the catalogue, are found
            by no query, and are encoded when their corpus is indexed again.
        limits: bytes, pixels and seconds that an image may take, and memory that all may take that are decoded.
        workers: processes that decode.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        pace: how much work a commit takes.
        on_progress: called after each content.

    Raises:
        CollectionNotFound: there is none.
        CollectionError: images cannot be read again, and nothing has been switched.
        ModelError: the collection keeps regions, and the model cannot encode them.
        KeyboardInterrupt: Ctrl-C; what is done is kept for the next run.
    """
    with (
        DecodePool(limits or Limits(), workers) as pool,
        open_place(collection, timeout, make=False) as writer,
    ):
        pool.start()  # while the model is loaded
        encoder = load_encoder(model) if isinstance(model, (str, Path)) else model
        with_regions = keeps_regions(writer)
        if with_regions:
            region_encoder(encoder)  # so that a model that cannot encode them is refused before hours of work
        encoder_id = writer.ensure_encoder(encoder.identity)
        reencoding = _Reencoding(writer, encoder, encoder_id, pace)
        if not reencoding.run(pool, on_progress):
            raise KeyboardInterrupt
        if reencoding.unreadable and not skip_unreadable:
            raise CollectionError(_refusal(writer.place, reencoding.unreadable, reencoding.first_failure))
        if with_regions and make_regions(writer, encoder, pool, encoder_id=encoder_id).interrupted:
            raise KeyboardInterrupt
        writer.switch_encoder(encoder.identity)
        compact_if_due(writer)
        return Reindexed(reencoding.encoded, reencoding.unreadable)


def _without_vector(writer: Writer, encoder_id: int) -> StoredContents:
    """Give the contents of items that have no vector under an encoder."""
    contents, encodings = schema.contents, schema.encodings
    encoded = select(encodings.c.id).where(
        encodings.c.content_id == contents.c.id, encodings.c.encoder_id == encoder_id
    )
    return StoredContents(writer, ~encoded.exists())


class _Reencoding:
    """One pass over the contents that have no vector yet.

    Attributes:
        encoded: contents committed so far.
        unreadable: images that could not be read again so far.
        first_failure: why the first of them could not.
    """

    def __init__(self, writer: Writer, encoder: Encoder, encoder_id: int, pace: CommitPace) -> None:
        self._writer, self._encoder, self._encoder_id, self._pace = writer, encoder, encoder_id, pace
        self._missing = _without_vector(writer, encoder_id)
        self.encoded = self.unreadable = 0
        self.first_failure: Failure | None = None
        self._staged = Staged()

    def run(self, pool: DecodePool, on_progress: OnProgress | None) -> bool:
        """Encode and commit; False if Ctrl-C ended it early."""
        total = self._missing.count()

        def read(content: StoredContent) -> PreparedImage | None:
            return _read_again(pool, self._encoder, content)

        with interrupts_noted() as interrupted:
            outcomes = map_in_order(read, self._missing, pool.workers, READ_AHEAD, interrupted)
            for done, (content, outcome) in enumerate(outcomes, start=1):
                self._stage(content, outcome)
                if on_progress is not None:
                    on_progress(Progress("encoding", done, total, self.unreadable))
                if self._staged.is_due(self._pace):
                    self._commit()
            self._commit()
            return not interrupted.is_set()

    def _stage(self, content: StoredContent, outcome: PreparedImage | ImageError | None) -> None:
        if isinstance(outcome, ImageError):
            self.unreadable += 1
            self.first_failure = self.first_failure or Failure(content.uri, str(outcome))
        elif outcome is not None:
            self._staged.add_image(outcome, self._encoder)
        elif content.text is not None:
            self._staged.add_text(content.sha256, content.text, self._encoder)

    def _commit(self) -> None:
        staged, self._staged = self._staged, Staged()
        staged.encode_rest(self._encoder)
        contents = list(staged.change.contents.values())
        if contents:
            self._writer.commit_beside(contents, self._encoder_id)
        self.encoded += len(contents)


def _read_again(pool: DecodePool, encoder: Encoder, content: StoredContent) -> PreparedImage | None:
    """Prepare an image from the first of its places that still holds the same bytes; None for a text.

    Raises:
        ImageError: none of its places does.
    """
    if content.text is not None:
        return None

    def prepare(location: Location) -> PreparedImage:
        return prepare_for_encoder(pool, location, encoder, content.sha256.__eq__)

    return read_again(content, prepare)


def _refusal(collection: CollectionPlace, unreadable: int, first: Failure | None) -> str:
    assert first is not None, "what is counted has a first"
    pictures = "1 picture" if unreadable == 1 else f"{unreadable:,} pictures"
    return (
        f"{pictures} of collection {collection} cannot be read again, the first being {display(first.uri)}: "
        f"{first.reason}. Queries are answered by the old vectors as before; bring the files back and run this "
        "again (it goes on where it was), or switch without them with: --skip-unreadable"
    )
