"""Small pictures beside hits, in terminals that show them: by Kitty's protocol, or Sixel (iTerm2, WezTerm, foot, ...).

The package textual-image asks the terminal and draws. Terminals are asked only where their environment says that they
may be able to, or the user wants pictures: one that does not answer costs time, and may take a key that was pressed.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from retrieval.errors import ImageError, UsageError
from retrieval.extras import is_installed, require

if TYPE_CHECKING:
    from PIL.Image import Image
    from rich.console import RenderableType

    from retrieval.cli.hits import Preview
    from retrieval.collection import Collection
    from retrieval.types import Hit, Limits

THUMBNAIL = 240  # pixels of the short side, as other thumbnails in the cache

Command = TypeVar("Command", bound=Callable[..., Any])

_PROGRAMS = frozenset({"ghostty", "iTerm.app", "mintty", "rio", "vscode", "WezTerm"})  # $TERM_PROGRAM
_TERMS = ("contour", "foot", "mlterm", "wezterm", "xterm-ghostty", "xterm-kitty")  # beginnings of $TERM
_MARKS = ("KITTY_WINDOW_ID", "KONSOLE_VERSION", "WEZTERM_PANE", "WT_SESSION", "XTERM_VERSION")


def preview_option(command: Command) -> Command:
    """``--preview/--no-preview``, passed on as ``preview``; None where nothing was said."""
    option = click.option(
        "--preview/--no-preview",
        default=None,
        help="Show small pictures beside the hits. [default: where the terminal can, with the extra preview]",
    )
    return option(command)


@contextmanager
def previews(
    collection: Collection, wanted: bool | None, for_people: bool, limits: Limits
) -> Iterator[Preview | None]:
    """Give what makes the picture of a hit, as long as the block runs; None where no pictures are shown.

    Raises:
        UsageError: pictures are wanted, and the output does not go to people at a terminal.
        MissingExtra: pictures are wanted, and textual-image is not installed.
    """
    draw = _drawing(wanted, for_people)
    if draw is None:
        yield None
        return
    from retrieval.query.pictures import Pictures, default_cache  # late: the worker processes

    with Pictures(collection, limits, default_cache(), workers=1) as pictures:

        def preview(hit: Hit) -> RenderableType | None:
            if hit.kind != "image":
                return None
            try:
                (found,) = pictures.find([hit.id]).values()
                return draw(_image(pictures.thumbnail(found, THUMBNAIL)))
            except (ImageError, ValueError):  # it is gone, has changed, or was deleted meanwhile
                return None

        yield preview


def may_show_pictures(environment: Mapping[str, str]) -> bool:
    """Whether the environment names a terminal that may show pictures; the terminal itself is asked later."""
    return (
        environment.get("TERM_PROGRAM") in _PROGRAMS
        or environment.get("TERM", "").startswith(_TERMS)
        or any(mark in environment for mark in _MARKS)
    )


def _drawing(wanted: bool | None, for_people: bool) -> Callable[[Image], RenderableType] | None:
    """Choose what draws a picture; for a terminal that can show none, and a user who wants them, coloured blocks."""
    at_terminal = for_people and sys.stdin.isatty() and _has_size(sys.stdout)
    if wanted and not at_terminal:
        raise UsageError(
            "pictures are shown at a terminal only, and this output does not go to one; leave out --preview"
        )
    if wanted:
        require("preview", "showing pictures in the terminal")
    elif (
        wanted is not None
        or not at_terminal
        or not may_show_pictures(os.environ)
        or not is_installed("preview")
    ):
        return None
    logging.getLogger("textual_image").setLevel(
        logging.ERROR
    )  # its warnings are about sizes that it then guesses
    from textual_image.renderable import HalfcellImage, SixelImage, TGPImage
    from textual_image.renderable import Image as Chosen  # asks the terminal

    from retrieval.cli.hits import PREVIEW_ROWS

    drawn = Chosen if Chosen in (SixelImage, TGPImage) else HalfcellImage if wanted else None
    return None if drawn is None else lambda image: drawn(image, width="auto", height=PREVIEW_ROWS)


def _has_size(stream: TextIO) -> bool:
    """Whether a stream goes to a terminal that says how large it is, without which no picture can be placed."""
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:
        return False


def _image(thumbnail: bytes) -> Image:
    from PIL import Image as Images  # late: brings Pillow

    with Images.open(io.BytesIO(thumbnail), formats=["WEBP"]) as image:  # made by a worker process
        return image.convert("RGB")
