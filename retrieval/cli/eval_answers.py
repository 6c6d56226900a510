"""``vlsearch eval --task ask``: how often answers to questions about pictures are right."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.corpus_options import reading_options
from retrieval.cli.eval_captions import predictions_option
from retrieval.cli.eval_options import models_option, record_option, silence_option
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import runtime_options
from retrieval.cli.printing import one_line
from retrieval.cli.progress import progress_display
from retrieval.corpora import CorpusOptions
from retrieval.errors import UsageError
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.evaluation.answering.evaluate import AnswerEvaluation

annotations_option = click.option(
    "--annotations",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --task ask: VQA v2's annotations, which hold the answers.",
)


@click.command(name="eval-answers")
@click.argument("corpus")
@models_option("Model that answers.")
@predictions_option
@annotations_option
@reading_options()
@limit_options
@runtime_options
@record_option
@silence_option
def answer_evaluation_command(
    corpus: str,
    models: tuple[str, ...],
    predictions: Path | None,
    annotations: Path | None,
    options: CorpusOptions,
    limits: Limits,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how often answers are right; ``vlsearch eval`` hands its arguments on."""
    if options != CorpusOptions(images=options.images):
        raise UsageError("--task ask reads VQA v2's files or COCO-QA's; leave options of other corpora out")
    if len(models) > 1:
        raise UsageError("--task ask measures one model; name one with --model")
    import retrieval  # numpy: not for --help

    with progress_display(quiet) as show:
        measured = retrieval.evaluate_answers(
            corpus,
            annotations,
            predictions=predictions,
            model=models[0] if models else None,
            images=options.images,
            limits=limits,
            on_progress=show,
        )
    _print(measured, as_json)


def _print(measured: AnswerEvaluation, as_json: bool) -> None:
    if as_json:
        kinds = {
            kind: {"questions": count, "accuracy": share} for kind, (count, share) in measured.by_kind.items()
        }
        click.echo(json_line({"task": "ask", **asdict(measured), "by_kind": kinds}).encode())
        return
    click.echo(f"{measured.data}: {measured.questions:,} questions, answers: {one_line(measured.answers)}")
    for kind, (count, share) in measured.by_kind.items():
        click.echo(f"  {one_line(kind):<10} {100 * share:6.2f}  of {count:,}")
    click.echo(f"  {'all':<10} {100 * measured.accuracy:6.2f}")
