"""``vlsearch album``: searches under names, kept in the collection and asked again."""

from __future__ import annotations

import json

import click

from retrieval.answers import json_line
from retrieval.cli.certainty import sentence
from retrieval.cli.completing import complete_albums
from retrieval.cli.empty_answers import note_no_hits
from retrieval.cli.hit_output import list_options, shape_of
from retrieval.cli.limit_options import limit_options
from retrieval.cli.opening import open_option
from retrieval.cli.options import (
    json_option,
    moved_model_option,
    place_option,
    runtime_options,
    use_one_blas_thread,
    wait_option,
)
from retrieval.cli.previews import preview_option
from retrieval.cli.printing import printable
from retrieval.cli.progress import waiting
from retrieval.cli.request_options import OF_QUERY, request_options
from retrieval.cli.showing import show_or_open
from retrieval.cli.typed_query import (
    QueryCommand,
    TypedQuery,
    parse_typed,
    read_aloud,
    typed_query,
    with_words,
)
from retrieval.places import CollectionPlace
from retrieval.shell import command_on
from retrieval.types import Limits, Request


@click.group()
def album() -> None:
    r"""Keep searches under names, and ask them again.

    \b
        vlsearch album save "Dogs in the snow" "a dog in the snow" --after 2021 -k 50
        vlsearch album list
        vlsearch album show "Dogs in the snow"

    An album is kept in the collection: what was asked, and no picture. Each time it is shown, it is asked of what the
    collection holds then. A picture of the collection is kept as that item, under whatever name it goes later; another
    picture is kept as its path, and read again.
    """


@album.command(cls=QueryCommand)
@click.argument("name")
@typed_query
@request_options(OF_QUERY)
@click.option("--replace", is_flag=True, help="Take the place of an album of that name.")
@wait_option
@place_option
def save(
    name: str, typed: TypedQuery, request: Request, replace: bool, wait: float, collection: CollectionPlace
) -> None:
    r"""Keep a search as album NAME; parts and options are those of vlsearch query.

    \b
        vlsearch album save Dogs "a dog without a ball" --where "rating >= 4" -k 50
        vlsearch album save "Like this" ./sunset.jpg --find image
        vlsearch album save Frisbees --words frisbee
    """
    typed, request = with_words(typed, request, alone=True)
    query = parse_typed(typed)
    if not typed.literal:
        read_aloud(query)
    import indexer  # numpy, sqlalchemy: not for --help
    from retrieval.query.engine import open_engine

    with open_engine(collection) as engine:
        kept = engine.make_album(name, query, request, literal=typed.literal)
    indexer.save_album(collection, kept, replace=replace, timeout=wait)
    shown = command_on(collection, "album", "show", name)
    click.echo(f"album {printable(name)} saved; show it with: {printable(shown)}")


@album.command(name="list")
@json_option("Print one JSON object an album.")
@place_option
def list_albums(as_json: bool, collection: CollectionPlace) -> None:
    """List albums by name: the name, a tab, and the search that each is."""
    from retrieval.collection import Collection  # numpy: not for --help
    from retrieval.query.albums import command_of

    with Collection.open(collection) as opened, opened.reading() as view:
        albums = view.albums()
    for one in albums:
        if as_json:
            line = json_line({"name": one.name, "request": json.loads(one.to_json())})
        else:
            line = printable(f"{one.name}\t{command_of(one, collection)}")
        click.echo(line.encode())


@album.command()
@click.argument("name", shell_complete=complete_albums)
@moved_model_option
@limit_options
@list_options
@preview_option
@open_option
@runtime_options
@json_option("Print one JSON object a hit.")
@place_option
def show(
    name: str,
    model: str | None,
    limits: Limits,
    as_list: bool | None,
    null: bool,
    preview: bool | None,
    open_them: bool,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    """Ask what album NAME asks, and print its hits as vlsearch query does."""
    use_one_blas_thread()
    from retrieval.query.engine import open_engine  # numpy: not for --help

    with open_engine(collection, encoder=model, limits=limits) as engine:
        with waiting("Loading the model"):
            kept = engine.album(name)
            hits = engine.search_album(kept)
        note_no_hits(hits, kept.request)
        if (said := sentence(hits)) is not None:
            click.echo(said, err=True)
        show_or_open(engine, hits, shape_of(as_json, as_list, null), null, preview, open_them)


@album.command()
@click.argument("name", shell_complete=complete_albums)
@click.argument("new_name")
@wait_option
@place_option
def rename(name: str, new_name: str, wait: float, collection: CollectionPlace) -> None:
    """Call album NAME NEW_NAME."""
    import indexer  # numpy, sqlalchemy: not for --help

    indexer.rename_album(collection, name, new_name, timeout=wait)
    click.echo(f"album {printable(name)} is called {printable(new_name)} now")


@album.command()
@click.argument("name", shell_complete=complete_albums)
@wait_option
@place_option
def delete(name: str, wait: float, collection: CollectionPlace) -> None:
    """Delete album NAME; the pictures that it shows stay."""
    import indexer  # numpy, sqlalchemy: not for --help

    indexer.delete_album(collection, name, timeout=wait)
    click.echo(f"album {printable(name)} deleted; its pictures are where they were")
