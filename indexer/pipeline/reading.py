"""Reading the images of a corpus, in threads that wait for worker processes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from indexer.pipeline.described import described
from indexer.pipeline.look_up import LookedUp
from indexer.store.known import is_encoded_image
from retrieval.collection.catalogue import damaged, find_catalogue, open_catalogue
from retrieval.decoding.ordered import map_in_order
from retrieval.decoding.prepare import PreparedImage
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import ImageError, ImageUnreadable

if TYPE_CHECKING:
    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder
    from retrieval.types import CorpusImage


# Images in a row that had no vector yet, after which the next are decoded before that is asked.
_EAGER_AFTER = 16


class ImageReader:
    """Reads and prepares images; a context manager, inside whose block it reads.

    What has a vector already, in the catalogue or with the next commit, is read and hashed but not decoded. While all
    images are new, workers do not wait to be told so (that takes 0.3 ms of CPU time an image); the outcomes are the
    same, and an image whose content turns out to have a vector was decoded in vain.

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
        self._new_in_a_row = 0
        self._lock = threading.Lock()
        self._catalogue: sqlite3.Connection | None = None
        self._opened = ExitStack()

    def __enter__(self) -> Self:
        file = find_catalogue(self._collection, "read")
        with ExitStack() as opened:
            opened.callback(file.remove_copy)
            try:
                self._catalogue = opened.enter_context(closing(open_catalogue(file)))
            except sqlite3.Error as error:
                raise damaged(self._collection, error) from error
            self._opened = opened.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:  # a thread may be left that still asks
            self._catalogue = None
            self._opened.close()

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
            if self._new_in_a_row >= _EAGER_AFTER and (found := self._read_eagerly(entry.image)) is not None:
                return found
            return prepare_for_encoder(
                self._pool, entry.image.location, self._encoder, self._is_wanted, described(entry.image)
            )
        except ImageUnreadable:
            entry.stamp = None  # rights and drives come back without a change of the file: try every time
            raise

    def _read_eagerly(self, image: CorpusImage) -> PreparedImage | None:
        """Prepare an image before asking whether its content is new; None where that fails, and it must be asked."""
        try:
            found = prepare_for_encoder(self._pool, image.location, self._encoder, described=described(image))
        except ImageUnreadable:
            raise
        except ImageError:  # its content may have a vector nevertheless, made with other limits
            self._new_in_a_row = 0
            return None
        return found if self._is_wanted(found.digest) else replace(found, array=None)

    def _is_wanted(self, digest: bytes) -> bool:
        """Whether a content has no vector yet."""
        wanted = not (self._is_staged(digest) or self._is_encoded(digest))
        self._new_in_a_row = self._new_in_a_row + 1 if wanted else 0
        return wanted

    def _is_encoded(self, digest: bytes) -> bool:
        try:
            with self._lock:
                if self._catalogue is None:
                    raise ImageError("reading was stopped")
                return is_encoded_image(self._catalogue, digest, self._encoder_id)
        except sqlite3.Error as error:
            raise damaged(self._collection, error) from error
