"""Mutated pictures through the real command line: ``python -m tests.fuzz.pictures COUNT SEED [KIND]``.

KIND is ``raw``, ``jxl``, ``pdf`` or ``tiff``; by default, all that Pillow reads.

Whatever a folder holds, indexing it prints no traceback, does not hang, leaves no process and keeps to its budget of
memory; each file is an image, several, or a failure with its reason, and the run after it encodes nothing.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import numpy as np
from PIL import Image

from retrieval.catalogue_name import CATALOGUE
from tests.command_line import save_tiny_model
from tests.fuzz import harness, stills

FOLDERS = 6
BUDGET = 2**30  # bytes, of --max-memory
MODEL_BYTES = 2**30  # of the process that runs the model: torch and transformers, mostly
DEADLINE_S = 900.0

_EXIF = Image.Exif()
_EXIF[0x0112] = 6


def _encode(image: Image.Image, format_: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.copy().save(
        buffer, format_, **settings
    )  # a copy: Pillow keeps some settings in the picture that it saved
    return buffer.getvalue()


def sound_pictures() -> dict[str, bytes]:
    """A file of every kind that is read, by a name that says which."""
    import pillow_heif

    noise = np.random.default_rng(7).integers(0, 256, (48, 64, 3), np.uint8)
    rgb = Image.fromarray(noise)
    deep = Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    heic = io.BytesIO()
    pillow_heif.from_pillow(rgb).save(heic)

    def frames(format_: str) -> bytes:
        return _encode(rgb, format_, save_all=True, append_images=[rgb.rotate(90), rgb.rotate(180)])

    return {
        "plain.jpg": _encode(rgb, "JPEG"),
        "progressive.jpg": _encode(rgb, "JPEG", progressive=True, exif=_EXIF),
        "cmyk.jpg": _encode(rgb.convert("CMYK"), "JPEG"),
        "grey.jpg": _encode(rgb.convert("L"), "JPEG"),
        "two.mpo": frames("MPO"),
        "rgb.png": _encode(rgb, "PNG"),
        "rgba.png": _encode(rgb.convert("RGBA"), "PNG"),
        "deep.png": _encode(deep, "PNG"),
        "palette.png": _encode(rgb.convert("P"), "PNG", transparency=bytes(range(256))),
        "bit.png": _encode(rgb.convert("1"), "PNG"),
        "frames.png": frames("PNG"),
        "plain.webp": _encode(rgb, "WEBP"),
        "lossless.webp": _encode(rgb.convert("RGBA"), "WEBP", lossless=True),
        "frames.webp": frames("WEBP"),
        "plain.gif": _encode(rgb.convert("P"), "GIF"),
        "frames.gif": frames("GIF"),
        "plain.bmp": _encode(rgb, "BMP"),
        "palette.bmp": _encode(rgb.convert("P"), "BMP"),
        "plain.tiff": _encode(rgb, "TIFF"),
        "lzw.tiff": _encode(rgb, "TIFF", compression="tiff_lzw"),
        "jpeg.tiff": _encode(rgb, "TIFF", compression="jpeg"),
        "deflate.tiff": _encode(rgb.convert("RGBA"), "TIFF", compression="tiff_deflate"),
        "deep.tiff": _encode(deep, "TIFF"),
        "wide.tiff": _encode(deep.convert("I"), "TIFF"),
        "float.tiff": _encode(Image.fromarray(noise[..., 0].astype(np.float32)), "TIFF"),
        "turned.tiff": _encode(rgb, "TIFF", exif=_EXIF),
        "cmyk.tiff": _encode(rgb.convert("CMYK"), "TIFF"),
        "pages.tiff": frames("TIFF"),
        "plain.avif": _encode(rgb, "AVIF"),
        "plain.heic": heic.getvalue(),
    }


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 2, 8, 64])):
        data[rng.randrange(min(len(data), rng.choice([64, 1024, len(data)])))] ^= 1 << rng.randrange(8)


def set_numbers(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice([1, 1, 3])):
        size = rng.choice([1, 2, 4, 8])
        at = rng.randrange(max(1, min(len(data), rng.choice([64, 512, len(data)])) - size))
        value = rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 60_000, 200_000, rng.getrandbits(64)])
        data[at : at + size] = (value % 256**size).to_bytes(size, rng.choice(["big", "little"]))


def cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def remove(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    del data[at : at + rng.choice([1, 4, 100])]


def repeat(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    part = data[at : at + rng.choice([4, 12, 200])]
    data[at:at] = part * rng.choice([1, 3, 2000])


def blank(data: bytearray, rng: random.Random) -> None:
    at = rng.randrange(len(data))
    size = min(rng.choice([4, 64, 1000]), len(data) - at)
    data[at : at + size] = bytes([rng.choice([0, 255])]) * size


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    flip_bits, flip_bits, set_numbers, set_numbers, set_numbers, cut, remove, repeat, blank,
)  # fmt: skip


def mutated(sound: dict[str, bytes], rng: random.Random) -> tuple[str, bytes]:
    """A picture's name and bytes that something has been done to, or that two pictures were joined to."""
    name = rng.choice(sorted(sound))
    data = bytearray(sound[name])
    if rng.random() < 0.1:
        other = sound[rng.choice(sorted(sound))]
        data = data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if data:
            rng.choice(MUTATIONS)(data, rng)
    return name, bytes(data)


class Peak:
    """The most memory that all descendants of this process held together, looked at twenty times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.bytes = max(self.bytes, sum(map(private_bytes, descendants(os.getpid()))))


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have."""
    found = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                found += [int(child), *descendants(int(child))]
    return found


def private_bytes(pid: int) -> int:
    """Resident memory of a process that is not of a file (shared with whoever maps it, and with a parent's pages)."""
    with suppress(OSError, ValueError):
        fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE")
    return 0


def run_folder(folder: Path, files: int, model: Path, tally: harness.Tally) -> None:
    """Index a folder twice and hold the counts against the files."""
    collection = folder.parent / f"{folder.name}.collection"
    encoded = []
    for _ in range(2):
        arguments = ("index", folder, "--collection", collection, "--model", model, "--json",
                     "--max-memory", f"{BUDGET >> 20}M", "--timeout", "10")  # fmt: skip
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=folder, deadline=DEADLINE_S, memory=16 * 2**30)
        tally.add(folder.name, arguments, outcome, time.monotonic() - started)
        try:
            counts = json.loads(outcome.output.splitlines()[-1])
            left_out = sum(counts.get("left_out", {}).values())
            total = len(files_in(collection)) + left_out
            encoded.append(counts["encoded"])
        except (ValueError, KeyError, IndexError):
            tally.fault("no counts", folder.name, outcome.output)
            return
        if not counts["images"]:
            tally.fault("the sound one is missing", folder.name, outcome.output)
        if total != files:
            tally.fault("wrong counts", folder.name, f"{files} files, {counts}")
        if outcome.code != 0:
            tally.fault("exit code", folder.name, f"{outcome.code}: {outcome.output}")
    if encoded[1]:
        tally.fault("encoded again", folder.name, str(encoded))


def files_in(collection: Path) -> set[str]:
    """Names of the files that the items and failures of a collection are, or are in."""
    with closing(sqlite3.connect(collection / CATALOGUE)) as catalogue:
        rows = catalogue.execute("SELECT uri FROM items UNION SELECT uri FROM failures").fetchall()
    return {uri.partition("#")[0].rpartition("/")[2] for (uri,) in rows}


KINDS: dict[str, Callable[[], dict[str, bytes]]] = {
    "pictures": sound_pictures, "raw": stills.raw_files, "jxl": stills.jxl_files, "pdf": stills.pdf_files,
    "tiff": stills.tiff_files,
}  # fmt: skip


def main(count: int, seed: int, kind: str = "pictures") -> int:
    """Index ``count`` mutated pictures in a handful of folders; the exit code is 1 if anything went wrong."""
    sound, rng = KINDS[kind](), random.Random(seed)
    place = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-"))
    tally = harness.Tally(kind)
    try:
        model = save_tiny_model(place / "model")
        harness.preload()
        with Peak() as peak:
            for number in range(FOLDERS):
                files = count // FOLDERS + (number < count % FOLDERS)
                folder = place / f"folder{number}"
                folder.mkdir()
                for file in range(files):
                    name, data = mutated(sound, rng)
                    (folder / f"{file:05}-{name}").write_bytes(data)
                (folder / "sound.png").write_bytes(sound_pictures()["rgb.png"])
                run_folder(folder, files + 1, model, tally)
                tally.cases += files
        tally.memory = max(tally.memory, peak.bytes)
        if peak.bytes > BUDGET + MODEL_BYTES:
            tally.fault("memory", "all", f"{peak.bytes / 2**20:,.0f} MiB")
        return tally.finish()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
