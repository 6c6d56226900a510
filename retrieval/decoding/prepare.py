"""Read, hash, decode and prepare one image: pure functions of values that can be pickled, for any process and machine.

:class:`retrieval.decoding.pool.DecodePool` runs them in its limited worker processes. Here nothing bounds time, and
memory is bounded by an estimate alone: untrusted images belong in the pool.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from retrieval.contents import image_digest, part_digest
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.file_kinds import kind_by_name
from retrieval.locations.fetch import read_bytes, read_head
from retrieval.signatures import video_container
from retrieval.types import FileBytes, PartBytes, part_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from retrieval.decoding.preparations import Preparation
    from retrieval.images.decoders.decoder import Source
    from retrieval.types import Attribute, Limits, Location


@dataclass(frozen=True, slots=True, eq=False)
class EncodedImage:
    """An image as it is encoded (JPEG, PNG, ...).

    Attributes:
        digest: the sha256 that names the content; empty until :func:`named` has found it out.
        data: the bytes of the file that it is, or is in; of a kind that is opened in place, the first of them.
        part: which of the file's pictures it is; empty for the first.
        path: of the file, if it is one.
    """

    digest: bytes
    data: bytes
    part: str = ""
    path: Path | None = None


class PageText(NamedTuple):
    """The text of a document's page, which may be empty, and what has read it, with its version."""

    text: str
    maker: str


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
        page_text: the text that the image shows, where its file holds it and metadata were asked for.
    """

    digest: bytes
    array: NDArray[Any] | None = None
    width: int | None = None
    height: int | None = None
    metadata: Mapping[str, Attribute] | None = None
    page_text: PageText | None = None


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
    return prepare_encoded(named(read_encoded(location, limits)), preparation, limits, memory)


def read_encoded(location: Location, limits: Limits) -> EncodedImage:
    """Read the bytes of an image and hash them; decode nothing.

    Raises:
        ImageError: as :func:`retrieval.locations.fetch.read_bytes`.
    """
    part = part_of(location)
    if isinstance(location, FileBytes | PartBytes):
        kind = kind_by_name(location.path.name)
        if kind is not None and kind.is_opened_in_place:
            head = read_head(location.path)
            if video_container(head) is not None:  # else its name is wrong, and its content decides
                return EncodedImage(b"", head, part, location.path)
    data = read_bytes(location, limits)
    return EncodedImage(part_digest(image_digest(data), part), data, part)


def prepare_encoded(
    encoded: EncodedImage, preparation: Preparation, limits: Limits, memory: int | None = None
) -> PreparedImage:
    """Decode and prepare an image that has been read; arguments and errors as in :func:`prepare`."""
    from retrieval.images import decode_whole  # late: brings Pillow, which only a decoding process needs

    try:
        decoded = decode_whole(source_of(encoded), limits, preparation.short_side, memory)
        array = preparation.prepare(decoded.image)
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(None) from error
    # raised by a preparation that cannot handle the image's shape
    except Exception as error:
        raise ImageError(f"cannot be prepared ({error})") from error
    return PreparedImage(encoded.digest, array, decoded.width, decoded.height)


def named(encoded: EncodedImage) -> EncodedImage:
    """Give an image with the digest of its content; that of one in a file opened in place, its decoder computes.

    Raises:
        ImageError: with the reason, in one clause.
    """
    if encoded.digest:
        return encoded
    from retrieval.images.decoders.table import digest_of  # late: brings Pillow

    with _errors_of_decoders():
        return replace(encoded, digest=digest_of(source_of(encoded)))


def list_parts(
    encoded: EncodedImage, limits: Limits, memory: int | None, frames_per_minute: float | None
) -> list[str]:
    """List the names of a file's pictures; the empty one is of the picture that the file's uri names alone.

    Args:
        encoded: the file.
        limits: what is accepted of a picture.
        memory: bytes that decoding may take.
        frames_per_minute: pictures of a video, at most.

    Raises:
        ImageError: with the reason, in one clause.
    """
    from retrieval.images.decoders.decoder import Wanted  # late: brings Pillow
    from retrieval.images.decoders.table import list_parts as listed

    with _errors_of_decoders():
        return list(listed(source_of(encoded), Wanted(None, limits.pixels, memory, frames_per_minute)))


@contextmanager
def _errors_of_decoders() -> Iterator[None]:
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageTooLarge(None) from error
    except Exception as error:  # decoders raise anything at all on hostile bytes
        raise ImageError(f"damaged or cut short ({error})") from error


def source_of(encoded: EncodedImage) -> Source:
    """Give an encoded image as decoders take it."""
    from retrieval.images.decoders.decoder import Source  # late, as above

    return Source(encoded.data, encoded.part, encoded.path)
