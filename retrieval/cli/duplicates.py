"""``vlsearch duplicates``: copies in groups, the best first; decisions to keep them; nothing is deleted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import (
    json_option,
    place_option,
    quiet_option,
    use_one_blas_thread,
    wait_option,
)
from retrieval.cli.printing import bytes_size, counted, printable
from retrieval.cli.progress import progress_display
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.shell import command_on
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.duplicates.find import Duplicates
    from retrieval.duplicates.groups import DuplicateClass

CLASS_NAMES: tuple[DuplicateClass, ...] = ("bytes", "picture", "moment")
_OF_CLASS: dict[DuplicateClass, str] = {
    "bytes": "of equal files",
    "picture": "of the same picture",
    "moment": "of the same moment",
}


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--only",
    "classes",
    type=click.Choice(CLASS_NAMES),
    multiple=True,
    help="Look for this class of duplicates alone; repeatable. [default: all three]",
)
@click.option(
    "--within",
    "within_s",
    type=click.FloatRange(min=0, max=86_400),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Seconds between two pictures of the same moment, at most.",
)
@click.option("--keep", is_flag=True, help="Keep all the pictures NAME...: do not list them together again.")
@click.option("--forget", is_flag=True, help="Take back what --keep has said of the pictures NAME...")
@click.option("--kept", "with_kept", is_flag=True, help="List also the groups that are to be kept.")
@click.option(
    "--list/--paths",
    "as_list",
    default=None,
    help="Print for people, or for pipes. [default: --list at a terminal]",
)
@limit_options
@quiet_option
@wait_option
@json_option("Print one JSON object a group.")
@place_option
def duplicates(
    names: tuple[str, ...],
    classes: tuple[DuplicateClass, ...],
    within_s: float,
    keep: bool,
    forget: bool,
    with_kept: bool,
    as_list: bool | None,
    limits: Limits,
    quiet: bool,
    wait: float,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Find copies among the pictures, the best of each first.

    Nothing is deleted or changed. There are three classes, and each group is of one:

    \b
        bytes    files that are equal byte for byte
        picture  the same picture in other files: resized, recompressed, cropped by up to
                 10 %, with a border, mirrored, turned
        moment   other pictures of the same moment: taken within seconds, and alike

    Files are looked at the first time, and what was seen is kept in your cache folder. The best copy is the one with
    the most pixels (raw camera files first), then metadata of a camera, the most metadata, no name like a copy's, then
    the one that is not mirrored or turned, the first taken, the oldest and the largest file; of equal files the one
    with the most metadata that is not named like a copy.

    \b
        vlsearch duplicates
        vlsearch duplicates --only picture --json
        vlsearch duplicates --keep a.jpg b.jpg        both are wanted: not listed together again

    Into a pipe goes a line for each copy, with tabs between: number of the group, class, "best" or "other",
    path. To remove a file, use your file manager and then: vlsearch index --prune
    """
    use_one_blas_thread()
    if keep or forget:
        _decide(collection, names, keep, forget, wait)
        return
    if names:
        raise UsageError("names go with --keep or --forget; without them all of the collection is looked at")
    from retrieval.query.engine import open_engine  # numpy: not for --help

    with open_engine(collection, limits=limits) as engine, progress_display(quiet) as show_progress:
        found = engine.duplicates(
            classes=classes or CLASS_NAMES, within_s=within_s, with_kept=with_kept, on_progress=show_progress
        )
    if as_json:
        from retrieval.duplicates.group_facts import group_facts

        for number, group in enumerate(found.groups, start=1):
            click.echo(json_line({"group": number, **group_facts(group)}).encode())
    else:
        from retrieval.cli.duplicate_groups import show_groups, show_lines  # rich: only for people

        (show_groups if (sys.stdout.isatty() if as_list is None else as_list) else show_lines)(found.groups)
    if not quiet:
        _summarize(found, collection)


def _decide(collection: CollectionPlace, names: Sequence[str], keep: bool, forget: bool, wait: float) -> None:
    if keep and forget:
        raise UsageError("--keep and --forget contradict each other; give one of them")
    if not names:
        raise UsageError(f"name the pictures to {'keep' if keep else 'forget'}, such as a.jpg b.jpg")
    import indexer  # numpy, sqlalchemy: not for --help

    if keep:
        count = indexer.keep(collection, names, timeout=wait)
        again = command_on(collection, "duplicates", "--forget", names[0])
        what = "equal files are" if count == 1 else f"{counted(count, 'picture')} are"
        click.echo(f"{what} kept, and not listed together again; take that back with: {printable(again)}")
    else:
        count = indexer.forget_kept(collection, names, timeout=wait)
        click.echo(f"{counted(count, 'decision')} taken back")


def _summarize(found: Duplicates, collection: CollectionPlace) -> None:
    """Tell on stderr what was looked at, and what was not."""
    said = [f"{counted(found.images, 'picture')} in {printable(str(collection))}"]
    for kind, what in _OF_CLASS.items():
        groups = [group for group in found.groups if group.duplicates == kind]
        if groups:
            size = sum(copy.bytes or 0 for group in groups for copy in group.copies[1:])
            beside = f" ({bytes_size(size)} beside the best)" if kind != "moment" else ""
            said.append(f"{counted(len(groups), 'group')} {what}{beside}")
    if not found.groups:
        said.append("no duplicates")
    if found.kept:
        said.append(f"{counted(found.kept, 'group')} kept (--kept lists them)")
    click.echo(", ".join(said), err=True)
    if found.failed:
        click.echo(
            f"Note: {counted(found.failed, 'picture')} could not be looked at (files gone, changed or on the web), "
            "so edited copies of them were not found",
            err=True,
        )
