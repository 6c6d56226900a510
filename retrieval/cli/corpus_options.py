"""How a corpus is read, as options: the same for every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.limit_options import limit_options, with_options

Command = TypeVar("Command", bound=Callable[..., Any])

SPLITS = "Splits of a Karpathy JSON, separated by commas."
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
_WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that decode. [default: one a core]"
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
            from retrieval.corpora import CorpusOptions, parse_caption_column  # late: not for --help

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
        result: Command = with_options((*_READING, split), wrapped)
        return result

    return decorate


def corpus_options(command: Command) -> Command:
    """Options of a corpus whose pictures are taken in: beside ``options``, ``limits`` and ``workers``."""
    return reading_options()(limit_options(_WORKERS(command)))
