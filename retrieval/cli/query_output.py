"""Options that say where the hits of a query go; together they make one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.hit_output import list_options
from retrieval.cli.limit_options import with_options
from retrieval.cli.opening import open_option
from retrieval.cli.previews import preview_option

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class QueryOutput:
    """Where the hits of a query go.

    Attributes:
        as_list: print for people, and not for pipes; None: as standard output is a terminal or not.
        null: end each path with a NUL.
        preview: show small pictures; None: where the terminal can.
        open_them: show the pictures in the desktop's viewer, in place of a list.
        sheet: file to write the hits with small pictures to.
        explain: folder to write why each hit is one to.
    """

    as_list: bool | None
    null: bool
    preview: bool | None
    open_them: bool
    sheet: Path | None
    explain: Path | None


_OPTIONS = (
    list_options,
    preview_option,
    open_option,
    click.option(
        "--sheet",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Write the hits with small pictures to an HTML or PNG file.",
    ),
    click.option(
        "--explain",
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        help="Write why each hit is one to a folder: its picture with what counts drawn in, and JSON.",
    ),
)


def query_output_options(command: Command) -> Command:
    """Add the options; the command gets them as ``output`` (a :class:`QueryOutput`)."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        as_list: bool | None,
        null: bool,
        preview: bool | None,
        open_them: bool,
        sheet: Path | None,
        explain: Path | None,
        **others: Any,
    ) -> Any:
        output = QueryOutput(as_list, null, preview, open_them, sheet, explain)
        return command(*args, output=output, **others)

    result: Command = with_options(_OPTIONS, wrapped)
    return result
