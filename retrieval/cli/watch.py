"""``vlsearch watch``: keep a collection up to date with the folders that it was made from."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import click

from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import place_option, runtime_options
from retrieval.cli.printing import counted, printable, short_name
from retrieval.places import CollectionPlace

if TYPE_CHECKING:
    from indexer import TextsRead, Updated
    from retrieval.types import Limits


@click.command()
@click.option("--keep-vanished", is_flag=True, help="Keep items whose files are gone.")
@click.option("--poll", is_flag=True, help="Look at all files every few seconds: for network drives.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes that decode. [default: one a core]")
@limit_options
@runtime_options
@place_option
def watch(
    keep_vanished: bool, poll: bool, workers: int | None, limits: Limits, collection: CollectionPlace
) -> None:
    r"""Keep a collection up to date with the folders that it was made from.

    What is new, changed, moved or deleted is found within seconds. Files that are being copied are waited for, and
    so are drives that are unplugged. Index the folders once; watch then follows them until Ctrl-C. Text in new
    pictures is read where the collection was indexed with --ocr. It needs the extra watch.

    \b
        vlsearch index ~/Pictures
        vlsearch watch
    """
    import indexer  # numpy, sqlalchemy: not for --help

    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())  # what a service manager sends
    click.echo(f"following the corpora of {printable(str(collection))}; stop with Ctrl-C", err=True)
    for told in indexer.watch(
        collection, limits=limits, prune=not keep_vanished, workers=workers, poll=poll, stop=stop
    ):
        if told.note is not None:
            _say(f"note: {printable(told.note)}")
        if told.updated is not None:
            _tell(told.updated)
        if told.texts is not None:
            _tell_texts(told.texts)


def _tell(updated: Updated) -> None:
    if updated.error is not None:
        _say(f"{short_name(updated.corpus.uri)}: {printable(updated.error.in_shell())}")
    elif (report := updated.report) is not None and (report.encoded or report.known or report.removed):
        parts = [counted(report.encoded, "item") + " encoded"]
        parts += [f"{report.known:,} known by content"] if report.known else []
        parts += [f"{report.removed:,} removed"] if report.removed else []
        parts += [f"{report.failed:,} failed"] if report.failed else []
        _say(f"{short_name(updated.corpus.uri)}: {', '.join(parts)}")


def _tell_texts(read: TextsRead) -> None:
    if read.with_text or read.without_text or read.failed:
        parts = [f"{counted(read.with_text, 'picture')} with text", f"{read.without_text:,} without"]
        parts += [f"{read.failed:,} failed"] if read.failed else []
        _say(f"text read: {', '.join(parts)}")


def _say(text: str) -> None:
    click.echo(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {text}")
