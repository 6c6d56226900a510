"""How hits are printed: for people, as plain paths for pipes, or as JSON, one object a hit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from retrieval.answers import answer_facts, hit_facts, json_line
from retrieval.cli.printing import name_bytes, name_line
from retrieval.types import Hit, Hits

if TYPE_CHECKING:
    from retrieval.cli.hits import Preview

Command = TypeVar("Command", bound=Callable[..., Any])
Shape = Literal["json", "list", "paths"]


def list_options(command: Command) -> Command:
    """``--list/--paths`` and ``--null``, passed on as ``as_list`` and ``null``."""
    null = click.option(
        "-0", "--null", is_flag=True, help="Print paths, each ended by a NUL, not a line feed."
    )
    as_list = click.option(
        "--list/--paths",
        "as_list",
        default=None,
        help="Print for people, or for pipes. [default: --list at a terminal]",
    )
    return as_list(null(command))


def shape_of(as_json: bool, as_list: bool | None, null: bool) -> Shape:
    """Choose how hits are printed, by the options given and by whether people see them."""
    if as_json:
        return "json"
    wanted = sys.stdout.isatty() if as_list is None else as_list
    return "list" if wanted and not null else "paths"


def show(hits: Sequence[Hit], shape: Shape, null: bool, preview: Preview | None = None) -> None:
    """Print the hits of one query; ``preview`` makes the small pictures beside them."""
    if shape == "json":
        answer = {"answer": answer_facts(hits)} if isinstance(hits, Hits) else {}
        for hit in hits:
            click.echo(json_line(hit_facts(hit) | answer).encode())
    elif shape == "paths":
        for hit in hits:
            click.echo(name_bytes(hit) + b"\0" if null else name_line(hit) + b"\n", nl=False)
    else:
        from retrieval.cli.hits import show_hits  # rich: only for people

        show_hits(hits, preview=preview)
