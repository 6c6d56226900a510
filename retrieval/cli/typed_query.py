"""A query as it is typed: its arguments and options, what they are read as, and notes on that on stderr."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.completing import complete_paths
from retrieval.cli.crop_option import crop_picture
from retrieval.cli.printing import printable
from retrieval.cli.request_options import RequestCommand
from retrieval.query.parse import looks_like_picture, parse_query
from retrieval.query.parts import Crop, Query, TextPart
from retrieval.query.without import read_query
from retrieval.shell import shell_command, shell_word
from retrieval.types import Request

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class TypedQuery:
    """The arguments and options that a query is made of.

    Attributes:
        parts: as arguments, or after ``--add``.
        subtract: after ``--subtract``.
        words: after ``--words``.
        crop: the part of the query's picture.
        literal: take words as they are.
    """

    parts: tuple[str, ...]
    subtract: tuple[str, ...]
    words: str | None
    crop: Crop | None
    literal: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing is asked but by ``--words``."""
        return not (self.parts or self.subtract)


class QueryCommand(RequestCommand):
    """A command whose error for an unknown option such as ``-people`` tells how to subtract words."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            if error.option_name.startswith("--"):
                raise
            said = f"{error.message} To subtract words, put -- before the first such argument."
            raise click.NoSuchOption(error.option_name, said, ctx=ctx) from error


def typed_query(command: Command) -> Command:
    """``[PART]...``, ``--add``, ``--subtract``, and what ``request_options`` leaves, passed on as ``typed``."""

    @wraps(command)
    def with_typed(
        *arguments: Any,
        parts: tuple[str, ...],
        add: tuple[str, ...],
        subtract: tuple[str, ...],
        words: str | None,
        crop: Crop | None,
        literal: bool,
        **options: Any,
    ) -> Any:
        typed = TypedQuery((*parts, *add), subtract, words, crop, literal)
        return command(*arguments, typed=typed, **options)

    for option in reversed(_OPTIONS):
        with_typed = option(with_typed)
    return with_typed  # type: ignore[return-value]  # a command with other parameters


_OPTIONS = (
    click.argument("parts", nargs=-1, metavar="[PART]...", shell_complete=complete_paths),
    click.option(
        "--add", multiple=True, metavar="PART", help="Add a part; repeatable. The same as an argument."
    ),
    click.option(
        "--subtract", multiple=True, metavar="PART", help="Subtract a part; repeatable. Needs no --."
    ),
)


def with_words(typed: TypedQuery, request: Request, alone: bool) -> tuple[TypedQuery, Request]:
    """Have ``--words`` rank what is found where they are all that is asked, or else narrow it down.

    Args:
        typed: the query.
        request: all else that is asked.
        alone: whether the words may be all of the query; they are not beside queries of a file.
    """
    if typed.words is not None and alone and typed.is_empty:
        typed, request = replace(typed, parts=(f"text:{typed.words}",)), replace(request, mode="words")
    elif typed.words is not None:
        from retrieval.expressions import Contains  # late: few queries have a condition

        holds = Contains("words", typed.words)
        request = replace(request, where=holds if request.where is None else request.where & holds)
    return replace(typed, words=None, literal=typed.literal or request.mode == "words"), request


def parse_typed(typed: TypedQuery) -> Query:
    """Parse a query, and tell where it may be meant otherwise; what its texts exclude is not read yet.

    Raises:
        QueryError: it is empty, or contradicts itself.
        UsageError: it has a crop, and not one picture.
    """
    query = crop_picture(parse_query(typed.parts, typed.subtract, _is_picture), typed.crop)
    _note_namesakes(query)
    return query


def read_aloud(query: Query) -> Query:
    """Subtract what the words of a query exclude, and tell how they were read."""
    read, readings = read_query(query)
    for reading in readings:
        click.echo(
            f"Note: read as {printable(str(reading))}; --literal takes the words as they are", err=True
        )
    return read


def _is_picture(content: str) -> bool:
    """Whether content without a mark is an image: it is spelt like one, or names a file that holds one."""
    if looks_like_picture(content):
        return True
    from retrieval.signatures import is_image_file  # late: most queries are words that name no file

    if not (_exists(content) and is_image_file(content)):
        return False
    words = shell_word(f"text:{content}")
    click.echo(f"Note: {printable(content)} is a picture here; for the words write {words}", err=True)
    return True


def _note_namesakes(query: Query) -> None:
    """Tell on stderr when a text of the query is also the name of a file or folder, which is not read."""
    for part in query.parts:
        if not isinstance(part, TextPart) or not _exists(part.text):
            continue
        name, path = printable(part.text), Path(part.text)
        if path.is_dir():
            advice = f"the folder of that name is indexed with: {shell_command('index', path)}"
        else:
            advice = f"for the picture of that name write {shell_word(f'./{part.text}')}"
        click.echo(f"Note: {name} was read as words; {advice}", err=True)


def _exists(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL
        return False
