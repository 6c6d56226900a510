"""Find, read, decode and prepare the image that a part of a query names, as indexing does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.contents import image_digest, part_digest
from retrieval.decoding.preparations import Fit
from retrieval.encoders.base import encode_asked_image
from retrieval.encoders.preparing import prepare_for_encoder
from retrieval.errors import ImageError, QueryError
from retrieval.file_kinds import is_opened_in_place
from retrieval.locations.named import locate
from retrieval.types import FileBytes, InlineBytes, Limits, Location, PartBytes, part_of
from retrieval.uris import display

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.decoding.pool import DecodePool
    from retrieval.encoders.base import Encoder
    from retrieval.query.parts import Crop


def read_source(source: Path | str | bytes, limits: Limits) -> InlineBytes | PartBytes:
    """Read the encoded bytes (JPEG, PNG, ...) of an image; of one of several in a file, those of the file.

    What is in a file that only its decoder reads, such as a frame of a video, is given by its place.

    Raises:
        QueryError: the image does not exist or cannot be read.
    """
    location = locate(source)
    if isinstance(location, FileBytes | PartBytes) and is_opened_in_place(location.path.name):
        return location if isinstance(location, PartBytes) else PartBytes(location.path, "")
    from retrieval.locations.fetch import read_bytes  # late: queries of words do not need it

    try:
        data = read_bytes(location, limits)
    except ImageError as error:
        raise _refusal(source, error) from error
    return InlineBytes(data, part_of(location))


def content_of(found: InlineBytes | PartBytes, source: Path | str | bytes, pool: DecodePool) -> bytes:
    """Give the sha256 that names the content of an image that was read; ``source`` names it in errors.

    Raises:
        QueryError: it cannot be found out.
    """
    if isinstance(found, InlineBytes):
        return part_digest(image_digest(found.data), found.part)
    try:
        return pool.prepare(found, Fit(1), lambda _: False).digest
    except ImageError as error:
        raise _refusal(source, error) from error


def encode_source(
    found: InlineBytes | PartBytes,
    source: Path | str | bytes,
    encoder: Encoder,
    pool: DecodePool,
    crop: Crop | None = None,
) -> NDArray[np.float32]:
    """Encode an image that was read, or a part of it, to a vector, (d,) float32.

    The image is encoded alone, because the batch size changes the last bits of the rows.

    Args:
        found: the image as it was read.
        source: names it in errors.
        encoder: of the collection.
        pool: decodes it.
        crop: the part.

    Raises:
        QueryError: it cannot be decoded, or does not have that part.
    """
    try:
        shares = None if crop is None else _in_shares(crop, found, source, pool)
        array = prepare_for_encoder(pool, found, encoder, crop=shares).array
    except ImageError as error:
        raise _refusal(source, error) from error
    assert array is not None, "every image is wanted"
    return encode_asked_image(encoder, array)


def crop_in_shares(crop: Crop, width: int, height: int, name: str) -> Crop:
    """Give a crop in shares of an upright image of a size in pixels.

    Raises:
        QueryError: it reaches beyond the image.
    """
    if max(crop) <= 1:
        return crop
    left, top, across, down = crop
    if left + across > width or top + down > height:
        written = ",".join(f"{number:g}" for number in crop)
        raise QueryError(f"the part {written} reaches beyond {name}, which has {width}x{height} pixels")
    return left / width, top / height, across / width, down / height


def _in_shares(crop: Crop, location: Location, source: Path | str | bytes, pool: DecodePool) -> Crop:
    if max(crop) <= 1:
        return crop
    found = pool.prepare(
        location, Fit(1)
    )  # a decoder's work for the size, which a picture that is scaled hides
    assert found.width, "it was decoded"
    assert found.height, "it was decoded"
    return crop_in_shares(crop, found.width, found.height, _name(source))


def _refusal(source: Path | str | bytes, error: ImageError) -> QueryError:
    return QueryError(f"cannot search for {_name(source)}: {error}; choose another picture")


def _name(source: Path | str | bytes) -> str:
    if isinstance(source, bytes):
        return "the picture given as bytes"
    return str(source) if isinstance(source, Path) else display(source)
