"""``vlsearch similar``: more like these items, by their stored vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.cli.completing import complete_paths
from retrieval.cli.empty_answers import note_no_hits
from retrieval.cli.hit_output import list_options, shape_of
from retrieval.cli.opening import open_option
from retrieval.cli.options import json_option, place_option
from retrieval.cli.previews import preview_option
from retrieval.cli.request_options import OF_SIMILAR, RequestCommand, request_options
from retrieval.cli.showing import show_or_open
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.shell import command_on
from retrieval.types import Hits, Item, Request

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine


@click.command(cls=RequestCommand)
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_paths)
@click.option(
    "--unlike",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_paths,
    help="And less like this item; repeatable.",
)
@request_options(OF_SIMILAR)
@list_options
@preview_option
@open_option
@json_option("Print one JSON object a hit.")
@place_option
def similar(
    names: tuple[str, ...],
    unlike: tuple[str, ...],
    request: Request,
    as_list: bool | None,
    null: bool,
    preview: bool | None,
    open_them: bool,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Find what is most like items of the collection.

    Nothing is encoded and no model is loaded, and the files need not be there. A NAME is an item's key, its uri, or
    the path of its file; several are summed. The items themselves are left out.

    \b
        vlsearch similar ~/Pictures/beach.jpg
        vlsearch similar beach.jpg dunes.jpg --unlike crowd.jpg
        vlsearch similar beach.jpg --in ~/Pictures/2021 --after 2021-05
    """
    from retrieval.query.engine import open_engine  # numpy, faiss: not for --help

    with open_engine(collection) as engine:
        wanted = [_named(engine, name) for name in names]
        unwanted = [_named(engine, name) for name in unlike]
        hits = engine.answer_similar(wanted, unwanted, request)
        note_no_hits(Hits(hits), request)
        show_or_open(engine, hits, shape_of(as_json, as_list, null), null, preview, open_them)


def _named(engine: SearchEngine, name: str) -> Item:
    found = engine.named(name) if name else None
    if found is None:
        collection = engine.collection.path
        asked = command_on(collection, "query", Path(name), "--find", "image")
        raise UsageError(
            f"collection {collection} has no item {name}, or hides it; to ask with a picture that is not in it: {asked}"
        )
    return found
