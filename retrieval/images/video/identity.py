"""What names a key frame: its encoded bytes, and all else that its pixels depend on."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrieval.images.video.container import Video
    from retrieval.images.video.frames import KeyFrame

_MATRIX_BYTES = 36
_MOST_ATOMS = 1000  # looked at; a file of a camera has a hundred above its tables
_HEAD_BYTES = 2**16  # of other containers, whose tracks are described at the beginning
_HOLDS = {b"moov": (b"mvhd", b"trak"), b"trak": (b"tkhd",)}


def digest_of(video: Video, frame: KeyFrame) -> bytes:
    """Compute the sha256 that names a key frame, without decoding it.

    A video that was moved or renamed keeps its frames; one that was turned by its header has new ones.
    """
    context: Any = video.stream.codec_context
    extra = bytes(context.extradata or b"")
    place = video.file.tell()
    turns = _turns(video.file) if video.format == "mov" else _read_at(video.file, 0, _HEAD_BYTES)
    video.file.seek(place)  # FFmpeg reads on from there
    shape = (
        f"{context.codec.canonical_name} {context.width}x{context.height} {video.stream.sample_aspect_ratio}"
    )
    whole = hashlib.sha256(f"vlsearch frame 1 {shape} {len(extra)} {len(turns)}\0".encode())
    whole.update(extra + turns)
    whole.update(frame.packet)
    return whole.digest()


def _turns(file: IO[bytes]) -> bytes:
    """Read the display matrices of a movie and its tracks (ISO 14496-12, 8.2.2 and 8.3.2)."""
    size = os.fstat(file.fileno()).st_size
    return b"".join(_matrices(file, 0, size, (b"moov",), iter(range(_MOST_ATOMS))))


def _matrices(
    file: IO[bytes], start: int, end: int, wanted: tuple[bytes, ...], budget: Iterator[int]
) -> Iterator[bytes]:
    while start + 8 <= end and next(budget, None) is not None:
        head = _read_at(file, start, 16)
        size, kind, body = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), start + 16
        elif size == 0:
            size = end - start
        if size < body - start:
            return
        if kind in wanted and kind in _HOLDS:
            yield from _matrices(file, body, min(end, start + size), _HOLDS[kind], budget)
        elif kind in wanted:
            longer = 12 if _read_at(file, body, 1) == b"\1" else 0  # version 1 has times of 64 bits
            yield _read_at(file, body + (40 if kind == b"tkhd" else 36) + longer, _MATRIX_BYTES)
        start += size


def _read_at(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size) or b""
