"""``vlsearch merge``: make one collection of the shards of a corpus."""

from __future__ import annotations

import click

from retrieval.answers import json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.index import INTERRUPTED, is_failure, report_facts, show_report
from retrieval.cli.options import json_option, place_option, quiet_option, wait_option
from retrieval.cli.progress import progress_display
from retrieval.places import CollectionPlace


@click.command()
@click.argument(
    "shards",
    metavar="SHARD...",
    nargs=-1,
    required=True,
    type=click.Path(),  # a Path would lose a slash of an address
    shell_complete=complete_paths,
)
@place_option
@json_option("Print one JSON object of counts at the end.")
@quiet_option
@wait_option
def merge(
    shards: tuple[str, ...], collection: CollectionPlace, as_json: bool, quiet: bool, wait: float
) -> None:
    r"""Make one collection of the shards of a corpus.

    SHARD are all n collections that "vlsearch index CORPUS --shard i/n" made, each to its end. The corpus is listed
    again, but no picture is opened and nothing is encoded; the collection holds what a single run would have made:
    the same items in the same order, the same vectors and failures, and the same answers. Shards are only read. Run
    the same command again after a kill: it goes on. Where shards were sent to an S3 store, SHARD is that address; they
    are fetched and checked by size and hash. Later, "vlsearch index" keeps the merged collection up to date.

    \b
        vlsearch index /data/pictures --shard 1/2 --collection shard-1
        vlsearch index /data/pictures --shard 2/2 --collection shard-2
        vlsearch merge shard-1 shard-2 --collection photos.collection
        vlsearch merge s3://bucket/run-1 --collection photos.collection
    """
    import indexer  # numpy, sqlalchemy: not for --help

    with progress_display(quiet) as show:
        report = indexer.merge(shards, collection, timeout=wait, on_progress=show)
    if as_json:
        click.echo(json_line(report_facts(report)).encode())
    elif not quiet:
        show_report(report, collection, "taken over")
    if report.interrupted:
        click.echo("Interrupted; what is done is kept. Run the same command again to go on.", err=True)
        raise SystemExit(INTERRUPTED)
    if is_failure(report, strict=False):
        raise SystemExit(1)
