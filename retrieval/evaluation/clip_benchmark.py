"""Results in the layout of CLIP_benchmark: one object for each model, data set and language."""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.evaluation.figures import Figures

_TASKS = {"text to image": "image", "image to text": "text"}


def retrieval_record(
    dataset: str, model: str, pretrained: str, language: str, figures: Figures
) -> dict[str, object]:
    """CLIP_benchmark's object for zero-shot retrieval; hit rates as fractions.

    Its ``image_retrieval_recall@K`` has text queries and finds pictures, ``text_retrieval_recall@K`` the
    other way round, and both are hit rates (LAION-AI/CLIP_benchmark, ``metrics/zeroshot_retrieval.py``).
    """
    metrics = {
        f"{_TASKS[direction]}_retrieval_recall@{rate.k}": rate.rate.value
        for direction, side in figures.sides.items()
        for rate in side.hit_rates
    }
    return _record(dataset, model, pretrained, "zeroshot_retrieval", metrics, language)


def classification_record(
    dataset: str, model: str, pretrained: str, language: str, metrics: Mapping[str, float]
) -> dict[str, object]:
    """CLIP_benchmark's object for zero-shot classification: ``acc1``, ``acc5``, ``mean_per_class_recall``."""
    return _record(dataset, model, pretrained, "zeroshot_classification", metrics, language)


def _record(
    dataset: str, model: str, pretrained: str, task: str, metrics: Mapping[str, float], language: str
) -> dict[str, object]:
    return {
        "dataset": dataset,
        "model": model,
        "pretrained": pretrained,
        "task": task,
        "metrics": dict(metrics),
        "language": language,
    }
