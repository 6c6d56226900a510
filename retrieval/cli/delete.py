"""``vlsearch delete``: items out of a collection."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.options import collection_option
from retrieval.cli.printing import counted, printable
from retrieval.errors import UsageError
from retrieval.uris import file_uri


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@collection_option
def delete(names: tuple[str, ...], collection: Path) -> None:
    r"""Delete items from a collection.

    The files themselves stay where they are. A NAME is an item's key, its uri, or a path; a folder or a tar
    stands for everything in it.

    \b
        vlsearch delete ~/Pictures/2019
        vlsearch delete photos.tar 'file:///data/captions.csv#7'
    """
    import indexer  # numpy, sqlalchemy: not for --help

    count = indexer.delete(collection, [as_unicode(name) for name in names])
    if not count:
        raise UsageError(
            f"collection {collection} has no item under {', '.join(names)}; see how items are named with: "
            "vlsearch query --json"
        )
    click.echo(f"{counted(count, 'item')} deleted from {printable(str(collection))}")


def as_unicode(name: str) -> str:
    """The name of an item as the catalogue can hold it: a path that is not valid Unicode as its uri."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return file_uri(Path(name))
    return name
