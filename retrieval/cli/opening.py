"""Show the pictures of hits in the desktop's viewer: ``--open``.

A viewer gets one picture of a folder that has all of them in the order of their ranks, and pages through it. What a
name ends with decides what a desktop does with a file, so that only pictures with names of pictures are in it.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from retrieval.cli.printing import counted
from retrieval.desktop import opener, run_opener
from retrieval.errors import ImageError, UsageError, VlsearchError
from retrieval.signatures import (
    AVIF_BRANDS,
    HEAD_BYTES,
    formats_by_signature,
    is_media_file,
    looks_like_image,
    media_brands,
)
from retrieval.suffixes import is_image_name, suffix_of
from retrieval.types import FileBytes, Limits, MemberBytes, PartBytes

if TYPE_CHECKING:
    from retrieval.collection import Collection
    from retrieval.query.pictures import Picture, Pictures
    from retrieval.types import Hit

Command = TypeVar("Command", bound=Callable[..., Any])

_ELSE = "write them to a page with: --sheet hits.html"
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "GIF": ".gif", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
_NOT_IN_NAMES = '/\\:*?"<>|'
_LONGEST = 80  # characters of a name, behind its rank


def open_option(command: Command) -> Command:
    """``--open``, passed on as ``open_them``."""
    option = click.option(
        "--open",
        "open_them",
        is_flag=True,
        help="Show the pictures in the desktop's viewer, in place of a list.",
    )
    return option(command)


def open_hits(collection: Collection, hits: Sequence[Hit], limits: Limits) -> None:
    """Show the pictures among hits in the desktop's viewer, in the order of the hits.

    Raises:
        VlsearchError: there is no desktop or no viewer, or it fails.
        UsageError: none of the hits is a picture that can be read.
    """
    from retrieval.query.pictures import Pictures  # late: the worker processes

    command = _opener()
    with Pictures(collection, limits, workers=1) as pictures:
        folder = _gather(pictures, hits)
    files = sorted(folder.iterdir())
    if not files:
        raise UsageError("no hit is a picture that can be read now; there is nothing to open")
    left = len(hits) - len(files)
    if left:
        click.echo(
            f"{counted(left, 'hit')} cannot be opened: texts, or pictures that are gone or have changed",
            err=True,
        )
    if code := run_opener([*command, *map(str, files if sys.platform == "darwin" else files[:1])]):
        raise VlsearchError(
            f"{Path(command[0]).name} found no program for pictures (exit code {code}); {_ELSE}"
        )


def _opener() -> list[str]:
    try:
        return opener()
    except VlsearchError as error:
        raise VlsearchError(f"{error} to show pictures with; {_ELSE}") from error


def _gather(pictures: Pictures, hits: Sequence[Hit]) -> Path:
    """Make the folder anew that holds the pictures of hits, as links or copies."""
    from platformdirs import user_cache_path  # late: rarely needed

    folder = Path(user_cache_path("vlsearch", appauthor=False)) / "opened"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    found = pictures.find(hit.id for hit in hits)
    for hit in hits:
        if hit.id in found:
            _add(folder, f"{hit.rank:03}", found[hit.id], pictures)
    return folder


def _add(folder: Path, rank: str, picture: Picture, pictures: Pictures) -> None:
    location = picture.location
    if isinstance(location, PartBytes) or (isinstance(location, MemberBytes) and location.part):
        # whose file holds others too
        _add_drawn(folder, rank, picture, pictures)
        return
    try:
        data = pictures.original(picture)
    except ImageError:
        return
    path = picture.location.path if isinstance(picture.location, FileBytes) else None
    if path is not None and is_image_name(path.name) and looks_like_image(data[:HEAD_BYTES]):
        name = f"{rank} {_plain(path.stem)}{suffix_of(path.name)}"
        try:
            (folder / name).symlink_to(path.absolute())
            return
        except OSError:  # links are not everybody's on Windows, and no drive's with FAT
            pass
    (folder / f"{rank}{_suffix(data)}").write_bytes(data)


def _add_drawn(folder: Path, rank: str, picture: Picture, pictures: Pictures) -> None:
    """Add a picture that is not a file's whole bytes, such as a page of a PDF, as it is decoded."""
    from retrieval.query.pictures import SIZES

    try:
        drawn = pictures.thumbnail(picture, max(SIZES))
    except ImageError:
        return
    (folder / f"{rank}.webp").write_bytes(drawn)


def _plain(stem: str) -> str:
    """Give a name without what is no part of one on some system, or of what a desktop shows."""
    return "".join(
        letter if letter.isprintable() and letter not in _NOT_IN_NAMES else "_" for letter in stem
    )[:_LONGEST]


def _suffix(data: bytes) -> str:
    head = data[:HEAD_BYTES]
    if is_media_file(head):
        return ".heic" if AVIF_BRANDS.isdisjoint(media_brands(head)) else ".avif"
    return next((_SUFFIXES[one] for one in formats_by_signature(head) if one in _SUFFIXES), ".jpg")
