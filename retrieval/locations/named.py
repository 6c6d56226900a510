"""Where the image is that a path, a uri, or a name as hits are printed means; no image is read."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from retrieval.errors import ImageError, NoSuchImage, QueryError
from retrieval.file_kinds import is_part_of
from retrieval.locations.tar_members import Damage, member_path, walk_members
from retrieval.shell import shell_command, shell_word
from retrieval.suffixes import PARQUET_SUFFIXES, suffix_of
from retrieval.types import CellBytes, FileBytes, InlineBytes, Location, MemberBytes, PartBytes, UrlBytes
from retrieval.uris import file_uri, split_file_uri, uri_of

_ROW = re.compile(r"row=([0-9]{1,18})")


def uri_named(name: str | Path) -> str:
    """Give the uri of the image that a name means: a ``Path`` is a file, a text is as hits are printed."""
    return file_uri(name) if isinstance(name, Path) else uri_of(name)


def locate_named(name: str | Path) -> Location:
    """Find where the image is that a name means, as :func:`uri_named` reads it; a file need not be there.

    Raises:
        ImageError: there is no such member, with the reason.
    """
    uri = uri_named(name)
    split = split_file_uri(uri)
    if split is not None and (split[1] is None or not split[0].is_file()):
        return FileBytes(split[0])
    try:
        return locate(uri)
    except QueryError as error:
        raise ImageError(str(error)) from error


def locate(source: Path | str | bytes) -> Location:
    """Find where an image is: of a path, a file; of a uri or a URL, what it names; of bytes, themselves.

    Raises:
        QueryError: there is no such file, or no such member in it.
    """
    if isinstance(source, bytes):
        return InlineBytes(source)
    if isinstance(source, Path):
        return FileBytes(_existing(source))
    split = split_file_uri(source)
    if split is None:
        return UrlBytes(source)
    path, member = split
    row = _ROW.fullmatch(member or "")
    if row is not None and suffix_of(path.name) in PARQUET_SUFFIXES:
        return CellBytes(_existing(path), "", int(row[1]))
    if member is not None and is_part_of(path.name, member):
        return PartBytes(_existing(path), member)
    if member is None:
        return FileBytes(_existing(path))
    name, _, part = member.rpartition("#")
    if is_part_of(name, part):
        return replace(_find_member(_existing(path), name), part=part)
    return _find_member(_existing(path), member)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise NoSuchImage(path)
    if path.is_dir():
        raise QueryError(
            f"{path} is a folder, not a picture; name a picture in it, or index it: {shell_command('index', path)}"
        )

    return path


def _find_member(archive: Path, name: str) -> MemberBytes:
    """Find the last member with a name, which is the one that remains when the archive is unpacked."""
    if not archive.is_file():  # a pipe would block for good
        raise QueryError(f"{archive} is not a regular file; name a tar archive")
    path, last, damage = member_path(name), None, None
    try:
        with archive.open("rb") as file:
            for found in walk_members(file, archive.stat().st_size):
                if isinstance(found, Damage):
                    damage = found
                elif member_path(found.name) == path:
                    last = found
    except OSError as error:
        raise QueryError(f"cannot read {archive} ({error.strerror or error}); check the path") from error
    if last is None and damage is not None:
        raise QueryError(
            f"cannot read {archive} as an uncompressed tar: {damage.reason} (at byte {damage.offset:,}); "
            "check the path"
        )
    if last is None:
        raise QueryError(
            f"there is no member {name} in {archive}; list them with: tar -tf {shell_word(archive)}"
        )
    if last.fault:
        raise QueryError(f"member {name} of {archive} {last.fault}; choose another picture")
    return MemberBytes(archive, last.name, last.offset, last.size)
