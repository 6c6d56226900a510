"""Read the text in a collection's pictures: what ``vlsearch index --ocr`` does after the vectors, as one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, select

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.report import FailureGroup, Failures
from indexer.staged_texts import StagedTexts
from indexer.store.text_rows import note_reads_text
from indexer.store.writer import Writer
from indexer.store.writers import open_place, writable_place
from indexer.stored_images import StoredContent, StoredContents, prepare_again
from retrieval.collection import Collection, schema
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.preparations import Fit
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError
from retrieval.places import CollectionPlace
from retrieval.types import Failure, Limits, OnProgress, Progress

if TYPE_CHECKING:
    from retrieval.ocr import ReadLine, TextReader

COMMIT_IMAGES = 1000
DECODED_AHEAD = 8  # images of up to 8 MB each, while a reader takes a tenth of a second and more for one


@dataclass(frozen=True, slots=True)
class TextsRead:
    """What a reader of text found in the images of a collection that it had not read before, each content once.

    Attributes:
        maker: name and version of the reader.
        with_text: images with text.
        without_text: images without.
        failed: images that could not be read; the next run tries them again.
        seconds: wall time.
        interrupted: Ctrl-C came; what was done is committed.
        reasons: the failures, grouped by reason, the most frequent first.
        left: images that were not reached, roughly; 0 only if all were.
    """

    maker: str
    with_text: int
    without_text: int
    failed: int
    seconds: float
    interrupted: bool = False
    reasons: tuple[FailureGroup, ...] = field(default=())
    left: int = 0


def read_texts(
    collection: str | CollectionPlace,
    *,
    reader: TextReader | None = None,
    limits: Limits | None = None,
    workers: int | None = None,
    timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> TextsRead:
    """Read the text in the images of a collection, so that words find them by it.

    Each content is read once by each version of a reader: of equal bytes one, and none again that was moved. Killed at
    any moment, it has lost a few seconds of work, and goes on from there when it is run again.

    Args:
        collection: its folder, or its address on a server.
        reader: what reads; by default RapidOCR (extra ``ocr``).
        limits: bytes, pixels and seconds that an image may take, and memory that all may take that are decoded.
        workers: processes that decode; one a core by default.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        on_progress: called after each image.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
        MissingExtra: RapidOCR is not installed.
    """
    place = writable_place(collection)
    return TextReading(place, reader, limits, workers, timeout).read_unread(on_progress)


def reads_text(collection: str | CollectionPlace) -> bool:
    """Whether the text in new images of a collection is read after each run over a corpus.

    Raises:
        CollectionNotFound: there is none.
    """
    with Collection.open(writable_place(collection)) as opened:
        return opened.info().reads_text


def set_reads_text(collection: str | CollectionPlace, on: bool, *, timeout: float = 0.0) -> None:
    """Have ``vlsearch index`` and ``vlsearch watch`` read the text in new images of a collection, or no longer.

    What was read stays. Nothing is written where it is so already.

    Args:
        collection: its folder, or its address on a server.
        on: whether to read it.
        timeout: seconds to wait for another process that writes to the collection; by default none.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
    """
    if reads_text(collection) == on:
        return
    with (
        open_place(collection, timeout, make=False) as writer,
        writer.catalogue.without_generation() as connection,
    ):
        note_reads_text(connection, on)


@dataclass(frozen=True, slots=True)
class TextReading:
    """Reads the text in a collection's images in one or several goes.

    Attributes:
        collection: its place.
        reader: what reads; None for RapidOCR, which is loaded for a go that finds images to read.
        limits: as for :func:`read_texts`, as are the next ones.
        workers: as there.
        timeout: as there.
        given_up: sha256 of the contents that could not be read; the goes that follow pass over them.
    """

    collection: CollectionPlace
    reader: TextReader | None = None
    limits: Limits | None = None
    workers: int | None = None
    timeout: float = 0.0
    given_up: set[bytes] = field(default_factory=set)

    def read_unread(
        self, on_progress: OnProgress | None = None, is_over: Callable[[], bool] = lambda: False
    ) -> TextsRead:
        """Read what has not been read and was not given up, until ``is_over`` after an image.

        Raises:
            CollectionNotFound: there is none.
            CollectionLocked: another process writes to it.
            MissingExtra: RapidOCR is not installed.
        """
        started = time.monotonic()
        reader = self.reader
        if reader is None:
            from retrieval.ocr.rapid import RapidReader  # late: for what is read alone

            reader = RapidReader()
        with (
            DecodePool(self.limits or Limits(), self.workers) as pool,
            open_place(self.collection, self.timeout, make=False) as writer,
        ):
            recognition = _Recognition(writer, reader, self.given_up)
            with interrupts_noted() as interrupted:
                left = recognition.run(pool, interrupted, is_over, on_progress)
        return TextsRead(
            reader.maker,
            recognition.with_text,
            recognition.without_text,
            len(recognition.failures),
            round(time.monotonic() - started, 3),
            interrupted.is_set(),
            recognition.failures.groups(),
            left,
        )


class _Recognition:
    """One pass over the image contents that a reader has not read yet.

    Attributes:
        with_text: images with text so far.
        without_text: images without.
        failures: images that could not be read.
    """

    def __init__(self, writer: Writer, reader: TextReader, given_up: set[bytes]) -> None:
        self._writer, self._reader, self._given_up = writer, reader, given_up
        self.with_text = self.without_text = 0
        self.failures = Failures()
        self._staged = StagedTexts(writer, "read", reader.maker)

    def run(
        self,
        pool: DecodePool,
        interrupted: Event,
        is_over: Callable[[], bool],
        on_progress: OnProgress | None,
    ) -> int:
        """Read, and commit on the way and at the end, until it is to end; give how many images were not reached.

        That is an estimate, and 0 only if all were.
        """
        unread = StoredContents(self._writer, *_is_unread(self._reader.maker))
        done, total = 0, max(0, unread.count() - len(self._given_up))
        is_whole = False
        for done, (content, image) in enumerate(self._decoded(pool, unread, interrupted), start=1):
            try:
                self._stage(content, self._read(image))
            except ImageError as error:
                self._given_up.add(content.sha256)
                self.failures.add(Failure(content.uri, str(error)))
            if on_progress is not None:
                on_progress(Progress("reading text", done, total, len(self.failures)))
            if self._staged.is_due or len(self._staged) >= COMMIT_IMAGES:
                self._staged.commit()
            if is_over():
                break
        else:
            is_whole = not interrupted.is_set()
        self._staged.commit()
        return 0 if is_whole else max(1, total - done)

    def _decoded(
        self, pool: DecodePool, unread: StoredContents, stop: Event
    ) -> Iterator[tuple[StoredContent, PreparedImage | ImageError]]:
        rule = Fit(self._reader.side)
        passed_over = frozenset(self._given_up)

        def read(content: StoredContent) -> PreparedImage:
            return prepare_again(pool, content, rule)

        wanted = (content for content in unread if content.sha256 not in passed_over)
        return map_in_order(read, wanted, pool.workers, DECODED_AHEAD, stop)

    def _read(self, image: PreparedImage | ImageError) -> list[ReadLine]:
        if isinstance(image, ImageError):
            raise image
        assert image.array is not None, "what is read again has its array"
        return self._reader.read(image.array)

    def _stage(self, content: StoredContent, lines: list[ReadLine]) -> None:
        text = "\n".join(line.text for line in lines)
        boxes = tuple(line.box for line in lines)
        self._staged.add(content.sha256, text, boxes)
        self.with_text += bool(lines)
        self.without_text += not lines


def _is_unread(maker: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions of the image contents in which this version of a reader has not read.

    Pages are left out whose document has their text.
    """
    contents, texts = schema.contents, schema.image_texts
    by_this = (texts.c.origin == "read") & (texts.c.maker == maker)
    known = by_this | ((texts.c.origin == "page") & (texts.c.text != ""))
    settled = select(texts.c.content_id).where(texts.c.content_id == contents.c.id, known)
    return contents.c.kind == "image", ~settled.exists()
