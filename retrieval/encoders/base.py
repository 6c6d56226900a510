"""What every encoder is: pictures and texts in, float32 unit rows of one space out, and an identity."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Identity:
    """What must be equal for two vectors to be comparable (``name`` only says how to load the encoder again).

    Attributes:
        name: alias, hub id or absolute folder that ``load_encoder`` takes.
        family: ``two-tower``, ``clip``, ``siglip``, ...
        weights: sha256 of the weights, hex.
        revision: commit of a hub checkpoint, or an empty string.
        dimension: of the vectors.
        preprocessing: of pictures and texts, as canonical JSON: size, crop, resampling, mean, std, case, length.
        precision: ``float32``, ``bfloat16``, ...
        runtime: ``torch``, ...: runtimes whose vectors agree to float32 rounding share a class.
    """

    name: str
    family: str
    weights: str
    revision: str
    dimension: int
    preprocessing: str
    precision: str = "float32"
    runtime: str = "torch"

    @property
    def digest(self) -> str:
        """A sha256 (hex) over everything but the name."""
        facts = asdict(self)
        del facts["name"]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def difference(self, other: Identity) -> str:
        """The fields in which two identities differ, with both values, as a clause for an error message."""
        mine, theirs = asdict(self), asdict(other)
        return "; ".join(
            f"{name} {_shorten(mine[name])} against {_shorten(theirs[name])}"
            for name in mine
            if name != "name" and mine[name] != theirs[name]
        )


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
            batch_size: if given, every forward pass has exactly that many rows (a short one is filled up), so that
                a row's bits depend on its picture alone and not on how many others came with it.
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


def _shorten(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:24]}...{text[-24:]}"
