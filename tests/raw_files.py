"""Raw camera files for tests: DNGs (Adobe's specification 1.4) of a made-up camera, written entry by entry."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np
from PIL import Image

BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
_SIZES = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, SRATIONAL: 8}
_CODES = {BYTE: "B", SHORT: "H", LONG: "I"}


@dataclass
class Entry:
    """One entry of a directory; rationals are pairs of integers."""

    tag: int
    kind: int
    values: tuple[object, ...]

    def data(self) -> bytes:
        """Give the values, packed."""
        if self.kind == ASCII:
            return b"".join(str(value).encode() + b"\0" for value in self.values)
        if self.kind in (RATIONAL, SRATIONAL):
            code = "<II" if self.kind == RATIONAL else "<ii"
            return b"".join(struct.pack(code, *value) for value in self.values)  # type: ignore[misc]
        return struct.pack(f"<{len(self.values)}{_CODES[self.kind]}", *self.values)


def sensor_values(image: Image.Image) -> bytes:
    """Give an image as a Bayer sensor (RGGB) sees it, 16 bits a pixel, little-endian."""
    rgb = np.asarray(image.convert("RGB")).astype(np.float64) / 255
    linear = (rgb**2.2 * 60_000 + 500).astype("<u2")
    mosaic = linear[..., 1].copy()
    mosaic[0::2, 0::2] = linear[0::2, 0::2, 0]
    mosaic[1::2, 1::2] = linear[1::2, 1::2, 2]
    return mosaic.tobytes()


def jpeg(image: Image.Image) -> bytes:
    """Encode an image as cameras do."""
    file = io.BytesIO()
    image.copy().save(file, "JPEG", quality=90)
    return file.getvalue()


def dng(
    image: Image.Image, preview: Image.Image | None = None, orientation: int = 1, software: str = "tests"
) -> bytes:
    """Write a DNG whose sensor saw ``image``, with a JPEG of ``preview`` inside.

    Args:
        image: of even width and height.
        preview: none by default.
        orientation: as EXIF numbers it.
        software: what wrote it.
    """
    small = image.convert("RGB").resize((32, 24))
    sensor = _picture(0, *image.size, sensor_values(image), 16, 1, 32803)
    sensor[0].extend(
        [
            Entry(33421, SHORT, (2, 2)),  # the pattern repeats
            Entry(33422, BYTE, (0, 1, 1, 2)),  # red, green, green, blue
            Entry(50714, SHORT, (500,)),  # black
            Entry(50717, LONG, (60_500,)),  # white
        ]
    )
    below = [sensor]
    if preview is not None:
        below.append(_picture(1, *preview.size, jpeg(preview), 8, 3, 6, compression=7))
    main = _picture(1, *small.size, small.tobytes(), 8, 3, 2)
    main[0].extend(
        [
            Entry(271, ASCII, ("Testcam",)),
            Entry(272, ASCII, ("Testcam One",)),
            Entry(274, SHORT, (orientation,)),
            Entry(305, ASCII, (software,)),
            Entry(50706, BYTE, (1, 4, 0, 0)),
            Entry(50707, BYTE, (1, 1, 0, 0)),
            Entry(50708, ASCII, ("Testcam One",)),
            Entry(50721, SRATIONAL, tuple((value, 10_000) for value in _XYZ_TO_CAMERA)),
            Entry(50728, RATIONAL, ((1, 1), (1, 1), (1, 1))),  # what is neutral
            Entry(50778, SHORT, (21,)),  # D65
        ]
    )
    exif = [
        Entry(33434, RATIONAL, ((1, 250),)),
        Entry(33437, RATIONAL, ((28, 10),)),
        Entry(34855, SHORT, (400,)),
        Entry(36867, ASCII, ("2023:05:06 07:08:09",)),
        Entry(37386, RATIONAL, ((50, 1),)),
    ]
    return _file(main, below, exif)


_XYZ_TO_CAMERA = (32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572)  # of sRGB

_Picture = tuple[list[Entry], bytes]


def _picture(
    reduced: int,
    width: int,
    height: int,
    data: bytes,
    bits: int,
    samples: int,
    photometric: int,
    compression: int = 1,
) -> _Picture:
    entries = [
        Entry(254, LONG, (reduced,)),
        Entry(256, LONG, (width,)),
        Entry(257, LONG, (height,)),
        Entry(258, SHORT, (bits,) * samples),
        Entry(259, SHORT, (compression,)),
        Entry(262, SHORT, (photometric,)),
        Entry(277, SHORT, (samples,)),
        Entry(278, LONG, (height,)),
        Entry(279, LONG, (len(data),)),
        Entry(284, SHORT, (1,)),
    ]
    return entries, data


def _file(main: _Picture, below: list[_Picture], exif: list[Entry]) -> bytes:
    """Lay out a file: header, main directory, directories below, EXIF, then all pixels."""
    blocks: list[list[Entry]] = [main[0], *(entries for entries, _ in below), exif]
    main[0].extend([Entry(330, LONG, (0,) * len(below)), Entry(34665, LONG, (0,))])
    for entries, _ in (main, *below):
        entries.append(Entry(273, LONG, (0,)))
    starts, at = [], 8
    for entries in blocks:
        starts.append(at)
        at += _directory_bytes(entries)
    pixels = []
    for entries, data in (main, *below):
        entries[-1].values = (at,)
        pixels.append(data)
        at += len(data)
    _entry(main[0], 330).values = tuple(starts[1 : 1 + len(below)])
    _entry(main[0], 34665).values = (starts[-1],)
    header = struct.pack("<2sHI", b"II", 42, 8)
    directories = b"".join(_directory(entries, start) for entries, start in zip(blocks, starts, strict=True))
    return header + directories + b"".join(pixels)


def _entry(entries: list[Entry], tag: int) -> Entry:
    return next(entry for entry in entries if entry.tag == tag)


def _directory_bytes(entries: list[Entry]) -> int:
    return 6 + 12 * len(entries) + sum(len(data) for data in map(Entry.data, entries) if len(data) > 4)


def _directory(entries: list[Entry], start: int) -> bytes:
    table, loose = struct.pack("<H", len(entries)), b""
    at = start + 6 + 12 * len(entries)
    for entry in sorted(entries, key=lambda entry: entry.tag):
        data = entry.data()
        value = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", at + len(loose))
        loose += data if len(data) > 4 else b""
        table += struct.pack("<HHI", entry.tag, entry.kind, len(data) // _SIZES[entry.kind]) + value
    return table + struct.pack("<I", 0) + loose
