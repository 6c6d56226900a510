"""``vlsearch optimize``: merge segments and drop deleted rows."""

from __future__ import annotations

from pathlib import Path

import click

from retrieval.cli.options import collection_option, wait_option
from retrieval.cli.printing import counted
from retrieval.cli.progress import waiting


@click.command()
@collection_option
@wait_option
def optimize(wait: float, collection: Path) -> None:
    """Merge segments and drop deleted rows.

    No answer changes. Indexing and deletion do it by themselves where it is due.
    """
    import indexer  # numpy, sqlalchemy: not for --help

    with waiting("Merging segments"):
        before, after = indexer.optimize(collection, timeout=wait)
    click.echo(f"{counted(before, 'segment')} before, {counted(after, 'segment')} now")
