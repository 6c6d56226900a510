"""Options of ``index`` that say what a run does beside encoding what is new; together they make one frozen value."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

from retrieval.cli.limit_options import with_options

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class RunChoice:
    """What a run does beside encoding what is new; all but ``ocr`` as :func:`indexer.build` takes it.

    Attributes:
        prune, retry_failed, reread, relative, regions: keywords of :func:`indexer.build`.
        ocr: read the text in pictures; None: as the collection has it.
        shard: ``i/n``, as :func:`indexer.parse_shard` reads it.
        send_to: address in an S3 store that the finished shard is sent to.
    """

    prune: bool
    retry_failed: bool
    reread: bool
    relative: bool
    ocr: bool | None
    regions: bool | None
    shard: str | None
    send_to: str | None


_OPTIONS = (
    click.option("--prune", is_flag=True, help="Drop items that are no longer in CORPUS, nor in another."),
    click.option(
        "--retry-failed", is_flag=True, help="Try again what failed before, even if it is unchanged."
    ),
    click.option("--reread", is_flag=True, help="Read everything again; encode only what has changed."),
    click.option(
        "--relative",
        is_flag=True,
        help="Keep paths relative to the folder that holds the collection: for a drive that carries both.",
    ),
    click.option(
        "--ocr/--no-ocr",
        default=None,
        help="Then read the text in the collection's pictures, so that words find them (pip install 'vlsearch[ocr]'). "
        "A collection remembers it: index and watch read the text in new pictures until --no-ocr.",
    ),
    click.option(
        "--regions/--no-regions",
        default=None,
        help="Also give pictures vectors of their regions, so that small things are found; or drop those. "
        "[default: as the collection has it]",
    ),
    click.option(
        "--shard",
        "shard",
        metavar="i/n",
        help="Take the i-th of n disjoint parts of CORPUS alone: for n machines, and vlsearch merge.",
    ),
    click.option(
        "--send-to",
        metavar="S3://BUCKET/PREFIX",
        help="Then send the finished shard there, as a whole, for vlsearch merge (pip install 'vlsearch[s3]').",
    ),
)


def run_options(command: Command) -> Command:
    """Add the options; the command gets them as ``choice`` (a :class:`RunChoice`)."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> Any:
        choice = RunChoice(**{field.name: options.pop(field.name) for field in fields(RunChoice)})
        return command(*args, choice=choice, **options)

    result: Command = with_options(_OPTIONS, wrapped)
    return result
