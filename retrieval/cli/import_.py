"""``vlsearch import``: plain npy and Parquet files into a collection."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.options import collection_option
from retrieval.cli.printing import printable
from retrieval.cli.progress import waiting


@click.command("import")
@click.argument("folder", type=click.Path(path_type=Path))
@collection_option
def import_(folder: Path, collection: Path) -> None:
    """Read a folder of npy and Parquet files into a collection.

    FOLDER is one that export or clip-retrieval wrote.
    """
    import indexer  # numpy, sqlalchemy, pyarrow: not for --help

    with waiting("Importing"):
        indexer.import_collection(folder, collection)
    click.echo(f"{printable(str(folder))} is imported into {printable(str(collection))}")
