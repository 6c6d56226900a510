"""``vlsearch cluster``: pictures in groups by what they show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.filter_options import filter_options
from retrieval.cli.options import json_option, place_option, quiet_option, runtime_options
from retrieval.cli.printing import counted, printable, short_name, uri_bytes
from retrieval.places import CollectionPlace

if TYPE_CHECKING:
    from retrieval.analysis.clusters import Cluster, Clusters
    from retrieval.expressions import Expression
    from retrieval.query.engine import SearchEngine

SHOWN = 3
PAGE_ITEMS = 1000


@click.command()
@click.option(
    "-n",
    "--count",
    type=click.IntRange(min=1, max=1000),
    metavar="N",
    help="Groups to make. [default: chosen by how the pictures lie]",
)
@click.option(
    "--vocabulary",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names to call groups by, one a line, as for vlsearch tag. [default: some 600 everyday names]",
)
@click.option(
    "--list/--paths",
    "as_list",
    default=None,
    help="Print for people, or for pipes. [default: --list at a terminal]",
)
@filter_options
@runtime_options
@quiet_option
@json_option("Print one JSON object a group.")
@place_option
def cluster(
    count: int | None,
    vocabulary: Path | None,
    as_list: bool | None,
    where: Expression | None,
    quiet: bool,
    as_json: bool,
    collection: CollectionPlace,
) -> None:
    r"""Put the pictures into groups by what they show.

    Stored vectors are compared; no picture is read again, and nothing is changed. A group is called by the names
    that set it apart from the other pictures; its most typical pictures come first. The same pictures give the
    same groups.

    \b
        vlsearch cluster
        vlsearch cluster -n 20 --in ~/Pictures/2021
        vlsearch cluster --json

    Into a pipe goes a line for each picture, with tabs between: number of the group, its names, path.
    """
    from retrieval.query.engine import open_engine  # numpy: not for --help

    with open_engine(collection) as engine:
        found = engine.cluster(count, where=where, vocabulary=vocabulary)
        if as_json:
            for group in found.groups:
                click.echo(json_line(_facts(engine, group)).encode())
        elif sys.stdout.isatty() if as_list is None else as_list:
            _show(engine, found)
        else:
            for group in found.groups:
                for uri in _uris(engine, group):
                    click.echo(f"{group.number}\t{_called(group)}\t".encode() + uri_bytes(uri))
    if not quiet:
        pictures = counted(sum(len(group.ids) for group in found.groups), "picture")
        groups = counted(len(found.groups), "group")
        click.echo(f"{pictures} in {groups} (silhouette {found.silhouette:.2f})", err=True)


def _show(engine: SearchEngine, found: Clusters) -> None:
    for group in found.groups:
        click.echo(f"{group.number:3}  {len(group.ids):6,}  {_called(group)}".encode())
        for uri in next(_pages(engine, group, SHOWN)):
            click.echo(f"             {short_name(uri)}".encode())


def _called(group: Cluster) -> str:
    return printable(", ".join(name.name for name in group.names))


def _facts(engine: SearchEngine, group: Cluster) -> dict[str, object]:
    return {
        "group": group.number,
        "size": len(group.ids),
        "names": [{"name": name.name, "other": name.other} for name in group.names],
        "items": [
            {"id": number, "uri": uri, "likeness": round(likeness, 4)}
            for number, uri, likeness in zip(
                group.ids.tolist(), _uris(engine, group), group.likeness.tolist(), strict=True
            )
        ],
    }


def _uris(engine: SearchEngine, group: Cluster) -> Iterator[str]:
    for page in _pages(engine, group, PAGE_ITEMS):
        yield from page


def _pages(engine: SearchEngine, group: Cluster, size: int) -> Iterator[list[str]]:
    """Read the uris of a group's pictures in its order, so many at a time; empty where one is gone meanwhile."""
    ids = group.ids.tolist()
    for start in range(0, len(ids), size):
        page = ids[start : start + size]
        with engine.collection.reading() as view:
            uris = {row.id: row.uri for row in view.rows(page)}
        yield [uris.get(number, "") for number in page]
