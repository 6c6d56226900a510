"""The chain of directories of a TIFF (TIFF 6.0, and BigTIFF), read without decoding anything."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

SUBFILE_TYPE, WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 259, 262
STRIP_OFFSETS, ORIENTATION, STRIP_BYTES, SUB_DIRECTORIES = 273, 274, 279, 330
JPEG_OFFSET, JPEG_BYTES = 513, 514

_MOST_ENTRIES = 4096  # of a directory; none needs a hundred
_MOST_VALUES = 64  # of a tag, which are read
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 2: "B", 3: "H", 4: "I", 6: "b", 7: "B", 8: "h", 9: "i", 13: "I", 16: "Q", 17: "q", 18: "Q"}


@dataclass(frozen=True, slots=True)
class Directory:
    """One directory: integers by tag, as many as are of use; fractions and texts are left out."""

    tags: dict[int, tuple[int, ...]]

    def first(self, tag: int, default: int = 0) -> int:
        """Give the first value of a tag."""
        return self.tags.get(tag, (default,))[0]

    @property
    def is_reduced_or_mask(self) -> bool:
        """Whether it is a smaller version of another picture, or a mask of one."""
        return bool(self.first(SUBFILE_TYPE) & 0b101)


@dataclass(frozen=True, slots=True)
class _Layout:
    order: str
    is_big: bool


def is_tiff(data: bytes) -> bool:
    """Whether a file begins as a TIFF or BigTIFF does, or as some raw camera files that are built like one."""
    return _layout(data) is not None


def main_directories(data: bytes, most: int) -> Iterator[Directory]:
    """Yield the directories of the main chain, at most so many; what is broken ends it."""
    layout = _layout(data)
    if layout is None:
        return
    seen: set[int] = set()
    at = _number(data, layout, 8 if layout.is_big else 4)
    while at and at not in seen and len(seen) < most:
        seen.add(at)
        found = _read(data, layout, at)
        if found is None:
            return
        directory, at = found
        yield directory


def all_directories(data: bytes, most: int) -> Iterator[Directory]:
    """Yield the directories of the main chain and those below them, at most so many."""
    layout = _layout(data)
    if layout is None:
        return
    seen: set[int] = set()
    waiting = [_number(data, layout, 8 if layout.is_big else 4)]
    while waiting and len(seen) < most:
        at = waiting.pop(0)
        if not at or at in seen:
            continue
        seen.add(at)
        found = _read(data, layout, at)
        if found is not None:
            yield found[0]
            waiting += [found[1], *found[0].tags.get(SUB_DIRECTORIES, ())]


def _layout(data: bytes) -> _Layout | None:
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 16:
        return None
    version = data[2:4] if order == "<" else data[3:1:-1]
    # 42; 43 of BigTIFF; of Panasonic; of Olympus
    return _Layout(order, version == b"+\0") if version in (b"*\0", b"+\0", b"U\0", b"RO", b"RS") else None


def _number(data: bytes, layout: _Layout, at: int) -> int:
    try:
        number: int = struct.unpack_from(layout.order + ("Q" if layout.is_big else "I"), data, at)[0]
    except struct.error:
        return 0
    return number


def _read(data: bytes, layout: _Layout, at: int) -> tuple[Directory, int] | None:
    """Read the directory at a place, and where the next one is; None where that is not inside the file."""
    counted, entry_bytes = ("Q", 20) if layout.is_big else ("H", 12)
    start = at + struct.calcsize(counted)
    try:
        count = struct.unpack_from(layout.order + counted, data, at)[0]
        if count > _MOST_ENTRIES or start + count * entry_bytes > len(data):
            return None
        tags: dict[int, tuple[int, ...]] = {}
        for number in range(count):
            tag, values = _entry(data, layout, start + number * entry_bytes)
            if values:
                tags.setdefault(tag, values)
    except (struct.error, OverflowError):
        return None
    return Directory(tags), _number(data, layout, start + count * entry_bytes)


def _entry(data: bytes, layout: _Layout, at: int) -> tuple[int, tuple[int, ...]]:
    """Read one entry; values that lie outside the file, or are no integers, are none."""
    tag, kind, count = struct.unpack_from(layout.order + ("HHQ" if layout.is_big else "HHI"), data, at)
    if kind not in _SIZES:
        return tag, ()
    inline = 8 if layout.is_big else 4
    value = at + 4 + inline
    if count * _SIZES[kind] > inline:
        value = _number(data, layout, value)
    wanted = min(count, _MOST_VALUES)
    if value + wanted * _SIZES[kind] > len(data):
        return tag, ()
    return tag, struct.unpack_from(f"{layout.order}{wanted}{_CODES[kind]}", data, value)
