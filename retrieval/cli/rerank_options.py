"""Options of the second look at the first hits, gathered into one value, and what it says on stderr."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from retrieval.cli.limit_options import with_options
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import waiting
from retrieval.errors import UsageError
from retrieval.query.parts import Query
from retrieval.types import Hits, Request

if TYPE_CHECKING:
    from retrieval.query.engine import SearchEngine
    from retrieval.query.reranking import Reranked

Command = TypeVar("Command", bound=Callable[..., Any])
DEPTH = 32


@dataclass(frozen=True, slots=True)
class SecondLookOptions:
    """Which model looks again, at how many hits, for how many seconds at most."""

    model: str
    depth: int
    seconds: float | None = None


_OPTIONS = (
    click.option(
        "--rerank",
        metavar="MODEL",
        help="Sort the first hits anew by a model that sees picture and words at once (vlsearch models --task rerank).",
    ),
    click.option(
        "--depth",
        type=click.IntRange(1, 1000),
        metavar="N",
        help=f"Hits that --rerank looks at. [default: {DEPTH}]",
    ),
)
_SECONDS = click.option(
    "--rerank-seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="S",
    help="Seconds for --rerank; if they do not suffice, the hits stay as they were.",
)


def rerank_options(command: Command) -> Command:
    """``--rerank``, ``--depth`` and ``--rerank-seconds``, passed on as ``second``; None where none is wanted."""

    @wraps(command)
    def with_second_look(*arguments: Any, rerank_seconds: float | None, **options: Any) -> Any:
        second: SecondLookOptions | None = options.pop("second")
        if second is None and rerank_seconds is not None:
            raise UsageError("--rerank-seconds goes with --rerank; name a model with it, or leave it out")
        return command(
            *arguments, second=None if second is None else replace(second, seconds=rerank_seconds), **options
        )

    decorated: Command = measured_rerank_options(with_options((_SECONDS,), with_second_look))
    return decorated


def measured_rerank_options(command: Command) -> Command:
    """``--rerank`` and ``--depth``, passed on as ``second``; None where none is wanted."""

    @wraps(command)
    def with_second_look(*arguments: Any, rerank: str | None, depth: int | None, **options: Any) -> Any:
        if rerank is None and depth is not None:
            raise UsageError("--depth goes with --rerank; name a model with it, or leave it out")
        second = None if rerank is None else SecondLookOptions(rerank, depth or DEPTH)
        return command(*arguments, second=second, **options)

    decorated: Command = with_options(_OPTIONS, with_second_look)
    return decorated


def check_second_look(second: SecondLookOptions | None, request: Request, is_batch: bool) -> None:
    """Refuse what a second look cannot go with.

    Raises:
        UsageError: it says which.
    """
    if second is None:
        return
    if is_batch:
        raise UsageError("the hits of one query are re-ranked; leave out --rerank or --from")
    if request.sort != "score":
        raise UsageError("--rerank is an order of its own; leave out --rerank or --sort")
    if request.find == "text":
        raise UsageError("only pictures are re-ranked; leave out --rerank or --find text")


def answer_twice(
    engine: SearchEngine, asked: Query, read: Query, request: Request, second: SecondLookOptions
) -> Hits:
    """Search as deep as the second look reaches, take it, and give the page; say on stderr where it did not go well.

    Args:
        engine: of the collection.
        asked: the query as it was typed, which the model reads.
        read: the query with what it excludes taken out, which the search reads.
        request: all else that is asked.
        second: the second look.
    """
    from retrieval.query.reranking import page_of, words_of

    words_of(asked)  # refuses other queries before anything is loaded
    deep = replace(request, find="image", k=max(request.offset + request.k, second.depth), offset=0)
    with waiting("Loading the model"):
        (hits,) = engine.answer([read], deep)
        found = engine.rerank(hits, asked, model=second.model, depth=second.depth, seconds=second.seconds)
    _say(found, second)
    return page_of(found, request.offset, request.k).hits


def _say(found: Reranked, second: SecondLookOptions) -> None:
    if found.exceeded:
        click.echo(
            f"Note: {printable(found.model)} did not look at all hits within {second.seconds:g} seconds; they stay in "
            "their first order",
            err=True,
        )
    if found.failed:
        click.echo(
            f"Note: {counted(found.failed, 'picture')} could not be read again, and kept the place",
            err=True,
        )
