"""Write captions of a collection's pictures: what ``vlsearch caption --add`` does, as one call."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, select

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.report import FailureGroup, Failures
from indexer.staged_texts import StagedTexts
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from indexer.stored_images import StoredContent, StoredContents, prepare_again
from retrieval.collection import schema
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.errors import ImageError
from retrieval.generators.pictures import BATCH, DECODED_AHEAD, captioner
from retrieval.places import CollectionPlace
from retrieval.types import Failure, Limits, OnProgress, Progress, ignore_progress

if TYPE_CHECKING:
    from retrieval.generators.base import Generator


@dataclass(frozen=True, slots=True)
class CaptionsWritten:
    """What a generator wrote of the images of a collection that it had not described before, each content once.

    Attributes:
        maker: name, identity and language of the generator.
        written: images with a new caption.
        failed: images that could not be read; the next run tries them again.
        seconds: wall time.
        interrupted: Ctrl-C came; what was done is committed.
        reasons: the failures, grouped by reason, the most frequent first.
    """

    maker: str
    written: int
    failed: int
    seconds: float
    interrupted: bool = False
    reasons: tuple[FailureGroup, ...] = field(default=())


def write_captions(
    collection: str | CollectionPlace,
    model: Generator | str | Path | None = None,
    *,
    lang: str | None = None,
    limits: Limits | None = None,
    workers: int | None = None,
    timeout: float = 0.0,
    on_progress: OnProgress | None = None,
) -> CaptionsWritten:
    """Write captions of the images of a collection into it, so that words find them.

    They stand apart from people's captions, with the origin ``written`` and who wrote them; no evaluation and no
    training sees them. An image has one: that of another model, or in another language, replaces it. Each content is
    described once by each model; killed at any moment, a run has lost a few seconds of work, and goes on from there.

    Args:
        collection: its folder, or its address on a server.
        model: a generator, or a name or folder to load one from; by default the best on this machine.
        lang: BCP 47 tag; the model's first language by default.
        limits: bytes, pixels and seconds that an image may take, and memory that all may take that are decoded.
        workers: processes that decode; one a core by default.
        timeout: seconds to wait for another process that writes to the collection; by default none.
        on_progress: called after each image.

    Raises:
        CollectionNotFound: there is none.
        CollectionLocked: another process writes to it.
        UsageError: the model writes no captions, or not in that language.
        ModelError: there is no model on this machine, or it cannot be loaded.
        MissingExtra: the extra ``models`` is not installed.
    """
    started = time.monotonic()
    with open_place(collection, timeout, make=False) as writer:
        generator = captioner(model)
        generator.describe_prepared([], lang)
        run = _Captioning(writer, generator, lang or generator.languages[0])
        with DecodePool(limits or Limits(), workers) as pool, interrupts_noted() as interrupted:
            run.run(pool, interrupted, on_progress or ignore_progress)
    seconds = round(time.monotonic() - started, 3)
    failures = run.failures
    return CaptionsWritten(
        run.maker, run.written, len(failures), seconds, interrupted.is_set(), failures.groups()
    )


class _Captioning:
    """One pass over the image contents that a generator has not described yet.

    Attributes:
        maker: the generator and its language, as it stands with the captions.
        written: images with a caption so far.
        failures: images that could not be read.
    """

    def __init__(self, writer: Writer, generator: Generator, lang: str) -> None:
        self._writer, self._generator, self._lang = writer, generator, lang
        self.maker = generator.identity.maker(lang)
        self.written = 0
        self.failures = Failures()
        self._staged = StagedTexts(writer, "written", self.maker)

    def run(self, pool: DecodePool, stop: Event, tell: OnProgress) -> None:
        """Write, and commit on the way and at the end, until ``stop`` is set."""
        undescribed = StoredContents(self._writer, *_is_undescribed(self.maker))
        total = undescribed.count()
        waiting: list[tuple[StoredContent, PreparedImage]] = []
        try:
            for done, (content, image) in enumerate(self._decoded(pool, undescribed, stop), start=1):
                if isinstance(image, ImageError):
                    self.failures.add(Failure(content.uri, str(image)))
                else:
                    waiting.append((content, image))
                if len(waiting) == BATCH:
                    self._describe(waiting)
                    waiting = []
                tell(Progress("writing captions", done - len(waiting), total, len(self.failures)))
            if not stop.is_set():
                self._describe(waiting)
        finally:
            self._staged.commit()

    def _decoded(
        self, pool: DecodePool, undescribed: StoredContents, stop: Event
    ) -> Iterator[tuple[StoredContent, PreparedImage | ImageError]]:
        rule = self._generator.preparation

        def read(content: StoredContent) -> PreparedImage:
            return prepare_again(pool, content, rule)

        return map_in_order(read, undescribed, pool.workers, DECODED_AHEAD, stop)

    def _describe(self, batch: list[tuple[StoredContent, PreparedImage]]) -> None:
        arrays = [image.array for _, image in batch if image.array is not None]
        assert len(arrays) == len(batch), "what is read again has its array"
        for (content, _), captions in zip(
            batch, self._generator.describe_prepared(arrays, self._lang), strict=True
        ):
            self._staged.add(content.sha256, captions[0].text)
        self.written += len(batch)
        if self._staged.is_due:
            self._staged.commit()


def _is_undescribed(maker: str) -> tuple[ColumnElement[bool], ...]:
    """Conditions of the image contents that this generator has not described."""
    contents, texts = schema.contents, schema.image_texts
    by_this = (texts.c.origin == "written") & (texts.c.maker == maker)
    described = select(texts.c.content_id).where(texts.c.content_id == contents.c.id, by_this)
    return contents.c.kind == "image", ~described.exists()
