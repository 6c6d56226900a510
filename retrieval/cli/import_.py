"""``vlsearch import``: read npy and Parquet files into a collection."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.options import place_option, wait_option
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import waiting
from retrieval.places import CollectionPlace
from retrieval.shell import command_on


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--model",
    shell_complete=complete_models,
    help="Model that made the vectors; export notes it, clip-retrieval does not.",
)
@place_option
@wait_option
def import_(folder: Path, model: str | None, wait: float, collection: CollectionPlace) -> None:
    r"""Read a folder of npy and Parquet files into a collection.

    FOLDER is one that export or clip-retrieval wrote.

    \b
        pip install 'vlsearch[parquet]'
        vlsearch import out
    """
    import indexer  # numpy, sqlalchemy, pyarrow: not for --help

    with waiting("Importing"):
        done = indexer.import_collection(folder, collection, model=model, timeout=wait)
    held = f"{counted(done.images, 'image')}, {counted(done.captions, 'caption')}"
    click.echo(f"{held}, {counted(done.links, 'link')} imported into {printable(str(collection))}")
    if done.failed:
        see = command_on(collection, "info", "--failures")
        click.echo(f"{counted(done.failed, 'row')} failed; see: {see}")
