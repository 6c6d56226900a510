"""Options that several commands share, so that they are spelt, explained and resolved alike."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.query.location import collection_path

Command = TypeVar("Command", bound=Callable[..., Any])


def _resolve(_: click.Context, __: click.Parameter, chosen: str | None) -> Path:
    if chosen == "":  # a variable of the shell that is not set; as a path it would be the working directory
        raise click.BadParameter("it is empty; name a folder, or leave the option out")
    return collection_path(chosen)


def collection_option(command: Command) -> Command:
    """``--collection PATH``; the command gets a path in any case."""
    option = click.option(
        "--collection",
        type=click.Path(),
        metavar="PATH",
        callback=_resolve,
        help="The collection's folder. [default: $VLSEARCH_COLLECTION, else one in your data folder]",
    )
    return option(command)


def json_option(help_text: str) -> Callable[[Command], Command]:
    """``--json``, passed on as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=help_text)


def quiet_option(command: Command) -> Command:
    """``--quiet``: neither progress nor summary."""
    return click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")(command)


def wait_option(command: Command) -> Command:
    """``--wait SECONDS``: how long to wait for another writer."""
    option = click.option(
        "--wait",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        default=0.0,
        help="Wait so long for another process that writes to the collection. [default: not at all]",
    )
    return option(command)
