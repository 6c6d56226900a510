"""``vlsearch doctor``: check that a collection's files are as its catalogue says, and repair it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retrieval.cli.options import place_option, wait_option
from retrieval.cli.printing import counted, one_line, printable
from retrieval.errors import CollectionDamaged, CollectionError
from retrieval.places import CollectionPlace
from retrieval.shell import command_on

if TYPE_CHECKING:
    from indexer import Diagnosis

DAMAGED = 1


class NotExamined(click.ClickException):
    """The collection could not be examined, so it may or may not be damaged."""

    exit_code = 3


@click.command()
@click.option("--repair", is_flag=True, help="Drop what is damaged, so that index encodes it again.")
@place_option
@wait_option
def doctor(repair: bool, wait: float, collection: CollectionPlace) -> None:
    """Check a collection byte by byte, and repair it.

    Files that nothing refers to are not damage: the next writer removes those that a killed one left,
    and sets aside those that only another catalogue (from before a backup came back) may name.
    Exits with 0 if the collection is sound, 1 if it is damaged, 3 if it could not be examined.
    """
    import indexer  # numpy, sqlalchemy: not for --help

    try:
        diagnosis = indexer.doctor(collection, repair=repair, timeout=wait)
    except CollectionDamaged as error:
        raise click.ClickException(
            f"collection {printable(str(collection))} is beyond repair: {printable(error.fault)}; "
            "index its corpora into a new one"
        ) from error
    except (CollectionError, OSError) as error:
        raise NotExamined(printable(str(error))) from error
    _show(diagnosis, collection)
    if diagnosis.faults:
        raise SystemExit(DAMAGED)


def _show(diagnosis: Diagnosis, collection: CollectionPlace) -> None:
    for fault in diagnosis.repaired:
        click.echo(f"repaired: {one_line(fault)}")
    for fault in diagnosis.faults:
        click.echo(f"damage: {one_line(fault)}")
    for orphan in diagnosis.orphans:
        click.echo(f"orphan: {one_line(orphan)}")
    where = printable(str(collection))
    if diagnosis.faults:
        repair = command_on(collection, "doctor", "--repair")
        click.echo(f"{where} is damaged: {counted(len(diagnosis.faults), 'fault')}; try {repair}")
    else:
        click.echo(f"{where} is sound")
    if diagnosis.repaired:
        click.echo("Index its corpora again, to encode what was dropped.")
