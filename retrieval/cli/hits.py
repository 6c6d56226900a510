"""Print hits for people: rank, score, name, and captions wrapped below; small pictures beside them where shown.

Names are links that a click opens, where the terminal knows such links (OSC 8).
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from urllib.parse import quote

from rich.console import Console, RenderableType
from rich.control import Control
from rich.segment import ControlType
from rich.style import Style
from rich.text import Text

from retrieval.cli.printing import TEXT_NAMES, one_line, short_name, written_ranks, written_region
from retrieval.types import Hit
from retrieval.uris import is_url, split_file_uri

Preview = Callable[[Hit], RenderableType | None]
"""Makes the small picture of a hit; None where there is none to show."""

CAPTIONS_SHOWN = 5  # what COCO and Flickr give a picture
PREVIEW_ROWS = 6  # height of a picture, in lines
BESIDE = 2  # columns between a picture and the texts at its side
_IN_A_LINK = re.compile(
    r"[!-~]+"
)  # printable ASCII, without blanks: nothing that ends the link or moves the cursor
TEXT_CHARACTERS = 200  # of a text that is no caption: a page of a document has thousands


def show_hits(
    hits: Sequence[Hit],
    title: str | None = None,
    captions: int = CAPTIONS_SHOWN,
    preview: Preview | None = None,
) -> None:
    """Print hits, best first, below the query that they answer if there are several queries.

    Args:
        hits: what to print.
        title: a line above them.
        captions: how many of a picture's captions to print at most.
        preview: makes the small picture of a hit.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if title is not None:
        console.print(Text(one_line(title), style="bold"), soft_wrap=True)
    width = len(str(len(hits)))
    for hit in hits:
        _show_hit(console, hit, width, captions, None if preview is None else preview(hit))


def link_of(uri: str) -> str | None:
    """Give what a terminal opens at a click on the name of an item; None where there is nothing to open.

    A file's has the name of this machine, so that a terminal on another one does not open a file of its own.
    """
    split = split_file_uri(uri)
    if split is not None:
        place = quote(uri.removeprefix("file://").partition("#")[0], safe="/%")
        return f"file://{quote(socket.gethostname())}{place}"
    return uri if is_url(uri) and _IN_A_LINK.fullmatch(uri) else None


def _show_hit(console: Console, hit: Hit, width: int, captions: int, picture: RenderableType | None) -> None:
    nearness = "" if hit.cosine is None else f"{hit.cosine:.4f}  "  # other scores tell people nothing
    head = Text.assemble((f"{hit.rank:>{width}}", "bold"), "  ", (nearness, "cyan"))
    indent = head.cell_len
    link = link_of(hit.uri)
    name = Text(short_name(hit.uri), style=Style(link=link) if link is not None else "")
    missing = Text("  (the file is missing)" if hit.missing else "", style="yellow")
    if hit.text is None:
        place = "" if hit.region is None else f"  at {written_region(hit.region)}"
        ranks = written_ranks(hit)
        place += (f"  ({ranks})" if ranks else "") + _second_look(hit)
        # never folded: a name must survive being copied
        console.print(head + name + missing + Text(place, style="dim"), soft_wrap=True)
        shown = [one_line(caption.text) for caption in hit.captions[:captions]]
        left = len(hit.captions) - len(shown)
        if shown and left:
            shown[-1] += f" (and {left} more)"
        below = [Text(caption, style="dim") for caption in shown]
        below += [
            Text(f"{TEXT_NAMES[text.origin]}: {_beginning(text.text)}", style="dim italic")
            for text in hit.texts
        ]
        if picture is not None:
            _show_beside(console, picture, below)
            return
        for text in below:
            _show_wrapped(console, text, indent)
    else:
        _show_wrapped(console, Text(one_line(hit.text)), indent, head)
        name.stylize("dim")
        console.print(Text(" " * indent) + name + missing, soft_wrap=True)


def _second_look(hit: Hit) -> str:
    look = hit.second_look
    if look is None:
        return ""
    if look.score is None:
        return f"  (not looked at again: {one_line(look.failure or '')})"
    return f"  (second look {look.score:.2f}, first rank {look.first_rank})"


def _beginning(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= TEXT_CHARACTERS else f"{line[: TEXT_CHARACTERS - 1]}…"


def _show_wrapped(console: Console, text: Text, indent: int, head: Text | None = None) -> None:
    for number, line in enumerate(text.wrap(console, max(20, console.width - indent))):
        lead = head if head is not None and number == 0 else Text(" " * indent)
        line.rstrip()
        console.print(lead + line, soft_wrap=True)


def _show_beside(console: Console, picture: RenderableType, texts: Sequence[Text]) -> None:
    """Print a picture, and texts at its right side, as many lines of them as it is high."""
    width = console.measure(picture).maximum
    room = console.width - width - BESIDE
    lines = [line for text in texts for line in text.wrap(console, max(20, room))][:PREVIEW_ROWS]
    console.print(picture)
    if room >= 20 and lines:
        console.control(Control.move(0, -PREVIEW_ROWS))
        for line in lines:
            line.rstrip()
            console.control(Control((ControlType.CURSOR_FORWARD, width + BESIDE)))
            console.print(line, soft_wrap=True)
        if len(lines) < PREVIEW_ROWS:
            console.control(Control.move(0, PREVIEW_ROWS - len(lines)))
