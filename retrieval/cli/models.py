"""``vlsearch models``: list, download and remove models."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import click

from retrieval.cli.completing import complete_models
from retrieval.cli.printing import bytes_size, counted, printable
from retrieval.encoders.registry import RECOMMENDED, RecommendedModel, is_cached, resolve
from retrieval.extras import is_installed
from retrieval.generators.base import TASKS

LEFT = 3  # columns of words; the others are figures
NARROWEST = 30  # columns: narrower terminals fold the lines themselves
_HEADINGS = ("model", "here", "languages", "MB", "dim", "COCO", "Flickr30k")
_LEGEND = (
    "COCO and Flickr30k: published R@1, text to image / image to text (chinese-clip: COCO-CN, Flickr30K-CN); "
    "sources with --json"
)


@click.group(invoke_without_command=True)
@click.option(
    "--task",
    type=click.Choice(["search", *TASKS]),
    default="search",
    show_default=True,
    help="List models that search, write captions, answer questions, or re-rank hits.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.pass_context
def models(context: click.Context, task: str, as_json: bool) -> None:
    r"""List, download and remove models.

    The list has the recommended ones, with published R@1 and whether they are on this machine; any other
    checkpoint of the same families goes by its hub id or its folder.

    \b
        pip install 'vlsearch[models]'
        vlsearch models
        vlsearch models get siglip2-base
        vlsearch index ~/Pictures --model siglip2-base
        vlsearch models remove siglip2-base
        vlsearch models --task caption
    """
    if context.invoked_subcommand is not None:
        return
    if task != "search":
        from retrieval.cli.generator_table import print_generators

        print_generators(next(known for known in TASKS if known == task), as_json)
        return
    (_print_json if as_json else _print_table)()


@models.command()
@click.argument("name", shell_complete=complete_models)
def get(name: str) -> None:
    r"""Download model NAME (an alias, or organisation/name; either with @revision) into the hub's cache.

    \b
        vlsearch models get siglip2-base
        vlsearch models get openai/clip-vit-large-patch14@32bd642
    """
    from rich.console import Console  # late: --help must stay quick
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from retrieval.encoders import registry
    from retrieval.generators import registry as generators

    download = generators.download if generators.is_recommended(name) else registry.download
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        folder = download(name, lambda done, total: bar.update(task, completed=done, total=total))
    click.echo(folder)
    is_of_hub = generators.is_recommended(name) or resolve(name).kind == "hub"
    if is_of_hub and not is_installed("models"):
        click.echo("note: to use it, pip install 'vlsearch[models]'", err=True)


@models.command()
@click.argument("name", shell_complete=complete_models)
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def remove(context: click.Context, name: str, yes: bool) -> None:
    r"""Remove model NAME from the hub's cache: all its revisions, or with @revision that one.

    Other programs use the same cache, so it asks first. Collections that were built with the model stay, and need
    it again to be searched.

    \b
        vlsearch models remove siglip2-base
        vlsearch models remove openai/clip-vit-large-patch14@32bd642 --yes
    """
    from retrieval.encoders import registry
    from retrieval.generators import registry as generators

    is_generator = generators.is_recommended(name)
    removal = (generators.plan_removal if is_generator else registry.plan_removal)(name)
    what = f"{removal.repo} ({counted(len(removal.commits), 'revision')}, {bytes_size(removal.size_bytes)})"
    place = printable(str(removal.cache))
    if not (yes or _is_agreed(f"Remove {what} from {place}, which other programs use too?")):
        click.echo("Nothing was removed; --yes removes without asking.", err=True)
        context.exit(1)
    registry.remove(removal)
    click.echo(f"{what} removed from {place}")


@models.command()
def forget() -> None:
    r"""Delete the vectors that are kept of words asked before.

    They lie in your cache folder, with digests of the words, so that asking again needs no model. With
    VLSEARCH_QUERY_CACHE=off in the environment none are kept or used; it may also name another folder for them.

    \b
        vlsearch models forget
    """
    from retrieval.query.text_cache import forget_vectors  # late: numpy

    try:
        file = forget_vectors()
    except OSError as error:
        raise click.ClickException(
            f"cannot delete {printable(str(error.filename))}: {error.strerror}"
        ) from error
    click.echo("nothing is kept" if file is None else f"{printable(str(file))} deleted")


@models.command(name="clear-cache")
def clear_cache() -> None:
    r"""Delete what was derived from models to run them faster: graphs for OpenVINO, tokenizers.

    The models stay, and so do collections. What a model needs is made again when it is next used, which takes it
    some ten seconds and torch.

    \b
        vlsearch models clear-cache
    """
    from retrieval.encoders.runtimes import derived_cache

    freed = derived_cache.clear()
    click.echo(f"{bytes_size(freed)} removed from {printable(str(derived_cache.cache_folder()))}")


def _is_agreed(question: str) -> bool:
    try:
        return click.confirm(question, err=True)
    except click.Abort:  # Ctrl-C, or nobody there to answer
        click.echo(err=True)
        return False


def _print_json() -> None:
    for model in RECOMMENDED:
        click.echo(
            json.dumps(asdict(model) | {"cached": is_cached(resolve(model.alias))}, ensure_ascii=False)
        )


def _print_table() -> None:
    """Print two lines for each model: figures in columns, then what it is good for; names are never cut."""
    rows = [_HEADINGS, *(_cells(model) for model in RECOMMENDED)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    width = max(NARROWEST, shutil.get_terminal_size().columns)
    for model, row in zip([None, *RECOMMENDED], rows, strict=True):
        cells = (
            cell.ljust(w) if n < LEFT else cell.rjust(w)
            for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        click.echo("  ".join(cells).rstrip())
        if model is not None:
            about = f"{model.good_for} ({model.licence})"
            click.echo(click.wrap_text(about, width, initial_indent="    ", subsequent_indent="    "))
    click.echo(click.wrap_text(_LEGEND, width))


def _cells(model: RecommendedModel) -> tuple[str, ...]:
    published = model.published
    return (
        model.alias,
        "yes" if is_cached(resolve(model.alias)) else "",
        " ".join(model.languages),
        f"{model.size_mb:,}",
        str(model.dimension),
        _recall(published.coco if published else None),
        _recall(published.flickr if published else None),
    )


def _recall(figures: tuple[float, float] | None) -> str:
    return "" if figures is None else f"{figures[0]:.1f} / {figures[1]:.1f}"
