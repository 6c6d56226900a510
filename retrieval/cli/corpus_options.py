"""How a corpus is read, as options: the same for every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from retrieval.cli.limit_options import limit_options, with_options
from retrieval.corpora import FORMATS, CorpusOptions, Format, parse_caption_column
from retrieval.corpora.format import format_names
from retrieval.corpora.options import LEAST_FRAMES, MOST_FRAMES
from retrieval.moments import FRAMES_PER_MINUTE

Command = TypeVar("Command", bound=Callable[..., Any])

SPLITS = "Splits of a Karpathy JSON, separated by commas."


def format_help(formats: Sequence[Format]) -> str:
    """Make the help text of ``--format``, which names the formats."""
    return f"Read CORPUS as one of {format_names(formats)}. [default: recognised]"


class CorpusCommand(click.Command):
    """A command whose help ends with the formats that its argument CORPUS may have."""

    formats: Sequence[Format] = FORMATS

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, and then a line for each format."""
        super().format_options(ctx, formatter)
        with formatter.section("Formats of CORPUS"):
            formatter.write_dl([(one.name, one.help) for one in self.formats])


_READING = (
    click.option("--format", "format_", metavar="FORMAT", help=format_help(FORMATS)),
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
    click.option(
        "--frames-per-minute",
        type=click.FloatRange(LEAST_FRAMES, MOST_FRAMES),
        default=FRAMES_PER_MINUTE,
        show_default=True,
        metavar="N",
        help="Frames of a minute of a video that become pictures, at most.",
    ),
    click.option("--lang", metavar="TAG", help="Language of the captions, as in en or zh."),
)
_WORKERS = click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that decode. [default: one a core]"
)


def reading_options(split_help: str = SPLITS) -> Callable[[Command], Command]:
    """Add the options of how a corpus is read; the command gets them as ``options`` (a ``CorpusOptions``)."""

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
            frames_per_minute: float,
            lang: str | None,
            **others: Any,
        ) -> Any:
            options = CorpusOptions(
                format=format_,
                image_column=image_column,
                caption_columns=tuple(parse_caption_column(spelling) for spelling in caption_columns),
                images=images,
                split=split,
                exclude=exclude,
                default_excludes=default_excludes,
                frames_per_minute=frames_per_minute,
                lang=lang,
            )
            return command(*args, options=options, **others)

        split = click.option("--split", metavar="NAMES", help=split_help)
        result: Command = with_options((*_READING, split), wrapped)
        return result

    return decorate


def corpus_options(command: Command) -> Command:
    """Add the options of a corpus whose images are decoded: ``options``, ``limits`` and ``workers``."""
    return reading_options()(limit_options(_WORKERS(command)))
