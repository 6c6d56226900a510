"""How a corpus is read, as options: the same for every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.memory_size import MemorySize
from retrieval.cli.options import allow_private_option
from retrieval.types import Limits

Command = TypeVar("Command", bound=Callable[..., Any])

DAY = 86_400  # seconds; what waits for threads and sockets takes no infinity
SPLITS = "Splits of a Karpathy JSON, separated by commas."
_LIMITS = Limits()


def _check_number(_: click.Context, __: click.Parameter, value: float) -> float:
    if value != value:  # NaN passes every range
        raise click.BadParameter("nan is no number of seconds")
    return value


_READING = (
    click.option("--format", "format_", metavar="FORMAT", help="Read CORPUS as this. [default: recognised]"),
    click.option("--image-column", metavar="NAME", help="Column of a table with paths or URLs of pictures."),
    click.option(
        "--caption-column",
        "caption_columns",
        multiple=True,
        metavar="NAME[:LANG]",
        help="Column or key with captions, and their language; repeatable.",
    ),
    click.option(
        "--images",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Folder that picture names in CORPUS count from. [default: that of CORPUS]",
    ),
    click.option("--exclude", multiple=True, metavar="GLOB", help="Leave these out of a folder; repeatable."),
    click.option(
        "--no-default-excludes",
        "default_excludes",
        is_flag=True,
        flag_value=False,
        default=True,
        help="Take hidden files, thumbnail folders and waste baskets of a folder in, too.",
    ),
    click.option("--lang", metavar="TAG", help="Language of the captions, as in en or zh."),
)
_TAKING = (
    click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=_LIMITS.file_bytes,
        show_default=True,
        help="Refuse larger picture files.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=_LIMITS.pixels,
        show_default=True,
        help="Refuse pictures with more pixels.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, max=DAY, min_open=True),
        default=_LIMITS.seconds,
        show_default=True,
        callback=_check_number,
        help="Seconds to download or to decode one picture.",
    ),
    allow_private_option,
    click.option(
        "--max-memory",
        type=MemorySize(),
        metavar="SIZE",
        help="Memory for decoding, all processes together, as in 4G (at least 1G). [default: a quarter of all]",
    ),
    click.option(
        "--workers", type=click.IntRange(min=1), help="Processes that decode. [default: one a core]"
    ),
)


def reading_options(split_help: str = SPLITS) -> Callable[[Command], Command]:
    """Options of how a corpus is read; the command gets them as ``options`` (a ``CorpusOptions``)."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def wrapped(
            *args: Any,
            format_: str | None,
            image_column: str | None,
            caption_columns: tuple[str, ...],
            images: Path | None,
            split: str | None,
            exclude: tuple[str, ...],
            default_excludes: bool,
            lang: str | None,
            **others: Any,
        ) -> Any:
            from indexer.corpora import CorpusOptions, parse_caption_column  # late: not for --help

            options = CorpusOptions(
                format=format_,
                image_column=image_column,
                caption_columns=tuple(parse_caption_column(spelling) for spelling in caption_columns),
                images=images,
                split=split,
                exclude=exclude,
                default_excludes=default_excludes,
                lang=lang,
            )
            return command(*args, options=options, **others)

        split = click.option("--split", metavar="NAMES", help=split_help)
        result: Command = _with((*_READING, split), wrapped)
        return result

    return decorate


def corpus_options(command: Command) -> Command:
    """Options of a corpus whose pictures are taken in: beside ``options``, ``limits`` and ``workers``."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        max_bytes: int,
        max_pixels: int,
        timeout: float,
        allow_private: bool,
        max_memory: int | None,
        **others: Any,
    ) -> Any:
        limits = Limits(max_bytes, max_pixels, timeout, private_addresses=allow_private, memory=max_memory)
        return command(*args, limits=limits, **others)

    taking: Command = _with(_TAKING, wrapped)
    return reading_options()(taking)


def _with(options: Sequence[Callable[[Any], Any]], command: Any) -> Any:
    """A command with options, in the order in which the help lists them."""
    for option in reversed(options):
        command = option(command)
    return command
