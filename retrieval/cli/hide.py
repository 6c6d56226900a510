"""``vlsearch hide`` and ``vlsearch unhide``: keep items out of all hits while their files stay."""

from __future__ import annotations

import click

from retrieval.cli.completing import complete_paths
from retrieval.cli.options import place_option, wait_option
from retrieval.cli.printing import counted, printable
from retrieval.cli.unknown_names import check_known
from retrieval.places import CollectionPlace
from retrieval.shell import command_on


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_paths)
@place_option
@wait_option
def hide(names: tuple[str, ...], wait: float, collection: CollectionPlace) -> None:
    r"""Keep items out of all hits, until they are unhidden.

    The files stay where they are, and no later index run, rename or --prune shows the items again. A NAME is
    an item's key, its uri, or a path; a folder or a tar stands for every item that is in it now. A picture's
    file that is not in the collection yet is hidden when it comes; a PDF, a TIFF or a video has to be indexed
    first. A NAME that means nothing is told, and the exit code is 1; what the others mean is hidden. Where
    another file takes the name of a hidden picture that was renamed before the next run, the name stays hidden
    and the picture under its new name is to be hidden again. List what is hidden with: vlsearch info --hidden

    \b
        vlsearch hide ~/Pictures/passport.jpg
        vlsearch hide ~/Pictures/private
    """
    import indexer  # numpy, sqlalchemy: not for --help

    unknown: list[str | int] = []
    count = indexer.hide(collection, names, timeout=wait, on_unknown=unknown.append)
    if count:
        again = command_on(collection, "unhide", names[0] if len(names) == 1 else "NAME")
        click.echo(
            f"{counted(count, 'item')} hidden in {printable(str(collection))}; show again with: {printable(again)}"
        )
    check_known(
        unknown, f"collection {collection} has no item under", "index it first, or name a file", count > 0
    )


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_paths)
@place_option
@wait_option
def unhide(names: tuple[str, ...], wait: float, collection: CollectionPlace) -> None:
    r"""Let hidden items be found again.

    A NAME is an item's key, its uri, or a path; a folder or a tar stands for everything hidden in it. A NAME under
    which nothing is hidden is told, and the exit code is 1; the others are unhidden.

    \b
        vlsearch unhide ~/Pictures/private
    """
    import indexer  # numpy, sqlalchemy: not for --help

    unknown: list[str | int] = []
    count = indexer.unhide(collection, names, timeout=wait, on_unknown=unknown.append)
    if count:
        click.echo(f"{counted(count, 'item')} no longer hidden in {printable(str(collection))}")
    advice = f"see what it hides with: {command_on(collection, 'info', '--hidden')}"
    check_known(unknown, f"collection {collection} hides nothing under", advice, count > 0)
