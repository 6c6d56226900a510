"""What every encoder is: images and texts in, float32 unit rows of one space out, and an identity.

A resumed run's vectors equal an uninterrupted run's bit for bit if every run encodes with one ``batch_size`` on one
machine with one set of libraries. Then a row's bits depend on its image or text alone: not on its neighbours, not
on its place in the batch, and not on how many rows of the batch count; the pipeline need not keep anything else
equal. (With MKL in its strict mode, as here by default on x86, not on the number of threads either.) How torch is
brought to that is in :mod:`retrieval.encoders.reproducible`. (On a GPU ``batch_size`` follows from its free memory; see
:mod:`retrieval.encoders.gpu_passes`.) Another ``batch_size``, processor or version of torch may
give other last bits, and ``batch_size=None`` promises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from retrieval.encoders.batches import INDEXING, Batches
from retrieval.errors import UsageError
from retrieval.identity import Identity as Identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

    from retrieval.types import Kind

T = TypeVar("T")


class Encoder(Protocol):
    """Images and texts to unit rows in one space. All methods may be called from several threads."""

    @property
    def identity(self) -> Identity:
        """What must be equal for vectors to be comparable."""
        ...

    @property
    def image_size(self) -> int:
        """Short side, in pixels, of the image tower's input; a decoder need not deliver much more than twice that."""
        ...

    def prepare_image(self, image: Image) -> NDArray[np.uint8] | NDArray[np.float32]:
        """Resize and crop an upright RGB image as the tower needs it: one array, its shape always the same.

        Pure, and safe in many threads at once: indexing prepares in decoder threads.
        """
        ...

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Encode images that :meth:`prepare_image` has prepared, to (n, d) float32 unit rows.

        Args:
            prepared: n arrays; n may be 0.
            batch_size: if given, every forward pass has exactly that many rows (a short one is filled up), or a
                number that follows from it (one, where a row's bits depend on its place), so that a row's bits depend
                on its image alone and not on which or how many others came with it.
        """
        ...

    def encode_images(self, images: Sequence[Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Encode PIL images of any mode, to (n, d) float32 unit rows."""
        ...

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Encode texts, to (n, d) float32 unit rows; tokens beyond the model's context length are cut off.

        ``batch_size`` is as in :meth:`encode_prepared`; a text's padded length is a function of that text alone.
        """
        ...


class Towers(Protocol):
    """The two networks of a dual encoder in one runtime: arrays in, unit rows out. Safe in several threads.

    A call is one forward pass over all the rows given (where there are more than ``largest_image_pass``, several);
    whoever calls decides how many (see :class:`retrieval.encoders.tower_encoder.TowerEncoder`). Every implementation
    passes ``tests/conformance/test_towers.py``.
    """

    @property
    def largest_image_pass(self) -> int | None:
        """Most images to give to one pass, because more are slower; None for no such limit."""
        ...

    @property
    def image_passes_at_once(self) -> int:
        """How many threads should call :meth:`image_rows` at once; 1 where a pass keeps all cores busy by itself."""
        ...

    @property
    def tolerance(self) -> float:
        """Largest difference of an element of a unit row from that of torch in float32 on the CPU."""
        ...

    def depends_on_place(self, kind: Kind) -> bool:
        """Whether equal rows of one pass may differ in their last bits; then only passes of one row reproduce."""
        ...

    def image_rows(self, prepared: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute unit rows, (n, d) float32, of n >= 1 prepared images, stacked.

        Raises:
            ModelError: the model cannot encode them, because its files are damaged or do not belong together.
        """
        ...

    def text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Compute unit rows, (n, d) float32, of n >= 1 texts of one padded length.

        Args:
            ids: (n, length) token ids.
            is_text: (n, length); false where a token is padding.

        Raises:
            ModelError: as in :meth:`image_rows`.
        """
        ...


@runtime_checkable
class SizedTowers(Protocol):
    """Towers that choose how many rows a pass that indexes has."""

    def indexing_batches(self) -> Batches:
        """Give the rows of a pass of either tower; the same at every call in one process."""
        ...


@runtime_checkable
class AskedTextTowers(Protocol):
    """Towers that compute a text that is asked with otherwise than one that is indexed: sooner in a new process."""

    def asked_text_row(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Compute the unit row of one text, (1, d) float32; arguments and errors as of :meth:`Towers.text_rows`."""
        ...


@runtime_checkable
class SeveralAskedTextsTowers(Protocol):
    """Towers that compute several texts that are asked with in less time than one after the other."""

    def asked_text_rows(self, ids: NDArray[np.int64], is_text: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Compute unit rows as :meth:`Towers.text_rows`, each with the bits that it has in a pass of its own."""
        ...


@runtime_checkable
class AskedImageTowers(Protocol):
    """Towers that compute an image that is asked with otherwise than one that is indexed: sooner in a new process."""

    def asked_image_row(self, prepared: NDArray[Any]) -> NDArray[np.float32]:
        """Compute the unit row, (1, d) float32, of one prepared image; errors as of :meth:`Towers.image_rows`."""
        ...


@runtime_checkable
class AskedImageEncoder(Protocol):
    """An encoder with a way of its own for images that are asked with."""

    def encode_asked_image(self, prepared: NDArray[np.uint8] | NDArray[np.float32]) -> NDArray[np.float32]:
        """Encode a prepared image, to a unit vector (d,) float32 that may be compared with those of other methods."""
        ...


@runtime_checkable
class AskedTextEncoder(Protocol):
    """An encoder with a way of its own for texts that are asked with."""

    def encode_asked_text(self, text: str) -> NDArray[np.float32]:
        """Encode a text, to a unit vector (d,) float32 that may be compared with those of other methods."""
        ...


@runtime_checkable
class SeveralAskedTextsEncoder(Protocol):
    """An encoder that takes less time for several texts that are asked with than for one after the other."""

    def encode_asked_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, (n, d) float32, each with the bits that :func:`encode_asked_text` gives it alone."""
        ...


@runtime_checkable
class SizedEncoder(Protocol):
    """An encoder that chooses how many rows a pass that indexes has."""

    def indexing_batches(self) -> Batches:
        """Give the rows of a pass of either tower; the same at every call in one process."""
        ...


def indexing_batches(encoder: Encoder) -> Batches:
    """Give the ``batch_size`` of images and of texts by which everything that writes to a collection encodes."""
    return encoder.indexing_batches() if isinstance(encoder, SizedEncoder) else INDEXING


def encode_asked_text(encoder: Encoder, text: str) -> NDArray[np.float32]:
    """Encode a text that is asked with, (d,) float32; alone: a batch's size changes the last bits of its rows."""
    if isinstance(encoder, AskedTextEncoder):
        return encoder.encode_asked_text(text)
    row: NDArray[np.float32] = encoder.encode_texts([text], batch_size=1)[0]
    return row


def encode_asked_texts(encoder: Encoder, texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """Encode texts that are asked with, each to the bits that :func:`encode_asked_text` gives it alone."""
    if isinstance(encoder, SeveralAskedTextsEncoder):
        return list(encoder.encode_asked_texts(texts))
    return [encode_asked_text(encoder, text) for text in texts]


def encode_asked_image(
    encoder: Encoder, prepared: NDArray[np.uint8] | NDArray[np.float32]
) -> NDArray[np.float32]:
    """Encode a prepared image that is asked with, (d,) float32; alone, as a text is."""
    if isinstance(encoder, AskedImageEncoder):
        return encoder.encode_asked_image(prepared)
    row: NDArray[np.float32] = encoder.encode_prepared([prepared], batch_size=1)[0]
    return row


def fixed_batches(rows: Sequence[T], batch_size: int | None, default: int) -> Iterator[tuple[list[T], int]]:
    """Cut rows into batches, as (batch, how many of its rows count).

    With ``batch_size`` None: chunks of at most ``default``, the last one short. Otherwise every batch has exactly
    ``batch_size`` rows, the last one filled up with copies of its first.

    Raises:
        UsageError: ``batch_size`` is below 1.
    """
    if batch_size is not None and batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}; give 1 or more, or None")
    size = batch_size or default
    for start in range(0, len(rows), size):
        batch = list(rows[start : start + size])
        count = len(batch)
        if batch_size is not None:
            batch += [batch[0]] * (batch_size - count)
        yield batch, count
