"""Encode a collection again with another model: vectors beside the old ones, then one commit that switches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, func, select

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.staging import Staged
from indexer.store.changes import NewContent
from indexer.store.maintenance import compact_if_due
from indexer.store.writer import Writer
from retrieval.collection import schema
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.encoders.registry import load_encoder
from retrieval.errors import CollectionError, ImageError
from retrieval.locations.extents import location_of
from retrieval.types import Failure, Limits, Location, OnProgress, Progress
from retrieval.uris import display

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

PAGE = 256  # contents a catalogue look-up
WINDOW = 64  # pictures read ahead
COMMIT_CONTENTS = 2048
REASONS_KEPT = 5


@dataclass(frozen=True, slots=True)
class Reindexed:
    """What became of it: contents ``encoded`` in this run, and how many pictures could not be read again."""

    encoded: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class _Content:
    """A content that has no vector under the new encoder, and where its bytes may be."""

    id: int
    sha256: bytes
    text: str | None
    places: tuple[tuple[str, Location | None], ...]

    @property
    def uri(self) -> str:
        return self.places[0][0]


def reindex(
    collection: str | Path,
    model: str | Path | Encoder,
    *,
    skip_unreadable: bool = False,
    limits: Limits | None = None,
    workers: int = 2,
    timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> Reindexed:
    """Encode every content of a collection with another model, then switch to it in one commit.

    Until the switch, queries are answered by the old vectors, and after a failure, Ctrl-C or a kill they still are;
    run again, it goes on where it was. With the collection's own model it encodes what has lost its vector.

    Args:
        collection: its folder.
        model: name, alias or folder of the encoder, or an encoder.
        skip_unreadable: switch even if some pictures cannot be read again; they stay in the catalogue, are found
            by no query, and are encoded when their corpus is indexed again.
        limits: bytes, pixels and seconds that a picture may take, and memory that all may take that are decoded.
        workers: processes that decode.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        on_progress: called after each content.

    Raises:
        CollectionNotFound: there is none.
        CollectionError: pictures cannot be read again, and nothing has been switched.
        KeyboardInterrupt: Ctrl-C; what is done is kept for the next run.
    """
    with (
        DecodePool(limits or Limits(), workers) as pool,
        Writer.existing(Path(collection), timeout) as writer,
    ):
        pool.start()  # while the model is loaded
        encoder = load_encoder(model) if isinstance(model, (str, Path)) else model
        encoder_id = writer.encoder_id(encoder.identity)
        work = _Work(writer, encoder, encoder_id, pool, on_progress)
        if not work.encode_missing():
            raise KeyboardInterrupt
        if work.failures and not skip_unreadable:
            raise CollectionError(_refusal(work))
        writer.switch_encoder(encoder.identity)
        compact_if_due(writer)
        return Reindexed(work.encoded, work.unreadable)


class _Work:
    """One pass over the contents that have no vector yet."""

    def __init__(
        self,
        writer: Writer,
        encoder: Encoder,
        encoder_id: int,
        pool: DecodePool,
        on_progress: OnProgress | None,
    ) -> None:
        self.writer, self.encoder, self.encoder_id = writer, encoder, encoder_id
        self.pool, self.on_progress = pool, on_progress
        self.encoded = self.done = self.unreadable = 0
        self.failures: list[Failure] = []
        self.staged = Staged()
        with writer.look_up() as connection:
            statement = select(func.count()).select_from(schema.contents).where(*self._missing())
            self.total = int(connection.execute(statement).scalar_one())

    def encode_missing(self) -> bool:
        """Encode and commit; False if Ctrl-C ended it early."""
        with interrupts_noted() as interrupted:
            outcomes = map_in_order(self._read, self._contents(), self.pool.workers, WINDOW, interrupted)
            for content, outcome in outcomes:
                self._stage(content, outcome)
                if len(self.staged.change.contents) >= COMMIT_CONTENTS:
                    self._commit()
            self._commit()
            return not interrupted.is_set()

    def _missing(self) -> tuple[ColumnElement[bool], ...]:
        contents, encodings, items = schema.contents, schema.encodings, schema.items
        encoded = select(encodings.c.id).where(
            encodings.c.content_id == contents.c.id, encodings.c.encoder_id == self.encoder_id
        )
        return (~encoded.exists(), select(items.c.id).where(items.c.content_id == contents.c.id).exists())

    def _contents(self) -> Iterator[_Content]:
        contents, items = schema.contents, schema.items
        last = 0
        while True:
            with self.writer.look_up() as connection:
                page = connection.execute(
                    select(contents)
                    .where(contents.c.id > last, *self._missing())
                    .order_by(contents.c.id)
                    .limit(PAGE)
                ).all()
                places: dict[int, list[tuple[str, Location | None]]] = {row.id: [] for row in page}
                for item in connection.execute(
                    select(items.c.content_id, items.c.uri, items.c.extent)
                    .where(items.c.content_id.in_(places))
                    .order_by(items.c.id)
                ):
                    places[item.content_id].append((item.uri, location_of(item.uri, item.extent)))
            if not page:
                return
            for row in page:
                yield _Content(row.id, row.sha256, row.text, tuple(places[row.id]))
            last = page[-1].id

    def _read(self, content: _Content) -> PreparedImage | None:
        """The picture's pixels, from the first of its places that still holds the same bytes; None for a text."""
        if content.text is not None:
            return None
        reason = "was given as a vector or as bytes, and lies nowhere"
        for _, location in content.places:
            if location is None:
                continue
            try:
                read = prepare_for_encoder(self.pool, location, self.encoder, content.sha256.__eq__)
                if read.array is not None:
                    return read
                reason = "has changed since it was indexed; index its corpus first"
            except ImageError as error:
                reason = str(error)
        raise ImageError(reason)

    def _stage(self, content: _Content, outcome: PreparedImage | ImageError | None) -> None:
        self.done += 1
        if isinstance(outcome, ImageError):
            self.unreadable += 1
            if len(self.failures) < REASONS_KEPT:
                self.failures.append(Failure(content.uri, str(outcome)))
        elif outcome is not None:
            self.staged.add_picture(outcome, self.encoder)
        elif content.text is not None:
            self.staged.add_text(content.sha256, content.text, self.encoder)
        if self.on_progress is not None:
            self.on_progress(Progress("encoding", self.done, self.total, self.unreadable))

    def _commit(self) -> None:
        self.staged.encode_rest(self.encoder)
        contents: list[NewContent] = list(self.staged.change.contents.values())
        if contents:
            self.writer.commit_beside(contents, self.encoder_id)
        self.encoded += len(contents)
        self.staged = Staged()


def _refusal(work: _Work) -> str:
    first = work.failures[0]
    pictures = "1 picture" if work.unreadable == 1 else f"{work.unreadable:,} pictures"
    return (
        f"{pictures} of collection {work.writer.path} cannot be read again, the first being {display(first.uri)}: "
        f"{first.reason}. Queries are answered by the old vectors as before; bring the files back and run this "
        "again (it goes on where it was), or switch without them with: --skip-unreadable"
    )
