"""``vlsearch copy``: copy a collection between folders and servers."""

from __future__ import annotations

import click

from retrieval.cli.options import given_place
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import waiting
from retrieval.places import CollectionPlace


@click.command()
@click.argument("source", metavar="FROM", callback=given_place)
@click.argument("target", metavar="TO", callback=given_place)
@click.option("--replace", is_flag=True, help="Put it in the place of a collection on a server.")
def copy(source: CollectionPlace, target: CollectionPlace, replace: bool) -> None:
    r"""Copy a collection to a server of PostgreSQL, or from one.

    FROM and TO are folders or postgresql://USER@HOST/DATABASE/NAME (with pgvector). Items keep their ids, and both
    give equal answers. All rows and vectors are read again and compared before the copy counts. PostgreSQL's own
    variables and files have passwords (PGPASSWORD, ~/.pgpass).

    \b
        pip install 'vlsearch[postgres]'
        vlsearch copy ~/photos postgresql://me@db.example/pictures/photos
        vlsearch query "a dog" --collection postgresql://me@db.example/pictures/photos
        vlsearch copy postgresql://me@db.example/pictures/photos ~/photos-again
    """
    import indexer  # numpy, sqlalchemy: not for --help

    with waiting("Copying"):
        done = indexer.copy_collection(source, target, replace=replace)
    held = (
        f"{counted(done.images, 'image')}, {counted(done.texts, 'text')}, {counted(done.vectors, 'vector')}"
    )
    click.echo(
        f"{held} copied to {printable(str(target))}, generation {done.generation:,}; all rows are equal"
    )
    if done.regions:
        click.echo(
            f"the vectors of regions of {counted(done.regions, 'image')} were left behind; in a folder, "
            "index --regions makes them again",
            err=True,
        )
