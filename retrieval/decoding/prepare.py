"""Read, hash, decode and prepare one image: pure functions of values that can be pickled, for any process and machine.

:class:`retrieval.decoding.pool.DecodePool` runs them in its limited worker processes. Here nothing bounds time, and
memory is bounded by an estimate alone: untrusted images belong in the pool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.contents import image_digest
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.locations.fetch import read_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.decoding.preparations import Preparation
    from retrieval.types import Attribute, Limits, Location


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """The encoded bytes of an image (JPEG, PNG, ...) and their sha256, which names the content."""

    digest: bytes
    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class PreparedImage:
    """An image as an encoder takes it.

    Attributes:
        digest: sha256 of its encoded bytes.
        array: what the preparation gives, uint8 (an encoder's own preparation may give float32); None where the
            caller did not want it.
        width: of the whole image, upright, in pixels; None where it was not decoded.
        height: likewise.
        metadata: attributes that the file and its sidecars give; None where they were not asked for.
    """

    digest: bytes
    array: NDArray[Any] | None = None
    width: int | None = None
    height: int | None = None
    metadata: Mapping[str, Attribute] | None = None


def prepare(
    location: Location, preparation: Preparation, limits: Limits, memory: int | None = None
) -> PreparedImage:
    """Read, hash, decode and prepare the image at a location.

    Args:
        location: where its bytes are.
        preparation: what it becomes.
        limits: what is accepted of it.
        memory: bytes that decoding may take, by an estimate from the header; unlimited by default.

    Raises:
        ImageTooLarge: decoding would take more than ``memory``.
        ImageError: with the reason, in one clause.
    """
    return prepare_encoded(read_encoded(location, limits), preparation, limits, memory)


def read_encoded(location: Location, limits: Limits) -> EncodedImage:
    """Read the bytes of an image and hash them; decode nothing.

    Raises:
        ImageError: as :func:`retrieval.locations.fetch.read_bytes`.
    """
    data = read_bytes(location, limits)
    return EncodedImage(image_digest(data), data)


def prepare_encoded(
    encoded: EncodedImage, preparation: Preparation, limits: Limits, memory: int | None = None
) -> PreparedImage:
    """Decode and prepare an image that has been read; arguments and errors as in :func:`prepare`."""
    from retrieval.images import decode_whole  # late: brings Pillow, which only a decoding process needs

    try:
        decoded = decode_whole(encoded.data, limits, preparation.short_side, memory)
        array = preparation.prepare(decoded.image)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(None) from error
    # raised by a preparation that cannot handle the image's shape
    except Exception as error:
        raise ImageError(f"cannot be prepared ({error})") from error
    return PreparedImage(encoded.digest, array, decoded.width, decoded.height)
