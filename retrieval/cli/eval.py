"""``vlsearch eval``: how well models retrieve on a captioned corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from retrieval.answers import json_line
from retrieval.cli.classify import classify_command
from retrieval.cli.completing import complete_collections, complete_paths
from retrieval.cli.corpus_options import SPLITS, reading_options
from retrieval.cli.eval_answers import annotations_option, answer_evaluation_command
from retrieval.cli.eval_captions import caption_evaluation_command, clip_model_option, predictions_option
from retrieval.cli.eval_options import (
    FigureChoice,
    Output,
    ProtocolChoice,
    cache_option,
    figure_options,
    models_option,
    output_options,
    protocol_options,
)
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import given_place, runtime_options
from retrieval.cli.printing import printable
from retrieval.cli.progress import progress_display
from retrieval.cli.rerank_options import SecondLookOptions, measured_rerank_options
from retrieval.corpora import CorpusOptions
from retrieval.errors import UsageError
from retrieval.places import CollectionPlace
from retrieval.postgres_address import FORM
from retrieval.types import Limits, OnProgress

if TYPE_CHECKING:
    from retrieval.evaluation.reranking import RerankedFigures
    from retrieval.evaluation.run import Evaluation


OTHER_OPTIONS = ("predictions", "clip_model", "annotations")


class EvalCommand(click.Command):
    """``vlsearch eval``, of which ``--task`` makes another command.

    ``classification`` is a deprecated name of ``vlsearch classify``.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, or that of another task with the options that both have."""
        task = ctx.params.pop("task")
        if task == "caption":
            return _hand_on(ctx, caption_evaluation_command, "--task caption")
        if task == "ask":
            return _hand_on(ctx, answer_evaluation_command, "--task ask")
        if task == "classification":
            click.echo(
                "vlsearch eval --task classification is deprecated and ends with the next release; use vlsearch "
                "classify",
                err=True,
            )
            return _hand_on(ctx, classify_command, "vlsearch classify")
        if ctx.params.pop("class_names") is not None:
            raise UsageError("--class-names is an option of vlsearch classify; leave it out")
        spare = [ctx.params.pop(name) for name in OTHER_OPTIONS]
        if spare != [None] * len(spare):
            raise UsageError(
                "--predictions, --clip-model and --annotations go with --task caption or ask; add it, or leave them out"
            )
        return super().invoke(ctx)


def _hand_on(ctx: click.Context, command: click.Command, task: str) -> object:
    """Run another command with the options given.

    Raises:
        UsageError: it does not have one of them.
    """
    known = {option.name for option in command.params}
    for option in ctx.command.params:
        name = option.name or ""
        is_given = ctx.get_parameter_source(name) is not ParameterSource.DEFAULT
        if is_given and name not in known | {"task"}:
            raise UsageError(f"{option.opts[0]} has no meaning for {task}; leave it out")
    return ctx.invoke(command, **{name: value for name, value in ctx.params.items() if name in known})


@click.command(name="eval", cls=EvalCommand)
@click.argument("corpus", shell_complete=complete_paths)
@models_option(
    "Model by alias, hub name or folder; repeatable, and then compared. [default: the collection's, else the best on "
    "this machine]"
)
@click.option(
    "--collection",
    type=click.Path(),
    metavar="PATH",
    callback=given_place,
    shell_complete=complete_collections,
    help=f"Ask this collection, a folder or {FORM}, the same queries, and score what it answers.",
)
@protocol_options
@figure_options
@reading_options(f"{SPLITS[:-1]}; with --protocol one, by default that of the papers.")
@measured_rerank_options
@cache_option
@limit_options
@runtime_options
@output_options
@click.option(
    "--task",
    type=click.Choice(["retrieval", "caption", "ask", "classification"]),
    metavar="[retrieval|caption|ask]",
    help="Measure how texts and pictures find each other, how well captions describe pictures, or how often answers "
    "are right. "
    "[default: retrieval]",
)
@predictions_option
@clip_model_option
@annotations_option
@click.option(
    "--class-names", type=click.Path(path_type=Path), hidden=True, help="Deprecated: vlsearch classify."
)
def eval_command(
    corpus: str,
    models: tuple[str, ...],
    collection: CollectionPlace | None,
    protocol: ProtocolChoice,
    figures: FigureChoice,
    options: CorpusOptions,
    second: SecondLookOptions | None,
    cache: Path | None,
    limits: Limits,
    output: Output,
) -> None:
    r"""Measure how well a model retrieves on a captioned corpus.

    CORPUS is anything that vlsearch index reads, or with --protocol the files of a published protocol. Each
    text asks for its pictures and each picture for its texts; ranks are exact. With --task caption, captions in a
    file are compared with those of the corpus instead: BLEU, CIDEr-D, ROUGE-L. --rerank MODEL looks at the first
    items of each list again, in both directions, and prints what that gains.

    \b
        vlsearch eval val-000.tar
        vlsearch eval val-000.tar --caption-column captions_zh:zh
        vlsearch eval coco/ --protocol coco-5k --model mini --model siglip2-base
        vlsearch eval coco/ --protocol coco-5k --task caption --predictions results.json
        vlsearch eval questions.json --task ask --annotations annotations.json --predictions results.json
    """
    import retrieval  # numpy, sqlalchemy: not for --help
    from retrieval.evaluation.report import check_report_packages
    from retrieval.freed_memory import retain_freed_memory

    retain_freed_memory()  # else every batch of the image tower maps its memory anew
    if output.report is not None:
        check_report_packages()
    with progress_display(output.quiet) as show:
        evaluation = retrieval.evaluate(
            corpus,
            models=models,
            protocol=protocol.name,
            options=options,
            captions=protocol.captions,
            folds=protocol.folds,
            k=figures.cuts,
            templates=figures.templates,
            collection=collection,
            ann=figures.ann or output.report is not None,
            indexes=figures.indexes,
            seed=figures.seed,
            limits=limits,
            cache=cache,
            on_progress=show,
        )
        gains = _look_again(evaluation, second, show)
    _print_evaluation(evaluation, gains, output.as_json)
    if output.trec is not None:
        _write_trec(evaluation, output.trec)
    if output.report is not None:
        _write_report(evaluation, output.report)


def _look_again(
    evaluation: Evaluation, second: SecondLookOptions | None, show: OnProgress
) -> list[RerankedFigures]:
    if second is None:
        return []
    import retrieval

    return retrieval.evaluate_reranking(evaluation, second.model, depth=second.depth, on_progress=show)


def _print_evaluation(evaluation: Evaluation, gains: list[RerankedFigures], as_json: bool) -> None:
    if as_json:
        from retrieval.evaluation.clip_benchmark import retrieval_records

        for record in retrieval_records(evaluation, gains):
            click.echo(json_line(record).encode())
    else:
        from retrieval.cli.figures import show_evaluation, show_gains  # rich: only for people

        show_evaluation(evaluation)
        for figures in gains:
            show_gains(figures)


def _write_trec(evaluation: Evaluation, folder: Path) -> None:
    from retrieval.evaluation.trec import write_trec

    for path in write_trec(evaluation, folder):
        click.echo(f"wrote {printable(str(path))}", err=True)


def _write_report(evaluation: Evaluation, folder: Path) -> None:
    from retrieval.evaluation.report import write_report

    for path in write_report(evaluation, folder):
        click.echo(f"wrote {printable(str(path))}", err=True)
