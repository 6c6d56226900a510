"""``vlsearch reindex``: encode a collection again with another model."""

from __future__ import annotations

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import place_option, quiet_option, runtime_options, wait_option
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import progress_display
from retrieval.places import CollectionPlace
from retrieval.types import Limits


@click.command()
@click.option(
    "--model",
    required=True,
    shell_complete=complete_models,
    help="Model to encode with, by alias, hub name or folder.",
)
@click.option("--skip-unreadable", is_flag=True, help="Switch even if some pictures cannot be read again.")
@limit_options
@runtime_options
@place_option
@quiet_option
@wait_option
def reindex(
    model: str, skip_unreadable: bool, limits: Limits, wait: float, collection: CollectionPlace, quiet: bool
) -> None:
    r"""Encode a collection again with another model.

    The new vectors are built beside the old ones, and one commit switches: until then, and if anything
    goes wrong, queries are answered by the old ones. Run again, it goes on where it was.

    \b
        vlsearch reindex --model siglip2-base
    """
    import indexer  # numpy, sqlalchemy: not for --help

    with progress_display(quiet) as show:
        done = indexer.reindex(
            collection,
            model,
            skip_unreadable=skip_unreadable,
            limits=limits,
            timeout=wait,
            on_progress=show,
        )
    if not quiet:
        click.echo(f"{printable(str(collection))} is now encoded by {printable(model)}")
        if done.unreadable:
            click.echo(f"{counted(done.unreadable, 'picture')} could not be read again and cannot be found")
