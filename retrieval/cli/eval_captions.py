"""``vlsearch eval --task caption``: how well captions that some program wrote describe the pictures of a corpus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrieval.answers import json_line
from retrieval.cli.corpus_options import reading_options
from retrieval.cli.eval_options import (
    ProtocolChoice,
    cache_option,
    models_option,
    protocol_options,
    record_option,
    silence_option,
)
from retrieval.cli.limit_options import limit_options
from retrieval.cli.options import runtime_options
from retrieval.cli.printing import counted, one_line
from retrieval.cli.progress import progress_display
from retrieval.corpora import CorpusOptions
from retrieval.errors import UsageError
from retrieval.types import Limits

if TYPE_CHECKING:
    from retrieval.evaluation.captioning.evaluate import CaptionEvaluation

predictions_option = click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --task caption: the captions to measure, as COCO's results, JSON lines or a table; with --task ask: the "
    "answers, as VQA's results.",
)
clip_model_option = click.option(
    "--clip-model",
    metavar="MODEL",
    help="With --task caption: print CLIPScore by this model too.",
)


@click.command(name="eval-captions")
@click.argument("corpus")
@models_option("Model that writes the captions.")
@predictions_option
@clip_model_option
@protocol_options
@reading_options()
@cache_option
@limit_options
@runtime_options
@record_option
@silence_option
def caption_evaluation_command(
    corpus: str,
    models: tuple[str, ...],
    predictions: Path | None,
    clip_model: str | None,
    protocol: ProtocolChoice,
    options: CorpusOptions,
    cache: Path | None,
    limits: Limits,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure how well captions describe the pictures of a corpus; ``vlsearch eval`` hands its arguments on."""
    if (predictions is None) != (len(models) == 1):
        raise UsageError(
            "--task caption measures the captions in a file or those of one model; give --predictions FILE or "
            "--model MODEL"
        )
    if protocol.folds is not None:
        raise UsageError("captions are measured over all pictures at once; leave --folds out")
    import retrieval  # numpy: not for --help

    with progress_display(quiet) as show:
        measured = retrieval.evaluate_captions(
            corpus,
            predictions,
            model=models[0] if models else None,
            protocol=protocol.name,
            options=options,
            captions=protocol.captions,
            clip_model=clip_model,
            limits=limits,
            cache=cache,
            on_progress=show,
        )
    print_caption_figures(measured, as_json)


def print_caption_figures(measured: CaptionEvaluation, as_json: bool) -> None:
    """Print figures for people, times 100 as papers do, or as one JSON object with the figures themselves."""
    if as_json:
        click.echo(json_line(_facts(measured)).encode())
        return
    for label, text in _conditions(measured):
        click.echo(f"{label:<13}{one_line(text)}")
    click.echo()
    figures = _figures(measured)
    widths = [max(len(name), 6) for name in figures]
    click.echo("  ".join(name.rjust(width) for name, width in zip(figures, widths, strict=True)))
    cells = (f"{100 * value:.2f}".rjust(width) for value, width in zip(figures.values(), widths, strict=True))
    click.echo("  ".join(cells))


def _conditions(measured: CaptionEvaluation) -> list[tuple[str, str]]:
    from retrieval.evaluation.captioning.tokens import described_tokens

    evaluated = measured.evaluated
    size = f"{counted(measured.pictures, 'picture')}, {counted(measured.references, 'reference')}"
    lines = [
        ("corpus", f"{evaluated.name} ({evaluated.language}): {size}"),
        (
            "protocol",
            f"{evaluated.protocol}; each caption against all references of its picture, corpus level",
        ),
        ("tokens", described_tokens(evaluated.language)),
        ("captions", measured.captions),
    ]
    if measured.without_reference:
        lines.append(
            ("note", f"{counted(measured.without_reference, 'picture')} without a reference left out")
        )
    # Of retrieval; here such pictures are left out.
    misses = ("is a miss", "are misses")
    lines += [("note", note) for note in evaluated.notes if not note.endswith(misses)]
    return lines + ([("CLIPScore", f"by {measured.clip.encoder}")] if measured.clip else [])


def _figures(measured: CaptionEvaluation) -> dict[str, float]:
    scores = measured.scores
    figures = {f"BLEU-{order}": value for order, value in enumerate(scores.bleu, 1)}
    figures |= {"CIDEr-D": scores.cider, "ROUGE-L": scores.rouge}
    if measured.clip is not None:
        figures |= {"CLIPScore": measured.clip.clip_score, "RefCLIPScore": measured.clip.ref_clip_score}
    return figures


def _facts(measured: CaptionEvaluation) -> dict[str, object]:
    evaluated = measured.evaluated
    return {
        "task": "caption",
        "corpus": evaluated.name,
        "language": evaluated.language,
        "captions": measured.captions,
        "pictures": measured.pictures,
        "pictures_without_reference": measured.without_reference,
        "references": measured.references,
        "clip_model": measured.clip.encoder if measured.clip else None,
        "metrics": {name.lower().replace("-", "_"): value for name, value in _figures(measured).items()},
    }
