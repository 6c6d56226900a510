"""What a second look gains: against rankings made pair by pair, and what is refused."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from retrieval.decoding.preparations import Squash
from retrieval.errors import EvaluationError, UsageError
from retrieval.evaluation.evaluation_set import DIRECTIONS, EvaluationSet, assemble, with_folds
from retrieval.evaluation.reranking import evaluate_reranking
from retrieval.evaluation.run import Evaluation
from retrieval.types import CorpusImage, CorpusText, InlineBytes
from tests.command_line import Run
from tests.retrieval.evaluation.small_sets import evaluation_of, random_units, set_of

IMAGES, EACH = 12, 2


class Shades:
    """A reranker that knows which picture a text is of by its shade, but for every third text."""

    name = "shades"
    preparation = Squash(4)

    def check(self, text: str) -> None:
        if text == "雪":
            raise UsageError("shades reads English")

    def score(self, prepared: NDArray[np.uint8], texts: Sequence[str]) -> list[float]:
        shade = int(prepared.mean() / 20 + 0.5)
        return [0.0 if int(text) % 3 == 0 else -abs(int(text) // EACH - shade) for text in texts]


def grey(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (20 * number,) * 3).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def evaluated() -> EvaluationSet:
    texts = range(IMAGES * EACH)
    return assemble(
        "greys",
        [CorpusImage(f"test:{number}.png", InlineBytes(grey(number))) for number in range(IMAGES)],
        [CorpusText(f"test:{number}", str(number)) for number in texts],
        [(number // EACH, number) for number in texts],
    )


@pytest.fixture
def evaluation(evaluated: EvaluationSet) -> Evaluation:
    vectors = random_units(IMAGES, seed=1), random_units(IMAGES * EACH, seed=2)
    return evaluation_of(evaluated, {"random": vectors}, (1, 3))


def hit_rate(evaluation: Evaluation, direction: str, depth: int, k: int, again: bool) -> float:
    """Plainly: sort all items by the vectors, the first ``depth`` of them by the reranker, and look for an answer."""
    embedded, shades = evaluation.models[0].embedded, Shades()
    hits = []
    is_of_images = direction == "text to image"
    queries, items = (embedded.texts, embedded.images) if is_of_images else (embedded.images, embedded.texts)
    for query, vector in enumerate(queries):
        first = sorted(range(len(items)), key=lambda item: (-float(items[item] @ vector), item))[:depth]
        if again:
            scored = []
            for item in first:
                image, text = (item, query) if is_of_images else (query, item)
                array = np.full((4, 4, 3), 20 * image, np.uint8)
                scored.append((-shades.score(array, [str(text)])[0], item))
            first = [item for _, item in sorted(scored)]
        answers = (query // EACH,) if is_of_images else tuple(range(query * EACH, query * EACH + EACH))
        hits.append(any(item in answers for item in first[:k]))
    return float(np.mean(hits))


@pytest.mark.parametrize("depth", [3, 8, 100])
def test_hit_rates_before_and_after_are_those_of_a_plain_ranking_and_the_gain_has_its_interval(
    evaluation: Evaluation, depth: int
) -> None:
    (figures,) = evaluate_reranking(evaluation, Shades(), depth=depth)

    assert (figures.model, figures.reranker, figures.depth) == ("random", "shades", depth)
    for direction in DIRECTIONS:
        for gain in figures.gains[direction]:
            assert gain.before == pytest.approx(hit_rate(evaluation, direction, depth, gain.k, again=False))
            assert gain.after == pytest.approx(hit_rate(evaluation, direction, depth, gain.k, again=True))
            assert gain.interval.low <= gain.difference <= gain.interval.high
    assert max(gain.difference for gain in figures.gains["text to image"]) > 0


def test_the_same_seed_gives_the_same_intervals(evaluation: Evaluation) -> None:
    assert evaluate_reranking(evaluation, Shades()) == evaluate_reranking(evaluation, Shades())


def test_what_cannot_be_measured_is_a_sentence(evaluation: Evaluation, evaluated: EvaluationSet) -> None:
    folded = replace(evaluation, evaluated=with_folds(evaluated, 2))
    texts = (CorpusText("test:a", "雪"), *evaluated.texts[1:])
    chinese = replace(evaluation, evaluated=replace(evaluated, texts=texts))

    with pytest.raises(UsageError, match="folds are not re-ranked"):
        evaluate_reranking(folded, Shades())
    with pytest.raises(UsageError, match="reads English"):
        evaluate_reranking(chinese, Shades())
    with pytest.raises(UsageError, match="changes no hit rate at 5"):
        evaluate_reranking(replace(evaluation, cuts=(5, 10)), Shades(), depth=4)
    with pytest.raises(UsageError, match="a depth of 1 to 1000"):
        evaluate_reranking(evaluation, Shades(), depth=0)


def test_a_picture_that_cannot_be_decoded_ends_the_evaluation() -> None:
    broken = set_of([(0, 0), (1, 1)], 2, 2, ["0", "1"], b"not a picture")
    vectors = random_units(2), random_units(2)

    with pytest.raises(EvaluationError, match="figures over fewer pictures"):
        evaluate_reranking(evaluation_of(broken, {"random": vectors}, (1,)), Shades())


def test_the_command_prints_the_gain_for_people_and_programs(
    run: Run, photos: Path, model: Path, tmp_path: Path, tiny_reranker: Path
) -> None:
    options: list[str | Path] = [
        "--model",
        model,
        "--cache",
        tmp_path / "cache",
        "--rerank",
        tiny_reranker,
        "--depth",
        "3",
    ]

    table = run("eval", photos, *options)
    (record,) = [json.loads(line) for line in run("eval", photos, *options, "--json").stdout.splitlines()]

    assert table.exit_code == 0, table.output
    assert "looked again at the first 3 of each list" in table.stdout
    metrics = record["metrics"]
    assert metrics["rerank_depth"] == 3
    gain = metrics["image_retrieval_reranked_recall@1"] - metrics["image_retrieval_recall@1"]
    assert metrics["image_retrieval_reranked_gain@1"] == pytest.approx(gain)
    assert (
        metrics["image_retrieval_reranked_gain_low@1"]
        <= gain
        <= metrics["image_retrieval_reranked_gain_high@1"]
    )
    assert "text_retrieval_reranked_recall@1" in metrics


@pytest.fixture
def tiny_reranker(tmp_path: Path) -> Path:
    from tests.retrieval.generators.tiny_generators import blip_itm

    (tmp_path / "blip-itm").mkdir()
    blip_itm(tmp_path / "blip-itm")
    return tmp_path / "blip-itm"


def test_the_depth_alone_is_a_usage_mistake(run: Run, photos: Path) -> None:
    done = run("eval", photos, "--depth", "3")

    assert done.exit_code == 2
    assert "--depth goes with --rerank" in done.stderr
