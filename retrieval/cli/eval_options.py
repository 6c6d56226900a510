"""Options of the commands that measure models, gathered into the values that they make up."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.limit_options import with_options
from retrieval.cli.options import json_option

if TYPE_CHECKING:
    from retrieval.evaluation.protocols.protocol import Captions

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class ProtocolChoice:
    """Which pictures and captions of the corpus count: a published protocol, or all of them."""

    name: str | None
    captions: Captions
    folds: int | None


@dataclass(frozen=True, slots=True)
class FigureChoice:
    """Which figures are measured; as the arguments of :func:`retrieval.evaluate`."""

    cuts: tuple[int, ...] | None
    templates: tuple[str, ...]
    ann: bool
    indexes: tuple[str, ...]
    seed: int


@dataclass(frozen=True, slots=True)
class Output:
    """Where the figures go beside the terminal, and whether JSON or tables go there."""

    trec: Path | None
    report: Path | None
    as_json: bool
    quiet: bool


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers; write it as 1,5,10") from error


def models_option(help_text: str) -> Callable[[Command], Command]:
    """``--model``, repeatable, passed on as ``models``."""
    return click.option(
        "--model", "models", multiple=True, metavar="MODEL", shell_complete=complete_models, help=help_text
    )


template_option = click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Prompt with {} where the text goes; repeatable, and vectors are then averaged.",
)
cache_option = click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Folder of cached embeddings."
)
record_option = json_option("Print one JSON object a model, in the layout of CLIP_benchmark.")
silence_option = click.option("-q", "--quiet", is_flag=True, help="Show no progress.")

_PROTOCOL = (
    click.option(
        "--protocol",
        metavar="NAME",
        help="Published protocol: flickr8k, flickr30k, coco-5k, coco-1k, coco-cn, flickr30k-cn, muge, xm3600 or "
        "eccv. [default: all of CORPUS]",
    ),
    click.option(
        "--captions",
        type=click.Choice(["all", "first5"]),
        default="all",
        show_default=True,
        help="Which captions of each picture to use: all, or the first five.",
    ),
    click.option(
        "--folds",
        type=click.IntRange(min=2),
        help="Split into this many equal parts in file order, evaluate each alone, and average.",
    ),
)
_FIGURES = (
    click.option(
        "--k",
        "cuts",
        metavar="K,...",
        callback=_numbers,
        help="Cut-offs K of the metrics, separated by commas. [default: 1,5,10]",
    ),
    template_option,
    click.option(
        "--ann", is_flag=True, help="Compare approximate indexes with exact search, on the text queries."
    ),
    click.option(
        "--index",
        "indexes",
        multiple=True,
        metavar="FACTORY",
        help="The indexes that --ann compares, as FAISS names them, or own for that of the collection; repeatable. "
        "[default: a range of them, and the collection's own]",
    ),
    click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Seed of bootstrap intervals and permutation tests.",
    ),
)
_OUTPUT = (
    click.option("--trec", type=click.Path(path_type=Path), metavar="DIR", help="Write qrels and run files."),
    click.option(
        "--report",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Write an HTML report with plots, worst misses, hubs and indexes (includes --ann).",
    ),
    record_option,
    silence_option,
)


def protocol_options(command: Command) -> Command:
    """Options of what counts in the corpus; the command gets ``protocol`` (a :class:`ProtocolChoice`)."""

    @functools.wraps(command)
    def wrapped(
        *args: Any, protocol: str | None, captions: Captions, folds: int | None, **others: Any
    ) -> Any:
        return command(*args, protocol=ProtocolChoice(protocol, captions, folds), **others)

    decorated: Command = with_options(_PROTOCOL, wrapped)
    return decorated


def figure_options(command: Command) -> Command:
    """Options of what is measured; the command gets ``figures`` (a :class:`FigureChoice`)."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        cuts: tuple[int, ...] | None,
        templates: tuple[str, ...],
        ann: bool,
        indexes: tuple[str, ...],
        seed: int,
        **others: Any,
    ) -> Any:
        return command(*args, figures=FigureChoice(cuts, templates, ann, indexes, seed), **others)

    decorated: Command = with_options(_FIGURES, wrapped)
    return decorated


def output_options(command: Command) -> Command:
    """Options of where figures go; the command gets ``output`` (an :class:`Output`)."""

    @functools.wraps(command)
    def wrapped(
        *args: Any, trec: Path | None, report: Path | None, as_json: bool, quiet: bool, **others: Any
    ) -> Any:
        return command(*args, output=Output(trec, report, as_json, quiet), **others)

    decorated: Command = with_options(_OUTPUT, wrapped)
    return decorated
