"""What the other kinds of files cost: raw files, videos, documents; and what metadata cost.

    python -m benchmarks.indexing.kinds

Everything is made first: a DNG of 24 megapixels with and without a picture inside, ten minutes of 1080p video with a
key frame every five seconds and one every second, a PDF of texts and two of scanned pages. Opened as workers do, in
this process, for a tower of 256 pixels. Medians of wall-clock seconds; the demosaicing is LibRaw's own, at full size.
Metadata are those of a camera in a JPEG's EXIF, and with them what Lightroom writes into the file, digiKam's sidecar
and Takeout's beside it. Rewrites kinds.md.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import rawpy
from PIL import Image

from benchmarks.provenance import markdown_table, provenance, write_table
from retrieval.images.decoders.decoder import Source, Wanted
from retrieval.images.decoders.table import list_parts, open_source
from retrieval.metadata.read import Sidecar, read_metadata
from tests.pdf_files import pdf
from tests.raw_files import dng
from tests.sidecar_files import DIGIKAM, LIGHTROOM, takeout
from tests.videos import COLOURS, make_video

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("what", "result", "range", "runs")
WANTED = Wanted(short_side=256, most_pixels=179_000_000, memory=None)


def photograph(width: int, height: int) -> Image.Image:
    """Draw something as smooth and as noisy as a photograph."""
    random = np.random.default_rng(0)
    coarse = Image.fromarray(random.integers(0, 256, (24, 36, 3), np.uint8)).resize((width, height))
    noise = random.integers(-6, 7, (height, width, 1))
    return Image.fromarray(np.clip(np.asarray(coarse, np.int16) + noise, 0, 255).astype(np.uint8))


def seconds(turn: Callable[[], object], runs: int) -> list[float]:
    """Measure the seconds of a turn, so many times."""
    found = []
    for _ in range(runs):
        started = time.perf_counter()
        turn()
        found.append(time.perf_counter() - started)
    return found


def load(data: bytes, part: str = "", path: Path | None = None) -> None:
    """Open a picture and load its pixels, reduced as far as its decoder does."""
    opened = open_source(Source(data, part, path), WANTED).image
    opened.draft("RGB", (512, 512))
    opened.load()


def row(name: str, found: list[float], per: float = 1.0, unit: str = "s") -> tuple[str, ...]:
    """Make a row of the table; ``per`` turns seconds into the unit, or is the number of pages with ``unit`` "/s"."""
    values = sorted(per / one if unit == "/s" else one * per for one in found)
    some = (values[0], statistics.median(values), values[-1])
    low, middle, high = (f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in some)
    return (name, f"{middle} {unit}", f"{low} to {high}", str(len(values)))


def raw_rows(runs: int) -> list[tuple[str, ...]]:
    """Measure a raw file of 24 megapixels: the picture inside, half size, and LibRaw's demosaicing."""
    whole = photograph(6000, 4000)
    with_preview, without = dng(whole, whole), dng(whole)

    def demosaiced() -> None:
        with rawpy.RawPy() as raw:
            raw.open_buffer(io.BytesIO(with_preview))
            raw.postprocess(use_camera_wb=True)

    preview = seconds(lambda: load(with_preview), runs)
    full = seconds(demosaiced, runs)
    ratio = statistics.median(full) / statistics.median(preview)
    return [
        row("raw, the picture inside", preview),
        row("raw, half size where there is none", seconds(lambda: load(without), runs)),
        row("raw, demosaiced", full),
        ("raw, demosaiced against the picture inside", f"{ratio:.1f}x", "", ""),
    ]


def video_rows(folder: Path, runs: int) -> list[tuple[str, ...]]:
    """Measure ten minutes of 1080p: listing moments, and decoding all that were listed."""
    rows = []
    for every in (5.0, 1.0):
        scenes = [COLOURS[number % len(COLOURS)] for number in range(60)]
        path = make_video(folder / f"{every:g}.mp4", scenes, key_every=every, size=(1920, 1080))
        head = path.read_bytes()[:4096]
        moments = list_parts(Source(head, "", path), WANTED)
        name = f"video, ten minutes of 1080p, a key frame every {every:g} s, {len(moments)} moments taken"

        def all_moments(head: bytes = head, path: Path = path) -> None:
            for moment in list_parts(Source(head, "", path), WANTED):
                load(head, moment, path)

        rows.append(row(f"{name}: listed", seconds(lambda: list_parts(Source(head, "", path), WANTED), runs)))  # noqa: B023
        rows.append(row(f"{name}: listed and decoded", seconds(all_moments, runs)))
    return rows


def document_rows(runs: int, pages: int = 40) -> list[tuple[str, ...]]:
    """Measure pages a second of documents."""
    rows = []
    scans = {
        f"scans of {dots} dots an inch": photograph(int(8.3 * dots), int(11.7 * dots)) for dots in (150, 300)
    }
    documents = {"text": pdf("What is written on a page. " * 20, pages)}
    for name, scan in scans.items():
        written = io.BytesIO()
        scan.save(written, "PDF", save_all=True, append_images=[scan] * (pages - 1))
        documents[name] = written.getvalue()
    for name, data in documents.items():
        parts = list_parts(Source(data), WANTED)
        assert len(parts) == pages, name

        def all_pages(data: bytes = data, parts: Sequence[str] = parts) -> None:
            for part in parts:
                load(data, part)

        found = seconds(all_pages, runs)
        rows.append(row(f"PDF, {name}", found, pages, "/s"))
    return rows


def metadata_rows(runs: int, times: int = 200) -> list[tuple[str, ...]]:
    """Measure the milliseconds of a picture's metadata, read apart from its pixels."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E] = "Canon", "Canon EOS R5", "A jetty"
    exif.get_ifd(0x8769).update(
        {0x9003: "2022:07:30 17:45:31", 0x9011: "+02:00", 0x829D: 2.8, 0x829A: 0.004, 0x8827: 100}
        | {0x920A: 50.0, 0xA434: "RF50mm F1.2 L USM"}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (46.0, 37.0, 12.0), 3: "E", 4: (14.0, 18.0, 36.0)})
    image = photograph(640, 480)

    def written(**options: bytes) -> bytes:
        file = io.BytesIO()
        image.save(file, "JPEG", exif=exif, **options)
        return file.getvalue()

    all_kinds = [
        Sidecar("a.jpg.xmp", DIGIKAM),
        Sidecar("a.jpg.json", takeout("a.jpg", "A jetty in the evening")),
    ]
    rows = []
    for name, data, beside in (
        ("EXIF", written(), ()),
        ("EXIF, XMP inside, two sidecars", written(xmp=LIGHTROOM), all_kinds),
    ):
        assert read_metadata(data, "a.jpg", beside)["camera"] == "Canon EOS R5"

        def each(data: bytes = data, beside: Sequence[Sidecar] = beside) -> None:
            for _ in range(times):
                read_metadata(data, "a.jpg", beside)

        rows.append(row(f"metadata of a picture, {name}", seconds(each, runs), 1000 / times, "ms"))
    return rows


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = [*raw_rows(args.runs), *video_rows(Path(name), args.runs), *document_rows(args.runs)]
    rows += metadata_rows(args.runs)
    head = provenance("python -m benchmarks.indexing.kinds", packages=("pillow", "rawpy", "av", "pypdfium2"))
    write_table(TABLE, ["# Other kinds of files", "", *head, "", *markdown_table(HEAD, rows)])


if __name__ == "__main__":
    main()
