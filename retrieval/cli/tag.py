"""``vlsearch tag``: names of a vocabulary as tags of the pictures that are likely to show them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import file_path, json_line
from retrieval.cli.filter_options import filter_options
from retrieval.cli.options import json_option, place_option, quiet_option, runtime_options, wait_option
from retrieval.cli.printing import counted, printable, short_name
from retrieval.cli.progress import progress_display
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.shell import command_on

if TYPE_CHECKING:
    from indexer.tagging import Tagged, TaggedImage
    from retrieval.expressions import Expression

MOST_SHOWN = 20


@click.command()
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names to choose from, one a line: NAME, or NAME, a tab and the same in another language. [default: some "
    "600 everyday names, in English and Chinese]",
)
@click.option(
    "--min-probability",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=0.5,
    show_default=True,
    metavar="P",
    help="Tag with names that are at least so likely.",
)
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=10,
    show_default=True,
    metavar="N",
    help="Names a picture at most, the likeliest.",
)
@click.option("--remove", is_flag=True, help="Take off the tags that this command gave.")
@click.option(
    "--dry-run", is_flag=True, help="Change nothing; print each picture with the tags that it would get."
)
@filter_options
@runtime_options
@quiet_option
@wait_option
@json_option("Print one JSON object a picture.")
@place_option
def tag(
    vocabulary: Path | None,
    min_probability: float,
    most: int,
    remove: bool,
    dry_run: bool,
    where: Expression | None,
    quiet: bool,
    wait: float,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Tag pictures with what they are likely to show.

    Stored vectors are compared with the names of a vocabulary; no picture is read again. A picture for which no
    name is likely gets no tag. Tags are attributes that conditions see, and tags of an earlier run are replaced;
    those that people or programs gave stay. Pictures that came later are tagged when this runs again.

    \b
        vlsearch tag
        vlsearch query "in the evening" --where "tags contains dog"
        vlsearch list --where "tags contains 狗 and tag:dog >= 0.8"
        vlsearch tag --vocabulary birds.txt --where "tags contains bird" --dry-run
        vlsearch tag --remove
    """
    import indexer  # numpy, sqlalchemy: not for --help

    if remove:
        if vocabulary is not None or as_json:
            raise UsageError("--remove takes off all tags of this command; leave out --vocabulary and --json")
        count = indexer.untag(collection, where=where, dry_run=dry_run, timeout=wait)
        would = "would lose their tags" if dry_run else "have no tags any more"
        click.echo(f"{counted(count, 'picture')} in {printable(str(collection))} {would}")
        return
    show = _print_json if as_json else _print_image if dry_run else None
    with progress_display(quiet) as show_progress:
        done = indexer.tag(
            collection,
            vocabulary=vocabulary,
            min_probability=min_probability,
            most=most,
            where=where,
            dry_run=dry_run,
            timeout=wait,
            on_image=show,
            on_progress=show_progress,
        )
    if show is None:
        _print_names(done, collection)
    if not quiet:
        _summarize(done, dry_run)


def _print_json(image: TaggedImage) -> None:
    tags = [
        {"name": one.name.name, "other": one.name.other, "probability": one.probability} for one in image.tags
    ]
    facts = {
        "id": image.id,
        "uri": image.uri,
        "path": file_path(image.uri),
        "tags": tags,
        "has_own": image.has_own,
    }
    click.echo(json_line(facts).encode())


def _print_image(image: TaggedImage) -> None:
    tags = ", ".join(f"{one.name.name} {one.probability:.2f}" for one in image.tags) or "-"
    own = "  (keeps tags of its own)" if image.has_own else ""
    click.echo(f"{printable(short_name(image.uri))}\t{printable(tags)}{own}".encode())


def _print_names(done: Tagged, collection: CollectionPlace) -> None:
    shown = list(done.names.items())[:MOST_SHOWN]
    for name, count in shown:
        click.echo(printable(f"{count:7,}  {'  '.join(name.texts)}").encode())
    if len(done.names) > len(shown):
        all_of_them = printable(command_on(collection, "info", "--attributes"))
        click.echo(f"         and {len(done.names) - len(shown):,} more: {all_of_them}")


def _summarize(done: Tagged, dry_run: bool) -> None:
    """Tell on stderr how many pictures have tags, and how many have not."""
    said = [
        f"{counted(done.images, 'picture')}: {done.tagged:,} {'would be ' if dry_run else ''}tagged",
        f"{done.untagged:,} without a likely name",
    ]
    if done.own:
        said.append(f"{done.own:,} keep tags of their own")
    said.append(f"{done.changed:,} {'would change' if dry_run else 'changed'}")
    click.echo(f"{', '.join(said)}  ({printable(done.tagged_by)}, {done.seconds:.1f} s)", err=True)
