"""``vlsearch optimize``: merge segments, drop deleted rows, build accelerators over many vectors."""

from __future__ import annotations

import click

from retrieval.cli.accelerators import described
from retrieval.cli.options import place_option, wait_option
from retrieval.cli.printing import counted
from retrieval.cli.progress import waiting
from retrieval.places import CollectionPlace, ServerAddress


@click.command()
@place_option
@click.option(
    "--recall",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=None,
    metavar="R",
    help="Average recall@10, against exact search, that an accelerator must reach. [default: as asked before, else "
    "0.98]",
)
@click.option(
    "--scan",
    is_flag=True,
    help="Drop accelerators: searches read all vectors, until optimize is given without it.",
)
@wait_option
def optimize(recall: float | None, scan: bool, wait: float, collection: CollectionPlace) -> None:
    """Merge segments, drop deleted rows, speed up searches.

    For 100,000 images or more, or as many texts, an accelerator (an approximate index) is built, tuned and
    measured. Searches then read only a part of the vectors and find on average the share --recall of the exact
    10 best; the hits that they find keep their scores and order. "vlsearch query --exact" reads all vectors, and
    evaluations always do. Otherwise no answer changes. Indexing does all of this by itself when it is due, with the
    --recall that was asked for last.

    A PostgreSQL server builds an index of its own (IVFFlat), which takes minutes, and only this command does it.
    """
    import indexer  # numpy, sqlalchemy: not for --help

    if not isinstance(collection, ServerAddress):
        with waiting("Merging segments"):
            before, after = indexer.optimize(collection, timeout=wait)
        click.echo(f"{counted(before, 'segment')} before, {counted(after, 'segment')} now")
    if scan:
        dropped = indexer.drop_accelerators(collection, timeout=wait)
        click.echo(f"{counted(dropped, 'accelerator')} dropped: searches scan all vectors")
        return
    with waiting("Building accelerators"):
        built = indexer.accelerate(collection, recall=recall, timeout=wait)
    for kind in built:
        if kind.measurement is None:
            missed = f"no accelerator finds {kind.target:.1%} of the exact 10 best"
            click.echo(f"{kind.kind}s: {missed}; searches scan all vectors")
        else:
            click.echo(f"{kind.kind}s: {described(kind.measurement)}")
