"""Print groups of duplicates: for people with sizes and reasons, for pipes as lines with tabs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import click
from rich.console import Console
from rich.text import Text

from retrieval.cli.printing import bytes_size, short_name, uri_bytes
from retrieval.duplicates.groups import DuplicateCopy, DuplicateGroup

_HEADINGS = {
    "bytes": "Equal files",
    "picture": "The same picture in other files",
    "moment": "Other pictures of the same moment",
}


def show_groups(groups: Sequence[DuplicateGroup]) -> None:
    """Print groups under a heading for each class; in each the best copy first, with what it has before the others."""
    console = Console(highlight=False, markup=False, emoji=False)
    width = len(str(len(groups)))
    numbered = enumerate(groups, start=1)
    for kind, of_kind in groupby(numbered, key=lambda pair: pair[1].duplicates):
        console.print(Text(_HEADINGS[kind], style="bold"))
        for number, group in of_kind:
            best, *others = group.copies
            lead = Text.assemble((f"{number:>{width}}", "bold"), "  ", ("best  ", "green"))
            reason = Text(f"  ({group.why})", style="dim")
            console.print(lead + _described(best) + reason, soft_wrap=True)
            for copy in others:
                name = "also  " if kind == "moment" else "copy  "
                console.print(Text(" " * (width + 2) + name) + _described(copy), soft_wrap=True)
        console.print()


def show_lines(groups: Sequence[DuplicateGroup]) -> None:
    """Print a line for each copy: group, class, best or other, and its path, with tabs between."""
    for number, group in enumerate(groups, start=1):
        for place, copy in enumerate(group.copies):
            rank = "other" if place else "best"
            click.echo(f"{number}\t{group.duplicates}\t{rank}\t".encode() + uri_bytes(copy.uri))


def _described(copy: DuplicateCopy) -> Text:
    facts = []
    if copy.width and copy.height:
        facts.append(f"{copy.width} x {copy.height}")
    if copy.bytes is not None:
        facts.append(bytes_size(copy.bytes))
    if copy.taken:
        facts.append(copy.taken.replace("T", " "))
    text = Text.assemble(short_name(copy.uri), ("  " + ", ".join(facts) if facts else "", "cyan"))
    if copy.missing:
        text.append("  (the file is missing)", style="yellow")
    return text
