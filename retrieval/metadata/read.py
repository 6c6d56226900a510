"""All that is known of an image beside its pixels: from its own bytes, from the files beside it, from its name."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from retrieval.json_files import read_regular
from retrieval.metadata.attributes import merged, tidied
from retrieval.metadata.exif import read_exif
from retrieval.metadata.file_names import taken_from_name
from retrieval.metadata.iptc import read_iptc
from retrieval.metadata.sidecars import Described
from retrieval.metadata.takeout import read_takeout
from retrieval.metadata.xmp import MOST_BYTES, read_xmp

if TYPE_CHECKING:
    from PIL import Image

    from retrieval.images.decoders.decoder import Source
    from retrieval.types import Attribute

_Source = TypeVar("_Source")

MOST_EXIF_BYTES = 2**20  # cameras write 64 kB; Pillow takes seconds for tens of megabytes


class Sidecar(NamedTuple):
    """A file beside an image: its name and bytes."""

    name: str
    data: bytes


def read_described(source: Source, described: Described) -> dict[str, Attribute]:
    """Read the attributes of an image as :func:`read_metadata` does, its sidecars from their files.

    A sidecar that cannot be read, or is larger than any program writes, is left out.
    """
    sidecars = []
    for path in described.sidecars:
        assert isinstance(path, Path), "objects are fetched before a worker is asked"
        with contextlib.suppress(OSError, ValueError):
            sidecars.append(Sidecar(path.name, read_regular(path, MOST_BYTES)))
    return _read_metadata(source, described.name, sidecars)


def read_page_text(source: Source) -> tuple[str, str] | None:
    """Read the text of a document's page, and what has read it; None where the file holds no texts of pages.

    A page whose text cannot be read has an empty one.
    """
    from retrieval.images.decoders.table import document_text

    try:
        found = document_text(source)
    except MemoryError:
        raise
    except Exception:  # decoders raise anything on hostile bytes, and decoding will say so
        return None
    return None if found is None else (found.text, found.maker)


def read_metadata(data: bytes, name: str = "", sidecars: Iterable[Sidecar] = ()) -> dict[str, Attribute]:
    """Read the attributes of an image; what is broken is left out.

    A person's words count more than a camera's, and what stands beside the file more than what stands in it: XMP
    sidecars, then the file's own XMP, IPTC and EXIF, then Takeout's JSON; the name comes last, for the date alone.

    Args:
        data: the encoded image.
        name: of its file, for the date that may be in it.
        sidecars: files beside it that describe it.
    """
    from retrieval.images.decoders.decoder import Source

    return _read_metadata(Source(data), name, list(sidecars))


def _read_metadata(source: Source, name: str, beside: Sequence[Sidecar]) -> dict[str, Attribute]:
    xmp = [_tidy(read_xmp, one.data) for one in beside if one.name.lower().endswith(".xmp")]
    json = [_tidy(read_takeout, one.data) for one in beside if one.name.lower().endswith(".json")]
    taken = taken_from_name(name)
    return merged([*xmp, *_embedded(source), *json, tidied({"taken": taken} if taken else {})])


def _embedded(source: Source) -> list[dict[str, Attribute]]:
    from retrieval.images.decoders.table import embedded_metadata
    from retrieval.images.formats import open_image

    found = []
    with contextlib.suppress(Exception):  # decoders raise anything on hostile bytes
        said = embedded_metadata(source)
        if said is not None:
            found.append(tidied(said.values))
            found.append(_tidy(read_xmp, said.xmp) if said.xmp else {})
            found.append(_tidy(_read_loose_exif, said.exif) if said.exif else {})
            return found
    with (
        contextlib.suppress(Exception),
        open_image(source.data) as image,
    ):  # Pillow raises anything on hostile bytes
        packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp")
        if packet:
            found.append(_tidy(read_xmp, packet.encode() if isinstance(packet, str) else packet))
        if "photoshop" in image.info:
            found.append(_tidy(_read_iptc, image))
        exif = image.info.get("exif", b"")
        if len(exif) <= MOST_EXIF_BYTES:
            found.append(_tidy(_read_exif, image))
    return found


def _read_exif(image: Image.Image) -> dict[str, object]:
    return read_exif(image.getexif())


def _read_loose_exif(data: bytes) -> dict[str, object]:
    from PIL import Image

    exif = Image.Exif()
    exif.load(data)
    return read_exif(exif)


def _read_iptc(image: Image.Image) -> dict[str, object]:
    from PIL.ImageFile import ImageFile
    from PIL.IptcImagePlugin import getiptcinfo

    return read_iptc(getiptcinfo(image) or {}) if isinstance(image, ImageFile) else {}


def _tidy(read: Callable[[_Source], Mapping[str, object]], source: _Source) -> dict[str, Attribute]:
    try:
        return tidied(read(source))
    except Exception:  # parsers of other libraries raise anything on hostile bytes
        return {}
