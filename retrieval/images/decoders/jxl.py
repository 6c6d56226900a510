"""JPEG XL (ISO/IEC 18181), by libjxl: its size is read from the header before anything is decoded."""

from __future__ import annotations

from collections.abc import Iterator

from retrieval import file_kinds
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.images.decoders.decoder import Decoder, EmbeddedMetadata, Opened, Source, Wanted, check_size

_CODESTREAM, _CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = ((0, 1), (1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))  # width to height
_BYTES = 48  # of memory, a pixel: libjxl works in floats of several passes
_MOST_BOXES = 4096


def _is_content(data: bytes) -> bool:
    return data.startswith((_CODESTREAM, _CONTAINER))


def _open(source: Source, wanted: Wanted) -> Opened:
    import pillow_jxl
    from PIL import Image

    from retrieval.images.formats import open_image

    size = _size(_codestream(source.data))
    check_size(size, wanted.most_pixels)
    if wanted.memory is not None and (needed := size[0] * size[1] * _BYTES) > wanted.memory:
        raise ImageTooLarge(needed)
    try:
        is_jpeg, info, pixels, profile, _ = pillow_jxl.Decoder(num_threads=1)(source.data)
    except RuntimeError as error:  # whose words are about how libjxl was built
        raise ImageError("damaged or cut short (libjxl cannot decode it)") from error
    if is_jpeg:
        return Opened(open_image(bytes(pixels)))
    image = Image.frombytes(info.mode, (info.width, info.height), bytes(pixels))
    if profile:
        image.info["icc_profile"] = bytes(profile)
    image.format = "JXL"
    return Opened(image, turn=1)  # libjxl has turned it


def _codestream(data: bytes) -> bytes:
    """Give the first bytes of the codestream."""
    if data.startswith(_CODESTREAM):
        return data[:64]
    for kind, body in _boxes(data):
        if kind == b"jxlc":
            return body[:64]
        if kind == b"jxlp":  # in parts, each with its number in front
            return body[4:68]
    raise ImageError("damaged or cut short (no picture is in it)")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the boxes of a container, as far as they are whole."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        size, head = int.from_bytes(data[at : at + 4], "big"), 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if size == 0 else at + size
        if end < at + head:
            return
        yield data[at + 4 : at + 8], data[at + head : min(end, len(data))]
        at = end


def _size(codestream: bytes) -> tuple[int, int]:
    """Read (width, height) from the size header (18181-1, D.2), which holds its numbers bit by bit."""
    bits, at = int.from_bytes(codestream[2:], "little"), 0

    def read(count: int) -> int:
        nonlocal at
        value, at = bits >> at & (1 << count) - 1, at + count
        return value

    def side() -> int:
        return 8 * (1 + read(5)) if is_small else 1 + read((9, 13, 18, 30)[read(2)])

    is_small = bool(read(1))
    height = side()
    width_share, height_share = _RATIOS[read(3)]
    width = height * width_share // height_share if width_share else side()
    return width, height


def _metadata(source: Source) -> EmbeddedMetadata:
    if source.data.startswith(_CODESTREAM):
        return EmbeddedMetadata()
    exif = xmp = b""
    for kind, body in _boxes(source.data):
        if kind == b"Exif" and not exif:
            start = 4 + int.from_bytes(body[:4], "big")  # where the TIFF header is, by the first four bytes
            exif = body[start:] if body[start : start + 2] in (b"II", b"MM") else body
        elif kind == b"xml " and not xmp:
            xmp = body
    return EmbeddedMetadata(exif, xmp)


DECODER = Decoder(
    kind=file_kinds.JXL,
    packages=("pillow_jxl", "packaging"),
    distributions=("pillow-jxl-plugin",),
    is_content=_is_content,
    open=_open,
    metadata=_metadata,
)
