"""Mutated metadata through the real command line: ``python -m tests.fuzz.metadata COUNT SEED``.

Pixels are sound; EXIF, XMP or IPTC in the file, or a sidecar beside it, is not. Indexing prints no traceback and does
not hang, every picture is taken, the collection is sound, and the run after it encodes nothing.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import struct
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

import indexer
from tests.command_line import save_tiny_model
from tests.fuzz import harness
from tests.fuzz.pictures import BUDGET, DEADLINE_S, FOLDERS, MUTATIONS, flip_bits, repeat, set_numbers

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
xmlns:exif="http://ns.adobe.com/exif/1.0/" xmp:Rating="4" xmp:Label="Red" exif:GPSLatitude="48,8.2N"
exif:GPSLongitude="11,34.5E" xmp:CreateDate="2021-05-03T12:30:00+02:00">
<dc:title><rdf:Alt><rdf:li xml:lang="x-default">A title</rdf:li></rdf:Alt></dc:title>
<dc:subject><rdf:Bag><rdf:li>dog</rdf:li><rdf:li>雪</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>""".encode()
TAKEOUT = json.dumps({
    "title": "x.jpg", "description": "A longer text", "photoTakenTime": {"timestamp": "1620037800"},
    "geoData": {"latitude": 48.137, "longitude": 11.575, "altitude": 519.0}, "favorited": True,
    "people": [{"name": "Ann"}, {"name": "李"}],
}).encode()  # fmt: skip
ENTITIES = (
    b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;">]>'
)
NASTY = (
    b"\0" * 4,
    b"\xff" * 8,
    b"&c;",
    ENTITIES,
    b"]]>",
    b"<" * 500,
    "雪".encode()[:2],
    b"1e999",
    b"-0",
    b"9" * 400,
)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x010E], exif[0x0112] = "Canon", "Canon EOS R5", "A description", 6
    exif.get_ifd(0x8769).update(
        {0x9003: "2021:05:03 12:30:00", 0x9011: "+02:00", 0x829D: 2.8, 0x8827: 400, 0xA434: "RF 35"}
    )
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 8.0, 12.0), 3: "E", 4: (11.0, 34.0, 30.0), 6: 519.0})
    return exif.tobytes()


def _iptc() -> bytes:
    records = [
        (5, b"A title"),
        (25, b"dog"),
        (25, b"beach"),
        (80, b"Ann"),
        (90, b"Munich"),
        (101, b"Germany"),
        (55, b"20210503"),
    ]
    data = b"".join(
        b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(text)) + text for number, text in records
    )
    return (
        b"Photoshop 3.0\x008BIM\x04\x04\0\0" + struct.pack(">I", len(data)) + data + b"\0" * (len(data) % 2)
    )


BLOCKS = {"exif": _exif(), "xmp": XMP, "iptc": _iptc(), "takeout": TAKEOUT}


def overwrite(data: bytearray, rng: random.Random) -> None:
    value = rng.choice(NASTY)
    at = rng.randrange(len(data))
    data[at : at + rng.choice([0, len(value)])] = value


def mutated(block: bytes, rng: random.Random) -> bytes:
    """A block of metadata that something has been done to."""
    data = bytearray(block)
    for _ in range(rng.choice([1, 1, 2, 4])):
        if data:
            rng.choice((*MUTATIONS, flip_bits, set_numbers, repeat, overwrite, overwrite))(data, rng)
    return bytes(data)


def jpeg_with(picture: bytes, blocks: dict[str, bytes]) -> bytes:
    """A JPEG with blocks of metadata in front, each cut to what a marker segment may hold."""
    prefixes = {"exif": (0xE1, b""), "xmp": (0xE1, b"http://ns.adobe.com/xap/1.0/\0"), "iptc": (0xED, b"")}
    segments = b""
    for name, block in blocks.items():
        marker, prefix = prefixes[name]
        payload = (prefix + block)[:65533]
        segments += bytes([0xFF, marker]) + struct.pack(">H", len(payload) + 2) + payload
    return picture[:2] + segments + picture[2:]


def png_with(picture: bytes, blocks: dict[str, bytes]) -> bytes:
    """A PNG with the chunks eXIf and iTXt (XMP), their checksums right."""
    chunks = b""
    for name, block in blocks.items():
        kind, data = (
            (b"eXIf", block.removeprefix(b"Exif\0\0"))
            if name == "exif"
            else (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + block)
        )
        if name != "iptc":
            chunks += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return picture[:33] + chunks + picture[33:]  # behind the signature and IHDR


def webp_with(picture: bytes, blocks: dict[str, bytes]) -> bytes:
    """A WebP with EXIF and XMP, as its library writes them."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(picture)) as image:
        image.save(file, "WEBP", lossless=True, exif=blocks.get("exif", b""), xmp=blocks.get("xmp", b""))
    return file.getvalue()


WRITERS: dict[str, Callable[[bytes, dict[str, bytes]], bytes]] = {
    ".jpg": jpeg_with,
    ".png": png_with,
    ".webp": webp_with,
}


def write_case(folder: Path, number: int, rng: random.Random) -> None:
    """A picture of its own, with one to three mutated blocks in it, or a mutated sidecar beside it."""
    colours = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    suffix, file = rng.choice(sorted(WRITERS)), io.BytesIO()
    Image.fromarray(colours).save(file, "JPEG" if suffix == ".jpg" else "PNG")
    path = folder / f"{number:05}{suffix}"
    names = rng.sample(["exif", "xmp", "iptc"], rng.choice([1, 1, 2, 3]))
    sidecar = rng.random()
    blocks = {} if sidecar < 0.4 else {name: mutated(BLOCKS[name], rng) for name in names}
    path.write_bytes(WRITERS[suffix](file.getvalue(), blocks))
    if sidecar < 0.2:
        name = rng.choice([f"{path.name}.xmp", f"{path.stem}.xmp"])
        (folder / name).write_bytes(mutated(XMP, rng))
    elif sidecar < 0.4:
        (folder / f"{path.name}{rng.choice(['.json', '.supplemental-metadata.json'])}").write_bytes(
            mutated(TAKEOUT, rng)
        )


def run_folder(folder: Path, files: int, model: Path, tally: harness.Tally) -> None:
    """Index a folder twice: every picture is taken and encoded, once; then look at the collection."""
    collection = folder.parent / f"{folder.name}.collection"
    expected = [(files, 0, 0), (0, files, 0)]
    for encoded, unchanged, failed in expected:
        arguments = ("index", folder, "--collection", collection, "--model", model, "--json",
                     "--max-memory", f"{BUDGET >> 20}M", "--timeout", "10")  # fmt: skip
        started = time.monotonic()
        outcome = harness.run(*arguments, cwd=folder, deadline=DEADLINE_S, memory=16 * 2**30)
        tally.add(folder.name, arguments, outcome, time.monotonic() - started)
        try:
            counts = json.loads(outcome.output.splitlines()[-1])
        except (ValueError, IndexError):
            tally.fault("no counts", folder.name, outcome.output)
            return
        if (counts["encoded"], counts["unchanged"], counts["failed"]) != (encoded, unchanged, failed):
            tally.fault("counts", folder.name, str(counts))
    for fault in indexer.doctor(collection).faults:
        tally.fault("collection", folder.name, fault)


def main(count: int, seed: int) -> int:
    """Index ``count`` pictures with mutated metadata in a handful of folders; exit code 1 if anything went wrong."""
    rng, tally = random.Random(seed), harness.Tally("metadata")
    place = Path(tempfile.mkdtemp(prefix="vlsearch-fuzz-"))
    try:
        model = save_tiny_model(place / "model")
        harness.preload()
        for number in range(FOLDERS):
            files = count // FOLDERS + (number < count % FOLDERS)
            folder = place / f"folder{number}"
            folder.mkdir()
            for file in range(files):
                write_case(folder, file + number * count, rng)
            run_folder(folder, files, model, tally)
            tally.cases += files
        return tally.finish()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
