"""A folder of every kind of still picture, indexed: ``python -m tests.every_kind`` prints a table, kind by kind."""

from __future__ import annotations

import io
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import numpy as np
from PIL import Image

import indexer
from retrieval.collection import Collection
from retrieval.types import Item
from tests.builders import HashEncoder, uris
from tests.pdf_files import pdf
from tests.raw_files import dng

_CAMERA = Image.Exif()
_CAMERA[0x010F], _CAMERA[0x0110], _CAMERA[0x0132] = "Testcam", "Testcam One", "2023:05:06 07:08:09"


def _noise(seed: int, size: tuple[int, int] = (640, 480)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def _encoded(seed: int, format_: str, **settings: object) -> bytes:
    file = io.BytesIO()
    _noise(seed, (64, 48)).save(file, format_, **settings)
    return file.getvalue()


def files() -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each file: the suffix says the kind, and each has other pixels."""
    import pillow_heif
    import pillow_jxl  # noqa: F401  registers itself

    exif = _CAMERA.tobytes()
    pillow: list[tuple[str, str, dict[str, object]]] = [
        ("a.jpg", "JPEG", {"exif": exif}),
        ("a.mpo", "MPO", {"save_all": True, "append_images": [_noise(90, (64, 48))]}),
        ("a.png", "PNG", {"exif": exif}),
        ("a.webp", "WEBP", {"exif": exif}),
        ("a.gif", "GIF", {}),
        ("a.bmp", "BMP", {}),
        ("a.avif", "AVIF", {"exif": exif}),
        ("one.tif", "TIFF", {"exif": exif}),
        ("pages.tif", "TIFF", {"save_all": True, "append_images": [_noise(n, (64, 48)) for n in (91, 92)]}),
        ("a.jxl", "JXL", {"exif": exif, "use_container": True}),
        ("scan.pdf", "PDF", {"save_all": True, "append_images": [_noise(93, (64, 48))]}),
    ]  # fmt: skip
    for number, (name, format_, settings) in enumerate(pillow):
        yield name, _encoded(number, format_, **settings)
    heic = io.BytesIO()
    pillow_heif.from_pillow(_noise(20, (64, 48))).save(heic, exif=exif)
    yield "a.heic", heic.getvalue()
    yield "text.pdf", pdf("Words on a page", 3)
    yield "preview.dng", dng(_noise(21), _noise(22))
    yield "sensor.dng", dng(_noise(23))
    yield "pair.dng", dng(_noise(24))
    yield "pair.jpg", _encoded(25, "JPEG", exif=exif)


@dataclass
class Row:
    """What became of the files of one suffix."""

    files: int = 0
    items: int = 0
    attributes: Counter[str] = field(default_factory=Counter)
    texts: int = 0


def table(place: Path) -> tuple[dict[str, Row], indexer.Report]:
    """Write the files into a folder, index it, and count by suffix."""
    folder = place / "every kind"
    folder.mkdir()
    rows: dict[str, Row] = {}
    for name, data in files():
        (folder / name).write_bytes(data)
        rows.setdefault(Path(name).suffix, Row()).files += 1
    report = indexer.build(folder, place / "collection", model=HashEncoder())
    for name, item in _items(place / "collection").items():
        row = rows[Path(name.partition("#")[0]).suffix]
        row.items += 1
        row.attributes.update(item.attributes.keys())
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
    print("| kind | files | items | with a text of a page | attributes (items that have them) |")
    print("|---|--:|--:|--:|---|")
    for suffix, row in sorted(rows.items()):
        said = ", ".join(f"{name} ({count})" for name, count in sorted(row.attributes.items()))
        print(f"| {suffix} | {row.files} | {row.items} | {row.texts} | {said} |")
    print(f"{report.images} items, {report.failed} failed, left out: {dict(report.left_out)}")


if __name__ == "__main__":
    main()
