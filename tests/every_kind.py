"""A folder of every kind of file that is indexed: ``python -m tests.every_kind`` prints a table, kind by kind."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

import indexer
from retrieval.collection import Collection
from retrieval.types import Attribute, Item
from tests.builders import HashEncoder, uris
from tests.pdf_files import pdf
from tests.raw_files import dng
from tests.sidecar_files import DIGIKAM, LIGHTROOM, takeout
from tests.videos import COLOURS, make_video

Files = dict[str, bytes]

_SIZE = (64, 48)
_CUT = "a photograph whose name is rather long.jpg"
_QUICKTIME = "com.apple.quicktime."
_TELEPHONE = {
    f"{_QUICKTIME}creationdate": "2023-05-06T07:08:09+0200", f"{_QUICKTIME}make": "Testcam",
    f"{_QUICKTIME}model": "Testcam One", f"{_QUICKTIME}location.ISO6709": "+48.2000+016.3700+170.000/",
    f"{_QUICKTIME}title": "A walk",
}  # fmt: skip
_TAGS = {"title": "A walk", "artist": "Ann", "comment": "by the sea"}


def kinds() -> dict[str, Files]:
    """Make the files of each kind, by their names: each picture has other pixels."""
    return {
        **_still_pictures(),
        **_several_pictures(),
        **_raw(),
        **_videos(),
        **_live_photos(),
        **_described(),
    }


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file of all kinds."""
    for made in kinds().values():
        yield from made.items()


def _still_pictures() -> dict[str, Files]:
    import pillow_heif
    import pillow_jxl  # noqa: F401  registers itself

    exif = _exif()
    heic = io.BytesIO()
    pillow_heif.from_pillow(_noise(20)).save(heic, exif=exif)
    return {
        "JPEG": {"a.jpg": _encoded(1, "JPEG", exif=exif)},
        "PNG": {"a.png": _encoded(2, "PNG", exif=exif)},
        "WebP": {"a.webp": _encoded(3, "WEBP", exif=exif)},
        "AVIF": {"a.avif": _encoded(4, "AVIF", exif=exif)},
        "HEIC": {"a.heic": heic.getvalue()},
        "JPEG XL": {"a.jxl": _encoded(5, "JXL", exif=exif, use_container=True)},
        "TIFF": {"one.tif": _encoded(6, "TIFF", exif=exif)},
        "GIF": {"a.gif": _encoded(7, "GIF")},
        "BMP": {"a.bmp": _encoded(8, "BMP")},
        "JPEG with XMP inside": {"inside.jpg": _encoded(9, "JPEG", xmp=LIGHTROOM)},
    }


def _several_pictures() -> dict[str, Files]:
    made = time.gmtime(1_683_356_889)
    about = {
        "creationDate": made,
        "title": "Scans",
        "author": "Ann",
        "keywords": "letters, maps",
        "subject": "from the attic",
    }
    return {
        "MPO": {"a.mpo": _encoded(10, "MPO", exif=_exif(), **_two_more(90))},
        "TIFF of three pages": {"pages.tif": _encoded(11, "TIFF", exif=_exif(), **_two_more(92))},
        "PDF of scans": {"scan.pdf": _encoded(12, "PDF", **_two_more(94), **about)},
        "PDF of text": {"text.pdf": pdf("Words on a page", 3)},
    }


def _raw() -> dict[str, Files]:
    return {
        "RAW with a preview": {"preview.dng": dng(_noise(21), _noise(22))},
        "RAW without": {"sensor.dng": dng(_noise(23))},
        "RAW and its JPEG": {"pair.dng": dng(_noise(24)), "pair.jpg": _encoded(25, "JPEG", exif=_exif())},
    }


def _videos() -> dict[str, Files]:
    keys = {"movflags": "use_metadata_tags"}
    written = {"creation_time": "2023-05-06T05:08:09Z", **_TAGS}
    return {
        "MP4 video": {"clip.mp4": _video("clip.mp4", 1, written)},
        "MOV video": {"clip.mov": _video("clip.mov", 2, _TELEPHONE, keys)},
        "MKV video": {"clip.mkv": _video("clip.mkv", 3, written)},
        "WebM video": {"clip.webm": _video("clip.webm", 4, written)},
        "AVI video": {"clip.avi": _video("clip.avi", 5, {"date": "2023-05-06", **_TAGS})},
    }


def _live_photos() -> dict[str, Files]:
    import pillow_heif

    heic = io.BytesIO()
    pillow_heif.from_pillow(_noise(30)).save(heic, exif=_exif())
    return {
        "Live Photo, HEIC and MOV": {
            "IMG_0001.HEIC": heic.getvalue(), "IMG_0001.MOV": _video("a.mov", 6, _TELEPHONE)
        },
        "Live Photo, JPEG and MOV": {
            "IMG_0002.JPG": _encoded(31, "JPEG", exif=_exif()), "IMG_0002.MOV": _video("a.mov", 7, _TELEPHONE)
        },
    }  # fmt: skip


def _described() -> dict[str, Files]:
    long = f"{_CUT}.supplemental-metadata"[:46] + ".json"
    return {
        "XMP beside it, x.jpg.xmp of digiKam": {
            "digikam.jpg": _encoded(40, "JPEG"), "digikam.jpg.xmp": DIGIKAM
        },
        "XMP beside it, x.xmp of Lightroom": {"lightroom.dng": dng(_noise(41)), "lightroom.xmp": LIGHTROOM},
        "Takeout, x.jpg.json": {
            "takeout.jpg": _encoded(42, "JPEG"), "takeout.jpg.json": takeout("takeout.jpg", "在海边")
        },
        "Takeout, x.jpg.supplemental-metadata.json": {
            "newer.jpg": _encoded(43, "JPEG"),
            "newer.jpg.supplemental-metadata.json": takeout("newer.jpg", "by the sea"),
        },
        "Takeout, a name that is cut": {_CUT: _encoded(44, "JPEG"), long: takeout(_CUT, "long")},
        "name of a camera": {"IMG_20210412_153012.jpg": _encoded(45, "JPEG")},
        "name of a Pixel": {"PXL_20210412_153012345.jpg": _encoded(46, "JPEG")},
        "names of WhatsApp": {
            "IMG-20210412-WA0003.jpg": _encoded(47, "JPEG"),
            "WhatsApp Image 2021-04-12 at 15.30.12.jpeg": _encoded(48, "JPEG"),
        },
    }  # fmt: skip


def _noise(seed: int) -> Image.Image:
    width, height = _SIZE
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def _encoded(seed: int, format_: str, **settings: object) -> bytes:
    file = io.BytesIO()
    _noise(seed).save(file, format_, **settings)
    return file.getvalue()


def _two_more(seed: int) -> dict[str, object]:
    return {"save_all": True, "append_images": [_noise(seed), _noise(seed + 1)]}


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E], exif[0x013B] = "Testcam", "Testcam One", "A jetty", "Ann"
    exif.get_ifd(0x8769).update({
        0x9003: "2023:05:06 07:08:09", 0x9011: "+02:00", 0x829A: 0.004, 0x829D: 2.8, 0x8827: 400, 0x920A: 50.0,
        0xA434: "Testlens 50",
    })  # fmt: skip
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 12.0, 0.0), 3: "E", 4: (16.0, 22.0, 12.0), 6: 170.0})
    return exif.tobytes()


def _video(
    name: str, seed: int, metadata: Mapping[str, str], options: Mapping[str, str] | None = None
) -> bytes:
    """Make a video of two scenes, whose second has a colour of its own."""
    own = (40 * seed % 256, 255 - 30 * seed % 256, 90)
    with tempfile.TemporaryDirectory() as place:
        path = make_video(Path(place, name), (COLOURS[0], own), metadata=metadata, options=options)
        return path.read_bytes()


@dataclass
class Row:
    """What became of the files of one kind."""

    files: list[str]
    items: dict[str, Mapping[str, Attribute]] = field(default_factory=dict)
    texts: int = 0


def table(place: Path) -> tuple[dict[str, Row], indexer.Report]:
    """Write the files into the folder ``every kind`` of a place, index it, and list what came of each kind."""
    folder = place / "every kind"
    folder.mkdir()
    rows: dict[str, Row] = {}
    kind_of: dict[str, str] = {}
    for kind, made in kinds().items():
        rows[kind] = Row(list(made))
        for name, data in made.items():
            (folder / name).write_bytes(data)
            kind_of[name] = kind
    report = indexer.build(folder, place / "collection", model=HashEncoder())
    for name, item in sorted(_items(place / "collection").items()):
        row = rows[kind_of[name.partition("#")[0]]]
        row.items[name] = item.attributes
        row.texts += sum(text.origin == "page" for text in item.texts)
    return rows, report


def _items(collection: Path) -> dict[str, Item]:
    names = {id: unquote(name) for name, id in uris(collection).items()}
    with Collection.open(collection) as opened:
        return {names[item.id]: item for item in opened.items(list(names))}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as place:
        rows, report = table(Path(place))
    print("| kind | files | items | with a text of a page | attributes |")
    print("|---|--:|--:|--:|---|")
    for kind, row in rows.items():
        said = ", ".join(sorted({name for attributes in row.items.values() for name in attributes}))
        print(f"| {kind} | {len(row.files)} | {len(row.items)} | {row.texts} | {said} |")
    print(f"{report.images} items, {report.failed} failed, left out: {dict(report.left_out)}")


if __name__ == "__main__":
    main()
