"""Where an item's bytes are, as the catalogue keeps it: its uri, and for a place inside a file an extent."""

from __future__ import annotations

import re

from retrieval.file_kinds import is_part_of
from retrieval.types import (
    CellBytes,
    FileBytes,
    Location,
    MemberBytes,
    ObjectBytes,
    PartBytes,
    StoredObject,
    UrlBytes,
)
from retrieval.uris import is_url, split_file_uri, split_object_uri

_LARGEST = 2**63 - 1
_MEMBER = re.compile(r"([0-9]{1,19})\+([0-9]{1,19})(?:#(.{1,100}))?", re.DOTALL)
_CELL = re.compile(r"row ([0-9]{1,19}) of (.{1,1000})", re.DOTALL)


def extent_of(location: Location) -> str | None:
    """Encode what must be known beside the uri to read a location again; None where the uri is enough.

    Of a tar member it is ``OFFSET+SIZE``, of one of several pictures in it ``OFFSET+SIZE#PART``, of an image in a table
    ``row ROW of COLUMN``.
    """
    match location:
        case MemberBytes(_, _, offset, size, part):
            return f"{offset}+{size}" + (f"#{part}" if part else "")
        case ObjectBytes(_, _, offset, int(length), part):
            return f"{offset}+{length}" + (f"#{part}" if part else "")
        case CellBytes(_, column, row):
            return f"row {row} of {column}"
    return None


def is_extent(text: str) -> bool:
    """Whether a text is one that :func:`extent_of` gives."""
    if member := _MEMBER.fullmatch(text):
        return int(member[1]) <= _LARGEST and int(member[2]) <= _LARGEST
    cell = _CELL.fullmatch(text)
    return cell is not None and int(cell[1]) <= _LARGEST


def location_of(uri: str, extent: str | None) -> Location | None:
    """Decode where an item's bytes are from its uri and extent; None where these do not tell."""
    if is_url(uri):
        return UrlBytes(uri)
    if (stored := split_object_uri(uri)) is not None:
        bucket, key, place = stored
        return _object_bytes(StoredObject(bucket, key), place, extent)
    split = split_file_uri(uri)
    if split is None:
        return None
    path, place = split
    if place is None:
        return FileBytes(path)
    if extent is None and is_part_of(path.name, place):
        return PartBytes(path, place)
    if extent is None or not is_extent(extent):
        return None
    if member := _MEMBER.fullmatch(extent):
        part = member[3] or ""
        name = place.removesuffix(f"#{part}") if part else place
        return MemberBytes(path, name, int(member[1]), int(member[2]), part)
    cell = _CELL.fullmatch(extent)
    assert cell is not None, extent
    return CellBytes(path, cell[2], int(cell[1]))


def _object_bytes(at: StoredObject, place: str | None, extent: str | None) -> ObjectBytes | None:
    """Decode where bytes are in an object, of which no version is known; None for a row of a table."""
    if place is None:
        return ObjectBytes(at)
    if extent is None:
        return ObjectBytes(at, part=place) if is_part_of(at.name, place) else None
    member = _MEMBER.fullmatch(extent) if is_extent(extent) else None
    if member is None:
        return None
    part = member[3] or ""
    name = place.removesuffix(f"#{part}") if part else place
    return ObjectBytes(at, name, int(member[1]), int(member[2]), part)
