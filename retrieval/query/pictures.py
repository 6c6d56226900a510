"""The picture that a part of a query names: found, read and decoded as indexing does it."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.errors import ImageError, QueryError
from retrieval.query.parts import Source
from retrieval.types import FileBytes, InlineBytes, Limits, Location, MemberBytes, UrlBytes
from retrieval.uris import display, split_file_uri

if TYPE_CHECKING:
    from PIL.Image import Image


def read_picture(source: Source, limits: Limits, short_side: int) -> Image:
    """An upright RGB picture, decoded as indexing decodes it; a PIL picture is returned as it is.

    Args:
        source: where the picture is.
        limits: what is accepted of it.
        short_side: the encoder's ``image_size``.

    Raises:
        QueryError: there is no such picture, or it cannot be read or decoded.
    """
    if not isinstance(source, (Path, str, bytes)):
        return source
    location = _locate(source)
    from retrieval.fetch import read_bytes  # late: httpx and Pillow, which queries of words do not need
    from retrieval.images import decode

    try:
        picture: Image = decode(read_bytes(location, limits), limits, short_side)
    except ImageError as error:
        raise QueryError(f"cannot search for {_name(source)}: {error}; choose another picture") from error
    return picture


def _locate(source: Path | str | bytes) -> Location:
    if isinstance(source, bytes):
        return InlineBytes(source)
    if isinstance(source, Path):
        return FileBytes(_existing(source))
    split = split_file_uri(source)
    if split is None:
        return UrlBytes(source)
    path, member = split
    return FileBytes(_existing(path)) if member is None else _find_member(_existing(path), member)


def _existing(path: Path) -> Path:
    if not path.exists():
        raise QueryError(
            f"there is no file {path}; check the path, or to search for these words write text:{path} "
            "(in Python: pass them as a str)"
        )
    if path.is_dir():
        raise QueryError(
            f"{path} is a folder, not a picture; name a picture in it, or index it: vlsearch index {path}"
        )

    return path


def _find_member(archive: Path, name: str) -> MemberBytes:
    try:
        with tarfile.open(archive, "r:") as tar:
            member = tar.getmember(name)
    except KeyError:
        raise QueryError(
            f"there is no member {name} in {archive}; list them with: tar -tf {archive}"
        ) from None
    except (OSError, tarfile.TarError) as error:
        raise QueryError(f"cannot read {archive} as an uncompressed tar: {error}; check the path") from error
    return MemberBytes(archive, member.name, member.offset_data, member.size)


def _name(source: Path | str | bytes) -> str:
    if isinstance(source, bytes):
        return "the picture given as bytes"
    return str(source) if isinstance(source, Path) else display(source)
