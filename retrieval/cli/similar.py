"""``vlsearch similar``: more like these items, by their stored vectors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.cli.completing import complete_paths
from retrieval.cli.filter_options import filter_options
from retrieval.cli.hit_output import list_options, shape_of, show
from retrieval.cli.opening import open_hits, open_option
from retrieval.cli.options import collection_option, json_option
from retrieval.cli.previews import preview_option, previews
from retrieval.errors import UsageError
from retrieval.shell import shell_command
from retrieval.types import SORTS, Item, Kind, Sort

if TYPE_CHECKING:
    from retrieval.expressions import Expression
    from retrieval.query.engine import SearchEngine


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_paths)
@click.option(
    "--unlike",
    multiple=True,
    metavar="NAME",
    shell_complete=complete_paths,
    help="And less like this item; repeatable.",
)
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help="Hits.")
@click.option(
    "--find",
    type=click.Choice(["image", "text"]),
    help="The kind of item wanted. [default: the first NAME's]",
)
@filter_options
@click.option(
    "--sort",
    type=click.Choice(SORTS),
    default="score",
    show_default=True,
    help="Order of the hits: most alike first, newest first, or by name.",
)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Pass over so many of the best hits.")
@click.option(
    "--min-score", type=click.FloatRange(-1, 1), metavar="S", help="Leave out hits with a lower score."
)
@click.option("--distinct", is_flag=True, help="Show equal pictures, equal texts, and each video once.")
@click.option("--exact", is_flag=True, help="Look at all vectors, even where an accelerator is there.")
@list_options
@preview_option
@open_option
@json_option("Print one JSON object a hit.")
@collection_option
def similar(
    names: tuple[str, ...],
    unlike: tuple[str, ...],
    k: int,
    find: Kind | None,
    where: Expression | None,
    sort: Sort,
    offset: int,
    min_score: float | None,
    distinct: bool,
    exact: bool,
    as_list: bool | None,
    null: bool,
    preview: bool | None,
    open_them: bool,
    as_json: bool,
    collection: Path,
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
        hits = engine.similar(
            *wanted, unlike=unwanted, k=k, find=find, distinct=distinct, offset=offset, exact=exact,
            where=where, sort=sort, min_score=min_score,
        )  # fmt: skip
        shape = shape_of(as_json, as_list, null)
        if open_them:
            open_hits(engine.collection, hits, engine.limits)
        else:
            with previews(engine.collection, preview, shape == "list", engine.limits) as shown:
                show(hits, shape, null, shown)


def _named(engine: SearchEngine, name: str) -> Item:
    found = engine.named(name) if name else None
    if found is None:
        collection = engine.collection.path
        asked = shell_command("query", Path(name), "--find", "image", "--collection", collection)
        raise UsageError(
            f"collection {collection} has no item {name}, or hides it; to ask with a picture that is not in it: {asked}"
        )
    return found
