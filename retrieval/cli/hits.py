"""Print hits for people: rank, score, name, and captions wrapped below."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from retrieval.cli.printing import TEXT_NAMES, one_line, short_name
from retrieval.types import Hit

CAPTIONS_SHOWN = 5  # what COCO and Flickr give a picture
TEXT_CHARACTERS = 200  # of a text that is no caption: a page of a document has thousands


def show_hits(hits: Sequence[Hit], title: str | None = None, captions: int = CAPTIONS_SHOWN) -> None:
    """Print hits, best first, below the query that they answer if there are several queries.

    Args:
        hits: what to print.
        title: a line above them.
        captions: how many of a picture's captions to print at most.
    """
    console = Console(highlight=False, markup=False, emoji=False)
    if title is not None:
        console.print(Text(one_line(title), style="bold"), soft_wrap=True)
    width = len(str(len(hits)))
    for hit in hits:
        _show_hit(console, hit, width, captions)


def _show_hit(console: Console, hit: Hit, width: int, captions: int) -> None:
    head = Text.assemble((f"{hit.rank:>{width}}", "bold"), "  ", (f"{hit.score:.4f}", "cyan"), "  ")
    indent = head.cell_len
    name = Text(short_name(hit.uri))
    missing = Text("  (the file is missing)" if hit.missing else "", style="yellow")
    if hit.text is None:
        console.print(head + name + missing, soft_wrap=True)  # never folded: a name must survive being copied
        shown = [one_line(caption.text) for caption in hit.captions[:captions]]
        left = len(hit.captions) - len(shown)
        if shown and left:
            shown[-1] += f" (and {left} more)"
        for caption in shown:
            _show_wrapped(console, Text(caption, style="dim"), indent)
        for text in hit.texts:
            _show_wrapped(
                console,
                Text(f"{TEXT_NAMES[text.origin]}: {_beginning(text.text)}", style="dim italic"),
                indent,
            )
    else:
        _show_wrapped(console, Text(one_line(hit.text)), indent, head)
        name.stylize("dim")
        console.print(Text(" " * indent) + name + missing, soft_wrap=True)


def _beginning(text: str) -> str:
    line = one_line(text)
    return line if len(line) <= TEXT_CHARACTERS else f"{line[: TEXT_CHARACTERS - 1]}…"


def _show_wrapped(console: Console, text: Text, indent: int, head: Text | None = None) -> None:
    for number, line in enumerate(text.wrap(console, max(20, console.width - indent))):
        lead = head if head is not None and number == 0 else Text(" " * indent)
        line.rstrip()
        console.print(lead + line, soft_wrap=True)
