"""Options that say what a search asks for beside its query; together they make one frozen ``Request``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any, TypeVar

import click

from retrieval.cli.crop_option import CropType
from retrieval.cli.filter_options import filter_options
from retrieval.types import MODES, SORTS, VERDICTS, Distinct, Request

Command = TypeVar("Command", bound=Callable[..., Any])

_FIELDS = frozenset(field.name for field in fields(Request))


@dataclass(frozen=True, slots=True)
class Wording:
    """What the help of a command says in its own words.

    Attributes:
        k: of the option ``-k``.
        find: of ``--find``.
        sort: of ``--sort``.
        is_typed: whether the query is typed, and not made of items: words have further options, of which ``words``,
            ``crop`` and ``literal`` are not of the request.
    """

    k: str
    find: str
    sort: str
    is_typed: bool


OF_QUERY = Wording(
    k="Hits a query.",
    find="The kind of item wanted. [default: captions for pictures, else pictures]",
    sort="Order of the hits: best first, newest first, or by name.",
    is_typed=True,
)
OF_SIMILAR = Wording(
    k="Hits.",
    find="The kind of item wanted. [default: the first NAME's]",
    sort="Order of the hits: most alike first, newest first, or by name.",
    is_typed=False,
)


class RequestCommand(click.Command):
    """A command with :func:`request_options`, one of which has a value only behind an equals sign."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        end = args.index("--") if "--" in args else len(args)
        begun = ["--distinct=content" if argument == "--distinct" else argument for argument in args[:end]]
        return super().parse_args(ctx, [*begun, *args[end:]])


def _distinct(_: click.Context, __: click.Parameter, value: str | None) -> Distinct:
    return "picture" if value == "picture" else value is not None


def request_options(wording: Wording) -> Callable[[Command], Command]:
    """``-k``, ``--find``, conditions, ``--sort`` and the others, passed on as ``request``, which is frozen.

    The command is a :class:`RequestCommand`.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_request(*arguments: Any, **options: Any) -> Any:
            asked = {name: options.pop(name) for name in _FIELDS & options.keys()}
            return command(*arguments, request=Request(**asked), **options)

        for option in reversed(_options(wording)):
            with_request = option(with_request)
        return with_request  # type: ignore[return-value]  # a command with other parameters

    return decorate


def _options(wording: Wording) -> list[Callable[[Any], Any]]:
    """Give the options in the order of the help."""
    return [
        click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, help=wording.k),
        click.option("--find", type=click.Choice(["image", "text"]), help=wording.find),
        *(_OF_WORDS if wording.is_typed else ()),
        filter_options,
        click.option(
            "--sort", type=click.Choice(SORTS), default="score", show_default=True, help=wording.sort
        ),
        click.option(
            "--offset", type=click.IntRange(min=0), default=0, help="Pass over so many of the best hits."
        ),
        click.option(
            "--min-score",
            type=click.FloatRange(-1, 1),
            metavar="S",
            help="Leave out hits with a lower score.",
        ),
        *((_ONLY,) if wording.is_typed else ()),
        click.option(
            "--distinct",
            type=click.Choice(["content", "picture"]),
            metavar="[=picture]",
            callback=_distinct,
            help="Show equal pictures, equal texts, and each video once; =picture: edited copies too.",
        ),
        click.option(
            "--exact", is_flag=True, help="Look at all vectors, even where an accelerator is there."
        ),
        *((_WHOLE, _LITERAL) if wording.is_typed else ()),
    ]


_OF_WORDS = (
    click.option(
        "--words",
        metavar="WORDS",
        help="Find only what holds all these words, in its captions, title, keywords or name; alone, ranked by them.",
    ),
    click.option(
        "--mode",
        type=click.Choice(MODES),
        help="Rank by meaning, by words (all of them, exactly), or by both. [default: by both where words alone are "
        "asked for and captions hold them, else by meaning]",
    ),
    click.option(
        "--crop",
        type=CropType(),
        metavar="X,Y,W,H",
        help="Ask with a part of the query's picture: left, top, width, height; shares up to 1, or pixels.",
    ),
)
_ONLY = click.option(
    "--only",
    type=click.Choice(VERDICTS[:-1]),
    help="Leave out hits that are less likely right than that: sure, likely or doubtful.",
)
_WHOLE = click.option(
    "--whole",
    "regions",
    is_flag=True,
    callback=lambda _, __, whole: not whole,
    help="Compare whole pictures, even where they have regions.",
)
_LITERAL = click.option(
    "--literal",
    is_flag=True,
    help="Take words as they are: do not subtract what follows 'without', 'no', 没有, ...",
)
