"""Results in the layout of CLIP_benchmark: one object for each model, data set and language."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NotRequired, TypedDict

from retrieval.evaluation.classification import Classification
from retrieval.evaluation.figures import DirectionFigures, Figures
from retrieval.evaluation.reranking import RerankedFigures
from retrieval.evaluation.run import EngineFigures, Evaluation
from retrieval.identity import Identity

Metrics = dict[str, float | None]
"""Figures by name; None where JSON has no number for the value."""


class BenchmarkRecord(TypedDict):
    """One result as CLIP_benchmark writes it: a model on a data set in a language; then what it does not measure."""

    dataset: str
    model: str
    pretrained: str
    task: str
    metrics: Metrics
    language: str
    collection: NotRequired[dict[str, Any]]
    indexes: NotRequired[list[dict[str, Any]]]
    comparisons: NotRequired[list[dict[str, Any]]]


_TASKS = {"text to image": "image", "image to text": "text"}


def retrieval_records(
    evaluation: Evaluation, gains: Sequence[RerankedFigures] = ()
) -> Iterator[BenchmarkRecord]:
    """Yield CLIP_benchmark's record of zero-shot retrieval for each model; hit rates are fractions.

    Its ``image_retrieval_recall@K`` has text queries and finds images, ``text_retrieval_recall@K`` the
    other way round, and both are hit rates (LAION-AI/CLIP_benchmark, ``metrics/zeroshot_retrieval.py``). The
    metrics that CLIP_benchmark does not write follow behind them, under names that it does not use; last, those of
    a second look, if one was taken. Behind its keys stand, each only where it was measured, ``collection`` (the same
    metrics of a collection's own answers, and seconds a query), ``indexes`` (as
    :class:`~retrieval.evaluation.indexes.IndexFigures`) and ``comparisons`` with the other models (as
    :class:`~retrieval.evaluation.significance.Comparison`).
    """
    dataset, language = evaluation.evaluated.name, evaluation.evaluated.language
    for model in evaluation.models:
        metrics = retrieval_metrics(model.figures)
        for figures in gains:
            metrics |= _gained(figures) if figures.model == model.model else {}
        record = _record(dataset, model.model, model.identity, "zeroshot_retrieval", metrics, language)
        if model.engine is not None:
            record["collection"] = _of_collection(model.engine)
        if model.indexes:
            record["indexes"] = [asdict(index) for index in model.indexes]
        compared = [one for one in evaluation.comparisons if model.model in (one.first, one.second)]
        if compared:
            record["comparisons"] = [asdict(one) for one in compared]
        yield record


def _of_collection(engine: EngineFigures) -> dict[str, Any]:
    images, texts = engine.items
    latency = {f"{_TASKS[direction]}_retrieval": asdict(one) for direction, one in engine.latency.items()}
    return {
        "path": str(engine.collection),
        "images": images,
        "texts": texts,
        "metrics": retrieval_metrics(engine.figures),
        "seconds": latency,
    }


def classification_records(classified: Classification) -> Iterator[BenchmarkRecord]:
    """Yield CLIP_benchmark's record of zero-shot classification: ``acc1``, ``acc5``, ``mean_per_class_recall``."""
    dataset = classified.labelled.name
    for name, (identity, accuracy) in classified.models.items():
        metrics = Metrics(accuracy.as_metrics())
        yield _record(dataset, name, identity, "zeroshot_classification", metrics, "en")


def retrieval_metrics(figures: Figures) -> Metrics:
    """Give CLIP_benchmark's metrics, then vlsearch's own of each direction: counts, intervals, ties, ..."""
    metrics: Metrics = {
        f"{_TASKS[direction]}_retrieval_recall@{rate.k}": rate.rate.value
        for direction, measured in figures.directions.items()
        for rate in measured.hit_rates
    }
    for direction, measured in figures.directions.items():
        for name, value in _more(measured).items():
            metrics[f"{_TASKS[direction]}_retrieval_{name}"] = value
    if figures.rsum is not None:
        metrics["rsum"] = figures.rsum
    return metrics


def _gained(figures: RerankedFigures) -> Metrics:
    found: Metrics = {"rerank_depth": figures.depth}
    for direction, gains in figures.gains.items():
        for gain in gains:
            name = f"{_TASKS[direction]}_retrieval_reranked"
            found |= {
                f"{name}_recall@{gain.k}": gain.after,
                f"{name}_gain@{gain.k}": gain.difference,
                f"{name}_gain_low@{gain.k}": gain.interval.low,
                f"{name}_gain_high@{gain.k}": gain.interval.high,
            }
    return found


def _more(measured: DirectionFigures) -> Metrics:
    found: Metrics = {
        "queries": measured.queries,
        "gallery": measured.gallery,
        "depth": measured.depth,
        "tied_pairs": measured.tied_pairs,
    }
    for rate in measured.hit_rates:
        k = rate.k
        found |= {
            f"hits@{k}": rate.rate.count,
            f"interval_low@{k}": rate.interval.low,
            f"interval_high@{k}": rate.interval.high,
            f"ties_worst_hits@{k}": rate.worst.count,
            f"ties_best_hits@{k}": rate.best.count,
            f"trec_recall@{k}": measured.recall[k],
            f"precision@{k}": measured.precision[k],
            f"ndcg@{k}": measured.ndcg[k],
        }
    return found | {
        "mrr": measured.mrr,
        "median_rank": _finite(measured.median_rank),
        "mean_rank": _finite(measured.mean_rank),
        "map": measured.mean_average_precision,
        "map@r": measured.map_at_r,
        "r_precision": measured.r_precision,
        "mean_recall": measured.mean_recall,
    }


def _finite(value: float) -> float | None:
    """JSON has no infinity: a rank that was never reached is null."""
    return value if math.isfinite(value) else None


def _record(
    dataset: str, model: str, identity: Identity, task: str, metrics: Metrics, language: str
) -> BenchmarkRecord:
    return {
        "dataset": dataset,
        "model": model,
        "pretrained": identity.revision or f"sha256:{identity.weights[:16]}",
        "task": task,
        "metrics": metrics,
        "language": language,
    }
