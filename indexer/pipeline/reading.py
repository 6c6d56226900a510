"""Reading the images of a corpus, in threads that wait for worker processes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sqlalchemy import Engine

from indexer.pipeline.look_up import LookedUp
from indexer.store.known import find_encoded
from retrieval.collection.catalogue import damaged
from retrieval.collection.engine import DATABASE_ERRORS, connect
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import ImageError, ImageUnreadable

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder


class ImageReader:
    """Reads and prepares images; a context manager, inside whose block it reads.

    What has a vector already, in the catalogue or with the next commit, is read and hashed but not decoded.

    Args:
        pool: the processes that decode.
        encoder: the one to prepare for.
        collection: its folder.
        encoder_id: catalogue id of the encoder.
        is_staged: whether the next commit brings a content; asked from any thread.
        window: images read ahead; prepared ones are small, so that this bounds memory.
    """

    def __init__(
        self,
        pool: DecodePool,
        encoder: Encoder,
        collection: Path,
        encoder_id: int,
        is_staged: Callable[[bytes], bool],
        window: int,
    ) -> None:
        self._pool, self._encoder = pool, encoder
        self._collection, self._encoder_id = collection, encoder_id
        self._is_staged, self._window = is_staged, window
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        self._engine = connect(self._collection, "read")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def read_all(
        self, entries: Iterable[LookedUp], stop: threading.Event
    ) -> Iterator[tuple[LookedUp, PreparedImage | ImageError | None]]:
        """Give entries in their order, each with its image or why that cannot be taken, until ``stop`` is set.

        None stands for an entry without an image, or with one that is as it was by the catalogue.
        """
        return map_in_order(self._read, entries, self._pool.workers, self._window, stop)

    def _read(self, entry: LookedUp) -> PreparedImage | None:
        if entry.image is None or not entry.must_be_read:
            return None
        try:
            return prepare_for_encoder(self._pool, entry.image.location, self._encoder, self._is_wanted)
        except ImageUnreadable:
            entry.stamp = None  # rights and drives come back without a change of the file: try every time
            raise

    def _is_wanted(self, digest: bytes) -> bool:
        """Whether a content has no vector yet."""
        if self._is_staged(digest):
            return False
        assert self._engine is not None, "images are read inside the block"
        try:
            with self._engine.begin() as connection:
                return not find_encoded(connection, "image", [digest], self._encoder_id)
        except DATABASE_ERRORS as error:
            raise damaged(self._collection, error) from error
