"""``vlsearch train``: pre-train or fine-tune a dual encoder on a corpus of captioned images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.options import json_option, quiet_option
from retrieval.cli.printing import counted, one_line, printable, short_name
from retrieval.cli.progress import progress_display
from retrieval.cli.train_options import train_options

if TYPE_CHECKING:
    from indexer import Trained
    from indexer.training.entry import TrainOptions

FAILURES_SHOWN = 5
INTERRUPTED = 130


@click.command()
@click.argument("corpus", shell_complete=complete_paths)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="Folder of the run; DIR/best is then a model for --model.",
)
@train_options
@json_option("Print one JSON object at the end.")
@quiet_option
def train(
    corpus: str,
    out: Path,
    settings: TrainOptions,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Train a model on a corpus: a new one, or fine-tune an existing one.

    CORPUS is read as index reads it. With --model, a hub checkpoint or a two-tower model is fine-tuned;
    without, a new two-tower model is made of an image backbone and a text backbone. Run the same command again, and
    a run that was killed goes on.

    \b
        pip install 'vlsearch[models]'
        vlsearch train captions.csv --out run --model clip-b32 --epochs 3
        vlsearch train "train-{000..005}.tar" --val val-000.tar --out run --image-weights resnet50.safetensors
        vlsearch query "a dog in the snow" --model run/best
    """
    import indexer  # torch: not for --help
    from retrieval.freed_memory import retain_freed_memory

    retain_freed_memory()
    settings["command"] = shlex.join(["vlsearch", *sys.argv[1:]])
    with progress_display(quiet) as show:
        result = indexer.train(corpus, out, on_progress=show, **settings)
    if as_json:
        click.echo(json_line(_facts(result)).encode())
    elif not quiet:
        _show(result)
    if result.interrupted:
        click.echo("Interrupted; a checkpoint is kept. Run the same command again to go on.", err=True)
        raise SystemExit(INTERRUPTED)


def _facts(result: Trained) -> dict[str, object]:
    return {
        "best": str(result.folder / "best"),
        "epoch": result.epoch,
        "figures": result.figures,
        "failed": len(result.failures),
        "notes": list(result.notes),
        "interrupted": result.interrupted,
    }


def _show(result: Trained) -> None:
    for note in result.notes:
        click.echo(f"note: {one_line(note)}", err=True)
    if result.failures:
        click.echo(f"{counted(len(result.failures), 'item')} failed", err=True)
        for failure in result.failures[:FAILURES_SHOWN]:
            click.echo(f"  {short_name(failure.uri)}: {one_line(failure.reason)}", err=True)
    for language, own in result.figures.items():
        forth, back = (", ".join(f"{own[f'{way}_r{k}']:.1f}" for k in (1, 5, 10)) for way in ("t2i", "i2t"))
        of = f" ({language})" if language else ""
        click.echo(f"R@1, 5, 10{of}: text to image {forth}; image to text {back}")
    if result.figures:
        click.echo(f"epoch {result.epoch} is best: {printable(str(result.folder / 'best'))}")
