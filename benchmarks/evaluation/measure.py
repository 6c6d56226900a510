"""Measures models and indexes and rewrites results.md beside this file, with where it comes from.

    python -m benchmarks.evaluation.measure --flickr8k FOLDER [--classes FOLDER] [--model MODEL ...]

FLICKR8K holds ``val-000.tar`` (1,000 images, five English and five human Chinese captions each), CLASSES tars of
images with a ``label``. Models are names, aliases or folders; the bundled one by default. Embeddings are kept, so
a second run takes the time of the searches and of the speed measurement alone; --no-speed leaves that out and keeps
the speeds of the table before.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import retrieval
from benchmarks.provenance import ROOT, provenance, write_table
from retrieval.evaluation.conditions import preprocessing
from retrieval.evaluation.figures import DirectionFigures, HitRate
from retrieval.evaluation.run import Evaluation
from retrieval.types import Progress

HERE = Path(__file__).parent
RESULTS, SPEED = HERE / "results.md", HERE / "speed.json"
LANGUAGES = (("en", "captions"), ("zh", "captions_zh"))
TEMPLATES = ("a photo of a {}.", "a picture of the {}.", "{}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flickr8k", type=Path, required=True)
    parser.add_argument("--classes", type=Path, help="no classification without it")
    parser.add_argument("--model", action="append", help="repeatable")
    parser.add_argument("--no-speed", action="store_true")
    args = parser.parse_args()
    models = tuple(args.model or ["mini"])
    val, tars = args.flickr8k / "val-000.tar", sorted(args.classes.glob("*.tar")) if args.classes else []
    evaluations = [_evaluate(val, language, column, models) for language, column in LANGUAGES]
    if not args.no_speed:
        scale = [sys.executable, "-m", "benchmarks.evaluation.scale"]
        done = subprocess.run(scale, cwd=ROOT, check=True, capture_output=True, text=True)
        SPEED.write_text(json.dumps(json.loads(done.stdout), indent=2) + "\n")
    classes = " --classes CLASSES" if args.classes else ""
    given = "".join(f" --model {model}" for model in args.model or [])
    command = f"python -m benchmarks.evaluation.measure --flickr8k FLICKR8K{classes}{given}"
    lines = [
        "# Evaluation, measured",
        "",
        *provenance(command, files=[val, *tars]),
        *_models(evaluations[0]),
        *_retrieval(evaluations),
        *_comparisons(evaluations),
        *(_classification(tars, models) if tars else ()),
        *_indexes(evaluations),
        *_speed(json.loads(SPEED.read_text())),
    ]
    write_table(RESULTS, lines)


def _evaluate(val: Path, language: str, column: str, models: Sequence[str]) -> Evaluation:
    options = retrieval.CorpusOptions(
        caption_columns=(retrieval.parse_caption_column(f"{column}:{language}"),)
    )
    return retrieval.evaluate(val, models=models, options=options, ann=True, on_progress=_tell)


def _models(evaluation: Evaluation) -> Iterator[str]:
    for model in evaluation.models:
        identity = model.identity
        yield (
            f"- model {model.model}: weights {identity.weights[:16]}, {identity.precision} ({identity.runtime}), "
            f"{identity.dimension} dimensions; {preprocessing(identity)}"
        )


def _retrieval(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    yield from (
        "",
        "## Retrieval on Flickr8k val",
        "",
        "1,000 pictures and five captions each; every caption and every picture asks, a query without an answer",
        "would be a miss. Hit rate@K is what papers print as R@K: per cent, hits of queries, 95 % interval by picture.",
        "",
        "| model | captions | direction | hit rate@1 | hit rate@5 | hit rate@10 | median rank | mAP@R | RSum |",
        "|---|---|---|---|---|---|--:|--:|--:|",
    )
    for evaluation in evaluations:
        for model in evaluation.models:
            for direction, measured in model.figures.directions.items():
                rates = " | ".join(_rate(rate) for rate in measured.hit_rates)
                rsum = (
                    f"{model.figures.rsum:.1f}" if direction == "text to image" and model.figures.rsum else ""
                )
                yield (
                    f"| {model.model} | {evaluation.evaluated.language} | {direction} | {rates} | "
                    f"{measured.median_rank:.1f} | {_share(measured.map_at_r)} | {rsum} |"
                )
    ties = sum(
        _moved(measured) for e in evaluations for m in e.models for measured in m.figures.directions.values()
    )
    yield from (
        "",
        f"Ties move {ties} of these hit rates, whichever way they fall."
        if ties
        else "Ties move none of these hit rates, whichever way they fall.",
    )


def _comparisons(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    if not evaluations[0].comparisons:
        return
    yield from (
        "",
        "## Differences between models",
        "",
        "Hit rates in per cent points; paired sign-flip permutation test by picture, p after Holm's correction.",
        "",
        "| from | to | captions | figure | difference | p, corrected |",
        "|---|---|---|---|--:|--:|",
    )
    for evaluation in evaluations:
        for row in evaluation.comparisons:
            yield (
                f"| {row.first} | {row.second} | {evaluation.evaluated.language} | {row.figure} | "
                f"{100 * row.difference:+.2f} | {row.corrected:.4f} |"
            )


def _classification(tars: Sequence[Path], models: Sequence[str]) -> Iterator[str]:
    yield from (
        "",
        "## Zero-shot classification",
        "",
        f"Class names in {len(TEMPLATES)} templates, averaged ({'; '.join(f'`{t}`' for t in TEMPLATES)}).",
        "",
        "| model | pictures | classes | top-1 | 95 % interval | top-5 | mean over classes |",
        "|---|--:|--:|---|---|--:|--:|",
    )
    for tar in tars:
        found = retrieval.classify(tar, models, TEMPLATES, on_progress=_tell)
        for name, (_, accuracy) in found.models.items():
            top5 = "" if accuracy.top5 is None else f"{100 * accuracy.top5.value:.1f}"
            interval = f"{100 * accuracy.interval.low:.1f} – {100 * accuracy.interval.high:.1f}"
            yield (
                f"| {name} | {tar.stem}, {len(found.labelled.images):,} | {len(found.labelled.classes)} | "
                f"{100 * accuracy.top1.value:.1f} ({accuracy.top1.count:,}/{accuracy.top1.of:,}) | {interval} | "
                f"{top5} | {100 * accuracy.mean_per_class:.1f} |"
            )


def _indexes(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    yield from (
        "",
        "## Indexes against exact search",
        "",
        "The captions of Flickr8k val as queries over its 1,000 pictures, first 10, one query at a time on one thread.",
        "Recall is the share of the exact first 10 that was found; hit rate@10 is that of the pictures asked for.",
        "",
        "| model | captions | index | recall, % | hit rate@10, % | exact, % | p50 ms | p95 | p99 | MB |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|",
    )
    for evaluation in evaluations:
        for model in evaluation.models:
            for one in model.indexes:
                times = " | ".join(
                    f"{1000 * s:.2f}" for s in (one.latency.p50, one.latency.p95, one.latency.p99)
                )
                yield (
                    f"| {model.model} | {evaluation.evaluated.language} | {one.name} | {100 * one.recall:.2f} | "
                    f"{100 * one.hits / one.queries:.2f} | {100 * one.exact_hits / one.queries:.2f} | {times} | "
                    f"{one.bytes / 1e6:.1f} |"
                )


def _speed(speed: dict[str, float]) -> Iterator[str]:
    yield from (
        "",
        "## Speed of the evaluation itself",
        "",
        "5,000 pictures x 25,010 captions x 512 random dimensions, both directions, every figure with its intervals,",
        "against one plain float32 matrix product of that size (`scale.py`; medians, and peak memory of the process).",
        "CPU seconds are those of all threads; on a machine that does other work they are the ones to compare.",
        "",
        "| | wall, s | CPU, s | peak, MB |",
        "|---|--:|--:|--:|",
    )
    for part, name in (("evaluation", "evaluation"), ("product", "one matrix product")):
        wall, cpu, peak = (speed[f"{part}_{key}"] for key in ("seconds", "cpu_seconds", "peak_mb"))
        yield f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} |"
    yield f"| ratio | {speed['ratio_seconds']:.2f} | {speed['ratio_cpu_seconds']:.2f} | |"


def _rate(rate: HitRate) -> str:
    low, high = 100 * rate.interval.low, 100 * rate.interval.high
    return f"{100 * rate.rate.value:.2f} ({rate.rate.count:,}/{rate.rate.of:,}) {low:.1f} – {high:.1f}"


def _moved(measured: DirectionFigures) -> int:
    return sum(rate.best != rate.worst for rate in measured.hit_rates)


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _tell(progress: Progress) -> None:
    if progress.done == progress.total:
        print(f"{progress.stage}: {progress.done:,}", file=sys.stderr)


if __name__ == "__main__":
    main()
