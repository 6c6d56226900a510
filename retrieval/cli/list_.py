"""``vlsearch list``: print the items of a collection, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from retrieval.answers import item_facts, json_line
from retrieval.cli.empty_answers import note_no_items
from retrieval.cli.filter_options import filter_options
from retrieval.cli.hit_output import Shape, list_options, shape_of
from retrieval.cli.options import json_option, place_option
from retrieval.cli.printing import name_bytes, name_line, one_line, short_name
from retrieval.places import CollectionPlace
from retrieval.types import Item, Kind

if TYPE_CHECKING:
    from retrieval.collection.listing import ListSort
    from retrieval.expressions import Expression

LINES_A_WRITE = 1000


@click.command(name="list")
@click.option(
    "--kind",
    type=click.Choice(["image", "text"]),
    help="The kind of item. [default: pictures, or texts where there are no pictures]",
)
@filter_options
@click.option(
    "--sort",
    type=click.Choice(["added", "taken", "name"]),
    default="added",
    show_default=True,
    help="Order: as they came, newest first, or by name.",
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Pass over so many items.")
@click.option("--limit", type=click.IntRange(min=0), metavar="N", help="Items to list. [default: all]")
@list_options
@json_option("Print one JSON object an item.")
@place_option
def list_items(
    kind: Kind | None,
    where: Expression | None,
    sort: ListSort,
    offset: int,
    limit: int | None,
    as_list: bool | None,
    null: bool,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""List the items of a collection.

    Hidden items are left out. At a terminal, names are relative to this folder; into a pipe go plain paths (or
    words), one a line.

    \b
        vlsearch list
        vlsearch list --where "rating >= 4" --sort taken --limit 20
        vlsearch list --in ~/Pictures/2021 -0 | xargs -0 ls -l
        vlsearch list --kind text --json
    """
    from retrieval.collection import Collection  # numpy: not for --help

    shape = shape_of(as_json, as_list, null)
    with Collection.open(collection) as opened:
        wanted: Kind = kind or ("image" if opened.has("image") or not opened.has("text") else "text")
        items = opened.listed(wanted, where, sort, offset, limit)
        is_empty = limit != 0
        for page in _pages(_line(item, shape, null) for item in items):
            click.echo(page, nl=False)
            is_empty = False
    if is_empty:
        note_no_items(wanted, where is not None, offset)


def _pages(lines: Iterator[bytes]) -> Iterator[bytes]:
    """Join lines, so that each write has many."""
    while page := b"".join(islice(lines, LINES_A_WRITE)):
        yield page


def _line(item: Item, shape: Shape, null: bool) -> bytes:
    if shape == "json":
        return json_line(item_facts(item)).encode() + b"\n"
    if shape == "paths":
        return name_bytes(item) + b"\0" if null else name_line(item) + b"\n"
    name = short_name(item.uri) + ("  (the file is missing)" if item.missing else "")
    return (name if item.text is None else f"{one_line(item.text)}  ({name})").encode() + b"\n"
