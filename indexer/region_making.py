"""Make the vectors of regions of a collection's images: those that are there, and those to come.

What is in the catalogue has its vector already, and its file is read once more: one way for the images of this run, for
those of a collection that gets regions later, and for what a run that was killed has left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from indexer.pipeline.interrupts import interrupts_noted
from indexer.pipeline.report import Failures, RegionsMade
from indexer.store.many_rows import SelectAmong
from indexer.store.region_files import (
    commit_regions,
    compact_regions,
    drop_all_regions,
    encodings_without_regions,
    keep_regions,
    keeps_regions,
)
from indexer.store.writer import Writer
from indexer.stored_images import StoredContent, StoredContents, prepare_again
from retrieval.collection import schema
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.pool import DecodePool
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.regions import RegionEncoder, region_encoder
from retrieval.errors import CollectionError, ImageError
from retrieval.types import Failure
from retrieval.unit_rows import first_not_unit

if TYPE_CHECKING:
    from retrieval.encoders.base import Encoder

COMMIT_SECONDS = 10.0  # what a kill costs at most
COMMIT_IMAGES = 1000
MERGE_AFTER = 16  # commits, each of which adds a file that readers keep open
_ENCODED_TOGETHER = 16  # images
_READ_AHEAD = 24  # images of up to 4 MB each: nine crops at 384 pixels
_PAGE = 256  # images a look-up in the catalogue


def make_regions(
    writer: Writer,
    encoder: Encoder,
    pool: DecodePool,
    *,
    encoder_id: int | None = None,
    on_image: Callable[[int, int, int], None] | None = None,
) -> RegionsMade:
    """Encode the regions of all images in use that have none, committing on the way.

    Args:
        writer: of the collection.
        encoder: of its vectors.
        pool: the processes that decode.
        encoder_id: of the encoder, where it is not active yet.
        on_image: told, after each image, how many are done, in all, and failed.

    Raises:
        ModelError: the encoder cannot encode regions.
        CollectionError: there are regions by another rule, or the disk is full or fails.
    """
    started = time.monotonic()
    encoder_id = encoder_id or writer.ensure_encoder(encoder.identity)
    making = _Making(writer, region_encoder(encoder), encoder_id)
    with interrupts_noted() as interrupted:
        making.run(pool, interrupted, on_image or _ignore)
    if compact_regions(writer, encoder_id=encoder_id):
        writer.sweep()
    return RegionsMade(
        making.made,
        len(making.failures),
        round(time.monotonic() - started, 3),
        interrupted.is_set(),
        making.failures.groups(),
    )


def wants_regions(writer: Writer, encoder: Encoder, asked: bool | None) -> bool:
    """Whether images get regions: because that is asked for, which a collection remembers, or was before.

    Where ``asked`` is False, those that there are are dropped.

    Raises:
        ModelError: they are asked for, and the encoder cannot encode regions.
    """
    if asked:
        region_encoder(encoder)
        keep_regions(writer)
    kept = keeps_regions(writer)
    if asked is False and kept:
        drop_all_regions(writer)
    return kept and asked is not False


class _Making:
    """One pass over the images without regions.

    Attributes:
        made: images whose regions are committed.
        failures: images that could not be read.
    """

    def __init__(self, writer: Writer, regions: RegionEncoder, encoder_id: int) -> None:
        self._writer, self._regions, self._encoder_id = writer, regions, encoder_id
        self.made = self._commits = 0
        self.failures = Failures()
        self._waiting: list[tuple[int, PreparedImage]] = []
        self._encoded: list[_Encoded] = []
        self._since = time.monotonic()

    def run(self, pool: DecodePool, stop: Event, on_image: Callable[[int, int, int], None]) -> None:
        """Encode, and commit on the way and at the end, until ``stop`` is set."""
        missing = encodings_without_regions(self._writer, self._encoder_id, self._regions.rule)

        def read(one: _Missing) -> PreparedImage:
            return prepare_again(pool, one.content, self._regions.preparation)

        outcomes = map_in_order(read, self._contents(missing), pool.workers, _READ_AHEAD, stop)
        for done, (one, image) in enumerate(outcomes, start=1):
            self._take(one, image)
            on_image(done, len(missing), len(self.failures))
            if time.monotonic() - self._since > COMMIT_SECONDS or self._staged >= COMMIT_IMAGES:
                self._commit()
        self._commit()

    @property
    def _staged(self) -> int:
        return len(self._waiting) + sum(len(one.ids) for one in self._encoded)

    def _contents(self, missing: NDArray[np.int64]) -> Iterator[_Missing]:
        """Find the contents of encodings, in the order of those, and where their bytes are."""
        contents = schema.contents
        for start in range(0, len(missing), _PAGE):
            page = missing[start : start + _PAGE].tolist()
            with self._writer.look_up() as connection:
                content_of = {row.id: row.content_id for row in _CONTENTS.rows(connection, page)}
            found = {
                content.id: content
                for content in StoredContents(self._writer, contents.c.id.in_(content_of.values()))
            }
            for number in page:
                if (content := found.get(content_of[number])) is not None:
                    yield _Missing(number, content)

    def _take(self, one: _Missing, image: PreparedImage | ImageError) -> None:
        if isinstance(image, ImageError):
            self.failures.add(Failure(one.content.uri, str(image)))
            return
        self._waiting.append((one.encoding, image))
        if len(self._waiting) >= _ENCODED_TOGETHER:
            self._encode()

    def _encode(self) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        arrays = [image.array for _, image in waiting if image.array is not None]
        boxes = [self._regions.boxes(image.width or 1, image.height or 1) for _, image in waiting]
        vectors = self._regions.rows(arrays)
        if wrong := first_not_unit(vectors.reshape(-1, vectors.shape[-1])):
            raise CollectionError(
                f"an encoder gave vectors of regions that cannot be kept: one has the length {wrong[1]}"
            )
        ids = np.array([number for number, _ in waiting], np.int64)
        self._encoded.append(_Encoded(ids, np.stack(boxes), vectors))

    def _commit(self) -> None:
        self._encode()
        staged, self._encoded = self._encoded, []
        if staged:
            arrays = [np.concatenate(columns) for columns in zip(*staged, strict=True)]
            commit_regions(self._writer, self._encoder_id, self._regions.rule, *arrays)
            self.made += len(arrays[0])
            self._commits += 1
            if self._commits % MERGE_AFTER == 0 and compact_regions(
                self._writer, encoder_id=self._encoder_id
            ):
                self._writer.sweep()
        self._since = time.monotonic()


class _Missing(NamedTuple):
    """An encoding without regions, and its content."""

    encoding: int
    content: StoredContent


class _Encoded(NamedTuple):
    """Regions that wait for the next commit: encoding ids, boxes and vectors."""

    ids: NDArray[np.int64]
    boxes: NDArray[np.float32]
    vectors: NDArray[np.float32]


class _ContentOf(NamedTuple):
    """The content of an encoding."""

    id: int
    content_id: int


_CONTENTS = SelectAmong(_ContentOf, "SELECT id, content_id FROM encodings", "id")


def _ignore(done: int, total: int, failed: int) -> None:
    """Do nothing: for runs that nobody watches."""
