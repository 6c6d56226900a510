"""What tests need, ours and those of programs that embed vlsearch: an encoder without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from retrieval.identity import Identity

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


class HashEncoder:
    """Encode equal inputs to equal unit rows, and other inputs to rows that have nothing in common.

    >>> from retrieval.testing import HashEncoder                           # doctest: +SKIP
    >>> indexer.build("photos/", "photos.collection", model=HashEncoder())  # doctest: +SKIP

    It has the methods of :class:`retrieval.Encoder`, loads nothing and costs next to nothing, so that what is tested
    is the rest. An image's row depends on its pixels at ``image_size``, a text's on its UTF-8.

    Args:
        weights: stands for a digest of weights; encoders with different ones cannot share a collection.
        name: what the identity names.
        dimension: floats a row.
        image_size: side in pixels of a prepared image.

    Attributes:
        encoded: every prepared image and every text that was encoded, in order.
    """

    def __init__(
        self, weights: str = "0" * 64, name: str = "hash", dimension: int = 16, image_size: int = 8
    ) -> None:
        self.identity = Identity(name, "hash", weights, "", dimension, "{}")
        self.image_size = image_size
        self.encoded: list[object] = []

    def prepare_image(self, image: Image) -> NDArray[np.uint8]:
        """Give an image's pixels at ``image_size``, (size, size, 3) uint8."""
        import numpy as np

        return np.asarray(image.convert("RGB").resize((self.image_size, self.image_size)))

    def encode_prepared(
        self, prepared: Sequence[NDArray[np.uint8] | NDArray[np.float32]], batch_size: int | None = None
    ) -> NDArray[np.float32]:
        """Give the rows of prepared images, (n, dimension) float32."""
        self.encoded += prepared
        return self._rows([array.tobytes() for array in prepared])

    def encode_images(self, images: Sequence[Image], batch_size: int | None = None) -> NDArray[np.float32]:
        """Give the rows of images, (n, dimension) float32."""
        return self.encode_prepared([self.prepare_image(image) for image in images])

    def encode_texts(self, texts: Sequence[str], batch_size: int | None = None) -> NDArray[np.float32]:
        """Give the rows of texts, (n, dimension) float32."""
        self.encoded += texts
        return self._rows([text.encode() for text in texts])

    def _rows(self, contents: Sequence[bytes]) -> NDArray[np.float32]:
        import numpy as np

        salt, dimension = self.identity.weights.encode(), self.identity.dimension
        seeds = [list(hashlib.sha256(salt + content).digest()) for content in contents]
        rows = np.array([np.random.default_rng(seed).standard_normal(dimension) for seed in seeds])
        rows = rows.reshape(-1, dimension)
        unit: NDArray[np.float32] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        return unit
