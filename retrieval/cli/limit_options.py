"""Options that limit untrusted images, the same for every command that decodes images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from retrieval.cli.memory_size import MemorySize
from retrieval.types import Limits

Command = TypeVar("Command", bound=Callable[..., Any])

DAY = 86_400  # seconds; what waits for threads and sockets takes no infinity
_DEFAULT = Limits()


def limit_options(command: Command) -> Command:
    """Add the options of size, time, memory and addresses; the command receives them as ``limits`` (a ``Limits``)."""

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

    limited: Command = with_options(_OPTIONS, wrapped)
    return limited


def with_options(options: Sequence[Callable[[Any], Any]], command: Any) -> Any:
    """Give a command options, in the order in which its help lists them."""
    for option in reversed(options):
        command = option(command)
    return command


def _check_number(_: click.Context, __: click.Parameter, value: float) -> float:
    if value != value:  # NaN passes every range
        raise click.BadParameter("nan is not a number of seconds")
    return value


_OPTIONS = (
    click.option(
        "--max-bytes",
        type=click.IntRange(min=1),
        default=_DEFAULT.file_bytes,
        show_default=True,
        help="Refuse larger picture files.",
    ),
    click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=_DEFAULT.pixels,
        show_default=True,
        help="Refuse pictures with more pixels.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, max=DAY, min_open=True),
        default=_DEFAULT.seconds,
        show_default=True,
        callback=_check_number,
        help="Seconds to download or to decode one picture.",
    ),
    click.option(
        "--allow-private",
        is_flag=True,
        help="Download from private addresses too (this machine, its network), and through proxies.",
    ),
    click.option(
        "--max-memory",
        type=MemorySize(),
        metavar="SIZE",
        help="Memory for decoding, all processes together, as in 4G (at least 1G). [default: a quarter of all]",
    ),
)
