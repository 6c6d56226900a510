"""``vlsearch eval``: how well models retrieve on a captioned corpus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from retrieval.cli.corpus_options import SPLITS, reading_options
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import json_option
from retrieval.cli.printing import json_line, printable
from retrieval.cli.progress import progress_display
from retrieval.errors import UsageError
from retrieval.types import Limits

if TYPE_CHECKING:
    from indexer import CorpusOptions
    from retrieval.evaluation.classification import Classification
    from retrieval.evaluation.embedding import Advance
    from retrieval.evaluation.protocols.protocol import Captions
    from retrieval.evaluation.run import Evaluation


_OF_CLASSIFICATION = {"corpus", "models", "templates", "task", "class_names", "cache", "as_json", "quiet"}


def _numbers(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    try:
        return tuple(int(number) for number in value.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{value!r} is not a list of numbers; write it as 1,5,10") from error


@click.command(name="eval")
@click.argument("corpus")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Model by alias, hub name or folder; repeatable, and then compared. [default: the collection's, "
    "else the best on this machine]",
)
@click.option(
    "--protocol",
    metavar="NAME",
    help="Published protocol: flickr8k, flickr30k, coco-5k, coco-1k, coco-cn, flickr30k-cn, muge, xm3600 or "
    "eccv. [default: all of CORPUS]",
)
@click.option(
    "--k", "cuts", metavar="K,...", callback=_numbers, help="Where lists are cut. [default: 1,5,10]"
)
@click.option(
    "--captions",
    type=click.Choice(["all", "first5"]),
    default="all",
    show_default=True,
    help="Captions of each picture that count.",
)
@click.option("--folds", type=click.IntRange(min=2), help="Mean over so many equal parts, in file order.")
@click.option(
    "--template",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="Put each text in place of {} in this; repeatable, and then vectors are averaged.",
)
@click.option(
    "--collection",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Ask this collection the same queries, and score what it answers.",
)
@click.option(
    "--ann", is_flag=True, help="Compare approximate indexes with exact search, on the text queries."
)
@click.option(
    "--index",
    "indexes",
    multiple=True,
    metavar="FACTORY",
    help="The indexes that --ann compares, as FAISS names them; repeatable. [default: a range of them]",
)
@click.option(
    "--task",
    type=click.Choice(["retrieval", "classification"]),
    default="retrieval",
    show_default=True,
    help="Zero-shot classification takes folders named by class, or tars with labels.",
)
@click.option(
    "--class-names",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Names of classes for classification: lines FOLDER<tab>NAME, or a name a line.",
)
@reading_options(f"{SPLITS[:-1]}; with --protocol one, by default that of the papers.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of intervals and tests.")
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Folder that embeddings are kept in."
)
@limit_options
@click.option("--trec", type=click.Path(path_type=Path), metavar="DIR", help="Write qrels and run files.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write a page with plots, worst misses, hubs and indexes (includes --ann).",
)
@json_option("Print one JSON object a model, in the layout of CLIP_benchmark.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
def eval_command(
    corpus: str,
    models: tuple[str, ...],
    protocol: str | None,
    cuts: tuple[int, ...] | None,
    captions: Captions,
    folds: int | None,
    templates: tuple[str, ...],
    collection: Path | None,
    ann: bool,
    indexes: tuple[str, ...],
    task: str,
    class_names: Path | None,
    options: CorpusOptions,
    seed: int,
    cache: Path | None,
    limits: Limits,
    trec: Path | None,
    report: Path | None,
    as_json: bool,
    quiet: bool,
) -> None:
    r"""Measure how well a model retrieves on a captioned corpus.

    CORPUS is anything that vlsearch index reads, or with --protocol the files of a published protocol. Each
    text asks for its pictures and each picture for its texts; ranks are exact.

    \b
        vlsearch eval val-000.tar
        vlsearch eval val-000.tar --caption-column captions_zh:zh
        vlsearch eval coco/ --protocol coco-5k --model mini --model siglip2-base
    """
    import retrieval  # numpy, sqlalchemy: not for --help
    from retrieval.encoders.freed_memory import retain_freed_memory
    from retrieval.evaluation.report import check_report_packages

    _refuse_what_means_nothing(task)
    retain_freed_memory()  # else every batch of the image tower maps its memory anew
    if task == "classification":
        with _telling(quiet) as tell:
            classified = retrieval.classify(corpus, models, templates, class_names, cache, tell)
        _print_accuracies(classified, as_json)
        return
    if report is not None:
        check_report_packages()
    with _telling(quiet) as tell:
        evaluation = retrieval.evaluate(
            corpus,
            models=models,
            protocol=protocol,
            options=options,
            captions=captions,
            folds=folds,
            k=cuts,
            templates=templates,
            collection=collection,
            ann=ann or report is not None,
            indexes=indexes,
            seed=seed,
            limits=limits,
            cache=cache,
            on_progress=tell,
        )
    _print_evaluation(evaluation, as_json)
    if trec is not None:
        _write_trec(evaluation, trec)
    if report is not None:
        _write_report(evaluation, report)


def _refuse_what_means_nothing(task: str) -> None:
    """Options of the other task are refused, not ignored."""
    context = click.get_current_context()
    for option in context.command.params:
        name = option.name or ""
        given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        foreign = name not in _OF_CLASSIFICATION if task == "classification" else name == "class_names"
        if given and foreign:
            raise UsageError(f"{option.opts[0]} has no meaning for --task {task}; leave it out")


@dataclass(frozen=True, slots=True)
class _Step:
    stage: str
    done: int
    total: int | None
    failed: int = 0
    note: str = ""


@contextmanager
def _telling(quiet: bool) -> Iterator[Advance]:
    """Progress of an evaluation, on stderr."""
    with progress_display(quiet) as show:
        yield lambda stage, done, total: show(_Step(stage, done, total))


def _print_evaluation(evaluation: Evaluation, as_json: bool) -> None:
    if as_json:
        from retrieval.evaluation.clip_benchmark import retrieval_records

        for record in retrieval_records(evaluation):
            click.echo(json_line(record).encode())
    else:
        from retrieval.cli.figures import show_evaluation  # rich: only for people

        show_evaluation(evaluation)


def _print_accuracies(classified: Classification, as_json: bool) -> None:
    if as_json:
        from retrieval.evaluation.clip_benchmark import classification_records

        for record in classification_records(classified):
            click.echo(json_line(record).encode())
    else:
        from retrieval.cli.figures import show_accuracies

        show_accuracies(classified)


def _write_trec(evaluation: Evaluation, folder: Path) -> None:
    from retrieval.evaluation.trec import write_trec

    for path in write_trec(evaluation, folder):
        click.echo(f"wrote {printable(str(path))}", err=True)


def _write_report(evaluation: Evaluation, folder: Path) -> None:
    from retrieval.evaluation.report import write_report

    for path in write_report(evaluation, folder):
        click.echo(f"wrote {printable(str(path))}", err=True)
