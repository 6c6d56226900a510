"""TIFF files of several pages: scans, faxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval import file_kinds
from retrieval.errors import ImageError
from retrieval.file_kinds import MOST_PARTS
from retrieval.images.decoders.decoder import Decoder, Opened, Source, Wanted
from retrieval.images.decoders.tiff_structure import is_tiff, main_directories

if TYPE_CHECKING:
    from PIL import Image


def _is_content(data: bytes) -> bool:
    return is_tiff(data) and data[2:4] in (b"*\0", b"\0*", b"+\0", b"\0+")


def _open(source: Source, _: Wanted) -> Opened:
    from retrieval.images.formats import open_image

    image = open_image(source.data)
    if source.part:
        _seek(image, int(source.part.removeprefix("page=")))
    return Opened(image)


def _seek(image: Image.Image, page: int) -> None:
    try:
        image.seek(page - 1)
    except EOFError as error:
        raise ImageError(f"the file has no page {page}") from error


def _parts(source: Source, _: Wanted) -> list[str]:
    """List the pages; the first, which is the file, has no name of its own. Thumbnails and masks are no pages."""
    names = []
    for number, directory in enumerate(main_directories(source.data, 4 * MOST_PARTS), start=1):
        if number == 1 or not directory.is_reduced_or_mask:
            names.append("" if number == 1 else f"page={number}")
        if len(names) > MOST_PARTS:
            break
    return names or [""]


DECODER = Decoder(
    kind=file_kinds.TIFF,
    packages=(),
    distributions=(),
    is_content=_is_content,
    open=_open,
    parts=_parts,
)
