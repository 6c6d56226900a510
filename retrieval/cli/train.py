"""``vlsearch train``: pre-train or fine-tune a dual encoder on a corpus of captioned images."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrieval.answers import json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.corpus_options import corpus_options
from retrieval.cli.options import json_option, quiet_option
from retrieval.cli.printing import counted, one_line, printable, short_name
from retrieval.cli.progress import progress_display
from retrieval.cli.train_options import model_options, recipe_options

if TYPE_CHECKING:
    from indexer import CorpusOptions, Trained
    from retrieval.types import Limits

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
@model_options
@click.option("--val", metavar="CORPUS", help="Validate on another corpus, read with the same options.")
@click.option("--val-split", metavar="NAMES", help="Validate on other splits of a Karpathy JSON.")
@click.option(
    "--val-share",
    type=click.FloatRange(0, 0.5, min_open=True),
    default=0.1,
    show_default=True,
    help="Without --val and --val-split: hold out this share of the pictures for validation, drawn with --seed.",
)
@corpus_options
@click.option(
    "--teacher-images",
    type=click.Path(path_type=Path),
    metavar="NPY",
    help="Distil from a teacher: its image vectors, one row per picture of CORPUS, in order.",
)
@click.option(
    "--teacher-texts",
    type=click.Path(path_type=Path),
    metavar="NPY",
    help="Distil from a teacher: its text vectors, one row per caption, in order.",
)
@recipe_options
@click.option(
    "--checkpoint-minutes",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Minutes between two checkpoints within an epoch.",
)
@click.option(
    "--checkpoint-steps", type=click.IntRange(1), help="Steps between two checkpoints within an epoch."
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Keep decoded pictures here, for other runs. [default: in --out, deleted at the end]",
)
@click.option("--data-licence", metavar="TEXT", help="Licence terms of the data, for the model card.")
@click.option("--device", metavar="NAME", help="cpu, cuda, mps. [default: a GPU where there is one]")
@json_option("Print one JSON object at the end.")
@quiet_option
def train(
    corpus: str,
    out: Path,
    start: Any,
    recipe: Any,
    val: str | None,
    val_split: str | None,
    val_share: float,
    options: CorpusOptions,
    limits: Limits,
    workers: int | None,
    teacher_images: Path | None,
    teacher_texts: Path | None,
    checkpoint_minutes: float,
    checkpoint_steps: int | None,
    cache: Path | None,
    data_licence: str | None,
    device: str | None,
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
    from retrieval.encoders.freed_memory import retain_freed_memory

    retain_freed_memory()
    with progress_display(quiet) as show:
        result = indexer.train(
            corpus,
            out,
            model=start,
            recipe=recipe,
            val=val,
            val_split=val_split,
            val_share=val_share,
            options=options,
            teacher_images=teacher_images,
            teacher_texts=teacher_texts,
            limits=limits,
            workers=workers,
            cache=cache,
            data_licence=data_licence,
            saving=indexer.Saving(checkpoint_minutes, checkpoint_steps),
            device=device,
            command=shlex.join(["vlsearch", *sys.argv[1:]]),
            on_progress=show,
        )
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
