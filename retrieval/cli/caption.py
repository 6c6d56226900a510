"""``vlsearch caption``: write captions of pictures, or add them to a collection."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from retrieval.answers import file_path, json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import json_option, place_option, quiet_option, wait_option
from retrieval.cli.printing import counted, printable
from retrieval.cli.progress import duration, progress_display
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.types import Limits
from retrieval.uris import display

if TYPE_CHECKING:
    from indexer.captioning import CaptionsWritten
    from retrieval.generators.pictures import CaptionedPicture

INTERRUPTED = 130
MOST_CANDIDATES = 10


@click.command()
@click.argument("pictures", nargs=-1, metavar="[PICTURE]...", shell_complete=complete_paths)
@click.option(
    "--model",
    metavar="MODEL",
    help="Model by alias, hub name or folder (vlsearch models --task caption). [default: the best on this machine]",
)
@click.option(
    "--lang", metavar="TAG", help="Language of the captions, as in en or zh. [default: the model's first]"
)
@click.option(
    "--candidates",
    type=click.IntRange(1, MOST_CANDIDATES),
    default=1,
    show_default=True,
    metavar="N",
    help="Captions of each picture, the best first, with their scores.",
)
@click.option("--add", is_flag=True, help="Write captions of the collection's pictures into the collection.")
@limit_options
@json_option("Print one JSON object a picture; with --add, one of counts.")
@quiet_option
@wait_option
@place_option
def caption(
    pictures: tuple[str, ...],
    model: str | None,
    lang: str | None,
    candidates: int,
    add: bool,
    limits: Limits,
    as_json: bool,
    quiet: bool,
    wait: float,
    collection: CollectionPlace,
) -> None:
    r"""Write captions of pictures.

    By default the best model on this machine writes: mini, which comes with vlsearch and writes simple English and
    Chinese, or a larger one that was downloaded. With --add every picture of the collection that this model has not
    described yet gets a caption, marked as written by a machine: words find pictures by it, and evaluation and
    training do without it. Another model, or language, replaces it. Ctrl-C keeps what is done. A PICTURE is a file,
    or a name as vlsearch list and query print it.

    \b
        vlsearch caption photo.jpg
        vlsearch caption *.jpg --lang zh --candidates 3
        vlsearch caption 'scan.pdf#page=2' 'photos.tar#a.jpg'
        vlsearch models get git-base
        vlsearch caption --collection photos/ --add
        vlsearch query --words "umbrella" --collection photos/
    """
    if add:
        if pictures or candidates != 1:
            raise UsageError(
                "--add writes one caption of each picture of a collection; leave out pictures and --candidates"
            )
        _add(collection, model, lang, limits, wait, as_json, quiet)
        return
    if not pictures:
        raise UsageError("name pictures to describe, or a collection with --collection PATH --add")
    from retrieval.generators.pictures import caption_images  # late: numpy

    failed = False
    with progress_display(quiet) as tell:
        for found in caption_images(
            pictures, model, lang=lang, candidates=candidates, limits=limits, on_progress=tell
        ):
            failed |= found.failure is not None
            _show(found, len(pictures) > 1, candidates > 1, as_json)
    if failed:
        raise SystemExit(1)


def _show(found: CaptionedPicture, is_named: bool, has_scores: bool, as_json: bool) -> None:
    if as_json:
        best = found.captions[0].text if found.captions else None
        facts = {"uri": found.uri, "path": file_path(found.uri), "caption": best, "error": found.failure}
        click.echo(json_line(facts | {"candidates": [asdict(one) for one in found.captions]}).encode())
        return
    name = printable(display(found.uri))
    if found.failure is not None:
        click.echo(f"{name}: {printable(found.failure)}", err=True)
    for one in found.captions:
        score = f"{one.score:.2f}  " if has_scores else ""
        click.echo(f"{f'{name}: ' if is_named else ''}{score}{printable(one.text)}")


def _add(
    collection: CollectionPlace,
    model: str | None,
    lang: str | None,
    limits: Limits,
    wait: float,
    as_json: bool,
    quiet: bool,
) -> None:
    import indexer  # numpy, sqlalchemy: not for --help

    with progress_display(quiet) as tell:
        written = indexer.write_captions(
            collection, model, lang=lang, limits=limits, timeout=wait, on_progress=tell
        )
    if as_json:
        click.echo(json_line(asdict(written)).encode())
    elif not quiet:
        _show_counts(written)
    if written.interrupted:
        click.echo("Interrupted; what is done is kept. Run the same command again to go on.", err=True)
        raise SystemExit(INTERRUPTED)
    if written.failed and not written.written:
        raise SystemExit(1)


def _show_counts(written: CaptionsWritten) -> None:
    took = duration(written.seconds)
    click.echo(f"{counted(written.written, 'caption')} written by {printable(written.maker)}, in {took}")
    for group in written.reasons:
        click.echo(f"  {group.count:,} failed: {printable(group.reason)}", err=True)
