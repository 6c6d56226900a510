"""CLIP_benchmark's layout: its keys, its directions, fractions."""

from __future__ import annotations

import json

import numpy as np

from retrieval.evaluation.classification import Classification, LabelledImages, classify
from retrieval.evaluation.clip_benchmark import classification_records, retrieval_records
from retrieval.types import CorpusImage, InlineBytes
from tests.retrieval.evaluation.small_sets import (
    IDENTITY,
    evaluation_of,
    five_each,
    random_units,
    set_of,
    unit,
)

KEYS = ["dataset", "model", "pretrained", "task", "metrics", "language"]


def test_a_record_has_the_keys_of_clip_benchmark_and_one_comes_for_each_model() -> None:
    vectors = random_units(12), random_units(60, seed=1)

    records = list(retrieval_records(evaluation_of(five_each(12), {"a": vectors, "b": vectors})))

    assert [list(record) for record in records] == [[*KEYS, "comparisons"]] * 2
    assert [record["model"] for record in records] == ["a", "b"]
    assert records[0]["task"] == "zeroshot_retrieval"
    assert records[0]["language"] == "en"
    assert list(records[0]["metrics"])[:4] == [
        "image_retrieval_recall@1", "image_retrieval_recall@5", "text_retrieval_recall@1", "text_retrieval_recall@5",
    ]  # fmt: skip


def test_image_retrieval_has_text_queries_and_fractions_with_whole_numbers_beside_them() -> None:
    # both texts find their image, and the second image has no text to find
    images, texts = unit([[1, 0], [0, 1]]), unit([[2, 1], [3, 1]])

    record = next(
        retrieval_records(evaluation_of(set_of([(0, 0), (0, 1)], 2, 2), {"m": (images, texts)}, (1,)))
    )

    metrics = record["metrics"]
    assert (metrics["image_retrieval_recall@1"], metrics["text_retrieval_recall@1"]) == (1.0, 0.5)
    assert (metrics["text_retrieval_hits@1"], metrics["text_retrieval_queries"]) == (1, 2)
    assert metrics["text_retrieval_trec_recall@1"] == 0.25


def test_a_rank_that_is_never_reached_is_null_and_the_record_is_json() -> None:
    evaluation = evaluation_of(set_of([(0, 0)], 2, 1), {"m": (random_units(2), random_units(1))}, (1,))

    record = next(retrieval_records(evaluation))

    assert record["metrics"]["text_retrieval_mean_rank"] is None
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_classification_has_accuracies_and_no_acc5_for_few_classes() -> None:
    images = unit([[1, 0], [1, 0.1], [0, 1]])
    labelled = LabelledImages(
        "pets",
        tuple(CorpusImage(f"p{n}", InlineBytes(b"")) for n in range(3)),
        np.array([0, 1, 1]),
        ("cat", "dog"),
    )
    accuracy = classify(labelled, images, unit([[1, 0], [0, 1]]))

    record = next(classification_records(Classification(labelled, ("{}",), {"m": (IDENTITY, accuracy)})))

    assert list(record) == KEYS
    assert record["task"] == "zeroshot_classification"
    assert record["metrics"] == {"acc1": 2 / 3, "mean_per_class_recall": (1 + 1 / 2) / 2}
