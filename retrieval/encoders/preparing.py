"""Pictures prepared for an encoder by worker processes: wholly, where the encoder says how, else up to RGB pixels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.decoding.preparations import Preparation, Whole, is_preparation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder
    from retrieval.types import Location


@dataclass(frozen=True, slots=True, eq=False)
class ReadPicture:
    """A picture's bytes and what they became; ``prepared`` is None where it was not wanted.

    ``width`` and ``height`` are those of the whole picture, upright.
    """

    digest: bytes
    prepared: NDArray[Any] | None = None
    width: int | None = None
    height: int | None = None


def prepare_picture(
    pool: DecodePool,
    location: Location,
    encoder: Encoder,
    is_wanted: Callable[[bytes], bool] | None = None,
) -> ReadPicture:
    """What ``encoder.prepare_image`` gives of a picture, from a worker process.

    Args:
        pool: the worker processes.
        location: where the picture's bytes are.
        encoder: one of ours says how it prepares; another prepares here what a worker has decoded.
        is_wanted: asked with the digest of the bytes, before they are decoded.

    Raises:
        ImageError: as :meth:`retrieval.decoding.pool.DecodePool.prepare`.
    """
    preparation = preparation_of(encoder)
    found = pool.prepare(location, preparation or Whole(encoder.image_size), is_wanted)
    array: NDArray[Any] | None = found.array
    if preparation is None and array is not None:
        from PIL import Image  # late: brings Pillow, which the run's process needs for nothing else

        array = encoder.prepare_image(Image.fromarray(array))
    return ReadPicture(found.digest, array, found.width, found.height)


def preparation_of(encoder: Encoder) -> Preparation | None:
    """The rule by which an encoder prepares pictures; None for one that only its own code can apply."""
    found: Preparation | None = getattr(encoder, "preparation", None)
    return found if is_preparation(found) else None
