"""Write a contact sheet to a file: as HTML or as a PNG, by the ending of its name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import click

from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import progress_display
from retrieval.cli.sheets.entries import Drawn, Entry, entry_of
from retrieval.cli.sheets.page import page_of
from retrieval.errors import UsageError
from retrieval.types import Hit, Limits, Progress

HTML = (".html", ".htm")
PNG = ".png"
MOST_ON_A_PNG = 200
"""Hits on a PNG, which a viewer holds in memory whole: 40 rows of five are some 25 megapixels."""


def checked_sheet(path: Path | None, k: int) -> Path | None:
    """Check the name of a sheet of ``k`` hits before a search, and not after it.

    Raises:
        UsageError: it is not the name of an HTML or PNG file, its folder is not there, or a PNG cannot hold so many.
    """
    if path is None:
        return None
    if path.suffix.lower() not in (*HTML, PNG):
        raise UsageError(f"a sheet is an HTML or PNG file; {path} does not end in .html or .png")
    if not path.absolute().parent.is_dir():
        raise UsageError(
            f"there is no folder {path.absolute().parent} for the sheet {path.name}; make it first"
        )
    if path.suffix.lower() == PNG and k > MOST_ON_A_PNG:
        raise UsageError(
            f"a sheet as a PNG shows at most {MOST_ON_A_PNG} hits and {k} are asked for; write an .html"
        )
    return path


def write_sheet(
    path: Path, title: str, hits: Sequence[Hit], limits: Limits, drawn: Drawn | None = None
) -> None:
    """Write a sheet, whole or not at all, and say where it is; pictures are decoded in the limited worker processes.

    Args:
        path: of the file, as :func:`checked_sheet` takes it.
        title: above the hits.
        hits: to show.
        limits: what is accepted of a picture.
        drawn: explanations to show in the pictures' places, with the words of the query marked.

    Raises:
        OSError: it cannot be written.
    """
    from retrieval.decoding.pool import DecodePool

    entries = []
    with DecodePool(limits) as pool, progress_display() as show:
        for number, hit in enumerate(hits, start=1):
            entries.append(entry_of(hit, pool, drawn))
            show(Progress("sheet", number, len(hits), 0))
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(_contents(path, title, entries))
    temporary.replace(path)
    click.echo(f"{counted(len(hits), 'hit')} in {printable(str(path))}", err=True)


def _contents(path: Path, title: str, entries: list[Entry]) -> bytes:
    if path.suffix.lower() != PNG:
        return page_of(title, entries).encode()
    from retrieval.cli.sheets.picture import png_of  # Pillow's fonts

    data, undrawn = png_of(title, entries)
    if undrawn:
        click.echo(
            f"Note: no font here has {counted(len(undrawn), 'character')} of the sheet, like {undrawn[0]!r}; "
            "install one that does, such as Noto Sans CJK, or write an .html",
            err=True,
        )
    return data
