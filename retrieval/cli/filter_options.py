"""Options that say which items may be found; together they make one condition."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from operator import and_
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from retrieval.cli.completing import complete_fields, complete_paths
from retrieval.errors import FilterError

if TYPE_CHECKING:
    from retrieval.expressions import Expression, Near

Command = TypeVar("Command", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--where",
        "conditions",
        multiple=True,
        metavar="CONDITION",
        shell_complete=complete_fields,
        help="Find only what meets a condition on its fields; repeatable. See docs/search.md.",
    ),
    click.option(
        "--in",
        "folders",
        multiple=True,
        metavar="FOLDER",
        shell_complete=complete_paths,
        help="Find only what lies in a folder, at any depth, or in an archive; repeated, in any of them.",
    ),
    click.option(
        "--after", metavar="DATE", help="Find only what was taken on this date or later, as in 2021-05."
    ),
    click.option("--before", metavar="DATE", help="Find only what was taken before this date."),
    click.option("--camera", metavar="NAME", help="Find only what a camera with this in its name took."),
    click.option(
        "--near",
        metavar="LAT,LON,DISTANCE",
        help="Find only what was taken near a place, as in 48.14,11.58,10km.",
    ),
)


def filter_options(command: Command) -> Command:
    """``--where``, ``--in`` and the other conditions, passed on as ``where``: an expression, or None."""

    @wraps(command)
    def with_where(*arguments: Any, **options: Any) -> Any:
        asked = _Asked(**{name: options.pop(name) for name in _Asked._fields})
        return command(*arguments, where=_joined(asked), **options)

    for option in reversed(_OPTIONS):
        with_where = option(with_where)
    return with_where  # type: ignore[return-value]  # a command with other parameters


class _Asked(NamedTuple):
    """Values of the options."""

    conditions: tuple[str, ...]
    folders: tuple[str, ...]
    after: str | None
    before: str | None
    camera: str | None
    near: str | None


def _joined(asked: _Asked) -> Expression | None:
    """Join what was asked for by "and"; nothing is asked for where all are empty."""
    if all(one is None or one == () for one in asked):
        return None
    from retrieval.collection.filters.parse import (
        parse_where,  # late: neither for --help nor for most queries
    )
    from retrieval.expressions import Comparison, Contains

    parts = [parse_where(text) for text in asked.conditions]
    if asked.folders:
        parts.append(reduce(lambda one, other: one | other, [_under(folder) for folder in asked.folders]))
    if asked.after is not None:
        parts.append(Comparison("taken", ">=", _date(asked.after, "--after")))
    if asked.before is not None:
        parts.append(Comparison("taken", "<", _date(asked.before, "--before")))
    if asked.camera is not None:
        parts.append(Contains("camera", asked.camera))
    if asked.near is not None:
        parts.append(_near(asked.near))
    return reduce(and_, parts)


def _under(folder: str) -> Expression:
    if not folder:
        raise FilterError("--in is empty; name a folder")
    from retrieval.expressions import Under

    return Under(folder)


def _date(text: str, option: str) -> str:
    from retrieval.collection.filters.values import as_date

    if as_date(text) is None:
        raise FilterError(f"{option} {text!r} is not a date; write it as 2021, 2021-05 or 2021-05-03")
    return text


def _near(text: str) -> Near:
    from retrieval.collection.filters.parse import parse_where
    from retrieval.expressions import Near

    fault = FilterError(f"--near {text!r} is not a place; write it as 48.14,11.58,10km")
    try:
        found = parse_where(f"near({text})")
    except FilterError as error:
        raise fault if "character" in str(error) else error from error
    if not isinstance(found, Near):
        raise fault
    return found
