"""Raw camera files, by LibRaw: the full-size picture that the camera has put inside, else the sensor's at half size."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from retrieval import file_kinds
from retrieval.errors import ImageError, ImageTooLarge
from retrieval.images.decoders.decoder import Decoder, EmbeddedMetadata, Opened, Source, Wanted, check_size
from retrieval.images.decoders.tiff_structure import PHOTOMETRIC, all_directories, is_tiff

if TYPE_CHECKING:
    import rawpy
    from PIL import Image

_OWN_STARTS = (b"IIU\0", b"IIRO", b"IIRS", b"MMOR", b"FUJIFILMCCD-RAW", b"FOVb", b"\0MRM")
_SENSOR, _DNG_VERSION, _XMP = 32803, 50706, 700
_MOST_DIRECTORIES = 32
_EXIF_BYTES = 2**20  # what stands in front of the pixels
_FUJI_JPEG = 84  # where a RAF says the place and the length of its JPEG
_PREVIEW_SIDE = 1024  # pixels that a preview must have at least, where nothing smaller is asked for
_SENSOR_BYTES = (
    10  # of memory, a pixel of the sensor: its values, half as many to each side in colour, the result
)
_TURNS = {0: 1, 3: 3, 5: 8, 6: 6}  # LibRaw's numbers of a turn, as EXIF's


def _is_content(data: bytes) -> bool:
    if data.startswith(_OWN_STARTS) or data[6:14] == b"HEAPCCDR" or data[4:12] == b"ftypcrx ":
        return True
    if not is_tiff(data):
        return False
    if data[8:10] == b"CR":  # Canon's CR2
        return True
    return any(
        _DNG_VERSION in directory.tags or directory.first(PHOTOMETRIC) == _SENSOR
        for directory in all_directories(data, _MOST_DIRECTORIES)
    )


def _open(source: Source, wanted: Wanted) -> Opened:
    import rawpy

    try:
        with rawpy.RawPy() as raw:
            raw.open_buffer(io.BytesIO(source.data))
            size = raw.sizes.width, raw.sizes.height
            check_size(size, wanted.most_pixels)
            turn = _TURNS.get(raw.sizes.flip, 1)
            preview = _preview(raw)
            needed = min(wanted.short_side or _PREVIEW_SIDE, min(size) // 2)
            if preview is None or min(preview.size) < needed:
                preview = _developed(raw, wanted.memory)
            is_turned = preview.size[0] < preview.size[1] and size[0] > size[1] and turn in (6, 8)
            return Opened(preview, size[::-1] if is_turned else size, 1 if is_turned else turn)
    except rawpy.LibRawError as error:
        raise ImageError(f"damaged, or of a camera that is not known ({_said(error)})") from error


def _said(error: Exception) -> str:
    said = error.args[-1] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def _preview(raw: rawpy.RawPy) -> Image.Image | None:
    """Open the largest picture inside; None where there is none that can be opened."""
    import rawpy
    from PIL import Image

    from retrieval.images.formats import open_image

    try:
        found = raw.extract_thumb()
        if found.format == rawpy.ThumbFormat.JPEG:
            return open_image(found.data)
        if found.format == rawpy.ThumbFormat.BITMAP:
            return Image.fromarray(found.data)
    except MemoryError:
        raise
    except (
        Exception
    ):  # Pillow and LibRaw raise anything on a broken preview, and the sensor's picture may be sound
        return None
    return None


def _developed(raw: rawpy.RawPy, memory: int | None) -> Image.Image:
    """Make a picture of the sensor's values, at half size, which needs no demosaicing."""
    from PIL import Image

    needed = raw.sizes.raw_width * raw.sizes.raw_height * _SENSOR_BYTES
    if memory is not None and needed > memory:
        raise ImageTooLarge(needed)
    return Image.fromarray(raw.postprocess(half_size=True, use_camera_wb=True, user_flip=0, output_bps=8))


def _metadata(source: Source) -> EmbeddedMetadata:
    """Read EXIF where it stands as in a TIFF or a JPEG; else what LibRaw says of the exposure."""
    data = source.data
    if is_tiff(data):  # but for the version, of some cameras
        version = b"*\0" if data[:2] == b"II" else b"\0*"
        exif = data[:2] + version + data[4:_EXIF_BYTES]
        return EmbeddedMetadata(exif, _xmp(exif))
    if data.startswith(b"FUJIFILMCCD-RAW"):
        at = int.from_bytes(data[_FUJI_JPEG : _FUJI_JPEG + 4], "big")
        return EmbeddedMetadata(exif=_exif_of_jpeg(data[at : at + _EXIF_BYTES]))
    return EmbeddedMetadata(values=_said_by_libraw(data))


def _xmp(exif: bytes) -> bytes:
    from PIL import Image

    loaded = Image.Exif()
    loaded.load(exif)
    packet = loaded.get(_XMP, b"")
    return packet if isinstance(packet, bytes) else b""


def _exif_of_jpeg(data: bytes) -> bytes:
    from retrieval.images.formats import open_image

    with open_image(data) as image:
        exif = image.info.get("exif", b"")
        return exif if isinstance(exif, bytes) else b""


def _said_by_libraw(data: bytes) -> dict[str, object]:
    import rawpy

    with rawpy.RawPy() as raw:
        raw.open_buffer(io.BytesIO(data))
        said, lens = raw.other, raw.lens
        found: dict[str, object] = {
            "taken": said.timestamp.isoformat() if said.timestamp else None,
            "lens": lens.model,
            "focal_length": said.focal_length,
            "aperture": said.aperture,
            "exposure": said.shutter_speed,
            "iso": said.iso_speed,
            "creator": said.artist,
        }
        return {name: value for name, value in found.items() if value}


DECODER = Decoder(
    kind=file_kinds.RAW,
    packages=("rawpy",),
    distributions=("rawpy",),
    is_content=_is_content,
    open=_open,
    metadata=_metadata,
)
