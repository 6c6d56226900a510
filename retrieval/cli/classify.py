"""``vlsearch classify``: how often a model chooses the right class name for a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.completing import complete_paths
from retrieval.cli.eval_options import (
    cache_option,
    models_option,
    record_option,
    silence_option,
    template_option,
)
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import runtime_options
from retrieval.cli.progress import progress_display
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.evaluation.classification import Classification

class_names_option = click.option(
    "--class-names",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names of the classes: lines FOLDER<tab>NAME, or a name a line for classes that are numbers.",
)


@click.command(name="classify")
@click.argument("corpus", shell_complete=complete_paths)
@models_option(
    "Model by alias, hub name or folder; repeatable, and then compared. [default: the best on this machine]"
)
@template_option
@class_names_option
@cache_option
@limit_options
@runtime_options
@record_option
@silence_option
def classify_command(
    corpus: str,
    models: tuple[str, ...],
    templates: tuple[str, ...],
    class_names: Path | None,
    cache: Path | None,
    limits: Limits,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Measure how well a model names the class of each picture.

    CORPUS is a folder with one folder of pictures for each class, or a tar with KEY.json ({"label": ...}) or
    KEY.cls beside each picture. Each picture asks for its class name, put into the templates, among all of them
    (zero-shot classification).

    \b
        vlsearch classify imagenet/val --class-names names.tsv
        vlsearch classify pets.tar --template "a photo of a {}." --template "the {}."
    """
    import retrieval  # numpy: not for --help
    from retrieval.freed_memory import retain_freed_memory

    retain_freed_memory()  # else every batch of the image tower maps its memory anew
    with progress_display(quiet) as show:
        classified = retrieval.classify(
            corpus, models, templates, class_names, cache, on_progress=show, limits=limits
        )
    print_accuracies(classified, as_json)


def print_accuracies(classified: Classification, as_json: bool) -> None:
    """Print accuracies as tables, or as one line of JSON for each model."""
    if as_json:
        from retrieval.evaluation.clip_benchmark import classification_records

        for record in classification_records(classified):
            click.echo(json_line(record).encode())
    else:
        from retrieval.cli.figures import show_accuracies  # rich: only for people

        show_accuracies(classified)
