"""``vlsearch export``: write a collection as npy and Parquet files."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.options import place_option
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import waiting
from retrieval.places import CollectionPlace


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--hidden", is_flag=True, help="Export hidden items too; an import hides them again.")
@place_option
def export(folder: Path, hidden: bool, collection: CollectionPlace) -> None:
    r"""Write a collection as npy and Parquet files.

    They go into a new FOLDER, in the layout that clip-retrieval reads. Hidden items stay out.

    \b
        pip install 'vlsearch[parquet]'
        vlsearch export out
    """
    import indexer  # numpy, sqlalchemy, pyarrow: not for --help

    with waiting("Exporting"):
        done = indexer.export_collection(collection, folder, hidden=hidden)
    held = f"{counted(done.images, 'image')}, {counted(done.texts, 'text')}"
    click.echo(f"{held} exported to {printable(str(folder))}")
    if done.left_out:
        click.echo(
            f"{counted(done.left_out, 'item')} left out for want of a vector; index their corpus again"
        )
