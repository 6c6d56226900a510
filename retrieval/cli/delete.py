"""``vlsearch delete``: delete items from a collection."""

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
def delete(names: tuple[str, ...], wait: float, collection: CollectionPlace) -> None:
    r"""Delete items from a collection.

    The files themselves stay where they are, and the next index run over them brings the items back: to keep
    them out, hide them. Failures recorded under a NAME are forgotten. A NAME is an item's key, its uri, or a
    path; a folder or a tar stands for everything in it. A NAME that means nothing is told, and the exit code is
    1; the others are deleted.

    \b
        vlsearch delete ~/Pictures/2019
        vlsearch delete photos.tar 'file:///data/captions.csv#7'
    """
    import indexer  # numpy, sqlalchemy: not for --help

    done = indexer.delete(collection, names, timeout=wait)
    is_changed = bool(done.items or done.failures)
    if is_changed:
        forgotten = f", {counted(done.failures, 'failure')} forgotten" if done.failures else ""
        click.echo(f"{counted(done.items, 'item')} deleted from {printable(str(collection))}{forgotten}")
    if done.still_there:
        click.echo(
            "Their files are still there, and the next index of them brings them back; to keep them out use "
            "vlsearch hide instead of vlsearch delete.",
            err=True,
        )
    advice = f"see how items are named with: {command_on(collection, 'list', '--json')}"
    check_known(done.unknown, f"collection {collection} has no item under", advice, is_changed)
