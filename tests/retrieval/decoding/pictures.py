"""Pictures that take longer than anybody waits, or more memory than anybody has, in a few kilobytes."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image


def encoded(image: Image.Image, format_: str = "PNG", **settings: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **settings)
    return buffer.getvalue()


def photo(width: int = 64, height: int = 48) -> Image.Image:
    """A picture with something in it, the same every time."""
    noise = np.random.default_rng(7).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(noise)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def black_png(width: int, height: int, bits: int, colour: int, *chunks: bytes) -> bytes:
    """A PNG of zeros: colour 0 is grey, 2 RGB, 3 a palette, 6 RGBA."""
    samples = {0: 1, 2: 3, 3: 1, 6: 4}[colour]
    row = bytes(1 + (width * samples * bits + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join([packer.compress(row * 64) for _ in range(height // 64)])
    rows += packer.compress(row * (height % 64)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def slow_bmp(side: int = 14000) -> bytes:
    """A run-length encoded BMP of single pixels, which Pillow decodes in Python."""
    body = b"\x01\x07" * (side * side)
    header = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(body), 0, 0, 256, 0)
    palette = b"".join(struct.pack("BBBB", n, n, n, 0) for n in range(256))
    offset = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset) + header + palette + body
