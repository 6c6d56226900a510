"""What every encoder is: pictures and texts in, float32 unit rows of one space out, and an identity.

A resumed run's vectors equal an uninterrupted run's bit for bit if every run encodes with one ``batch_size`` on one
machine with one set of libraries. Then a row's bits depend on its picture or text alone: not on its neighbours, not
on its place in the batch, and not on how many rows really count in it; the pipeline need not keep anything else
equal. (With MKL in its strict mode, as here by default on x86, not on the number of threads either.) What it takes
is in :mod:`retrieval.encoders.reproducible`. Another ``batch_size``, processor or version of torch may give other
last bits, and ``batch_size=None`` promises nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from retrieval.identity import Identity as Identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

T = TypeVar("T")


class Encoder(Protocol):
    """Pictures and texts to unit rows in one space. All methods may be called from several threads."""

    @property
    def identity(self) -> Identity:
        """What must be equal for vectors to be comparable."""
        ...

    @property
    def image_size(self) -> int:
        """Short side, in pixels, that the image tower sees; a decoder need not deliver much more than twice that."""
        ...

    def prepare_image(self, image: Image) -> NDArray[np.uint8] | NDArray[np.float32]:
        """An upright RGB picture, resized and cropped as the tower needs it: one array, its shape always the same.

        Pure, and safe in many threads at once: indexing prepares in decoder threads.
        """
        ...

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of pictures that :meth:`prepare_image` has prepared.

        Args:
            prepared: n arrays; n may be 0.
            batch_size: if given, every forward pass has exactly that many rows (a short one is filled up), or a
                number that follows from it (one, where kernels tell a row's place), so that a row's bits depend on
                its picture alone and not on which or how many others came with it.
        """
        ...

    def encode_images(self, images: Sequence[Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of PIL pictures of any mode."""
        ...

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Vectors, (n, d) float32 unit rows, of texts; what exceeds the model's context length is cut off.

        ``batch_size`` is as in :meth:`encode_prepared`; a text's padded length is a function of that text alone.
        """
        ...


def fixed_batches(rows: Sequence[T], batch_size: int | None, default: int) -> Iterator[tuple[list[T], int]]:
    """Cut rows into batches, as (batch, how many of its rows count).

    With ``batch_size`` None: chunks of at most ``default``, the last one short. Otherwise every batch has exactly
    ``batch_size`` rows, the last one filled up with copies of its first.
    """
    size = batch_size or default
    for start in range(0, len(rows), size):
        batch = list(rows[start : start + size])
        count = len(batch)
        if batch_size is not None:
            batch += [batch[0]] * (batch_size - count)
        yield batch, count
