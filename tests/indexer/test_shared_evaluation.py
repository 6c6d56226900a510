"""Evaluation of the bundled model on real photographs, which lie beside the repository where people work on it."""

from __future__ import annotations

from pathlib import Path

import ir_measures
import pytest
from ir_measures import AP, RR, R, Success, nDCG

import retrieval
from retrieval.evaluation.evaluation_set import DIRECTIONS
from retrieval.evaluation.trec import write_trec
from tests.trec import read_trec_qrels, read_trec_run

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

pytestmark = [
    pytest.mark.shared,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason=f"the shared data is not at {DATA}"),
]


def test_mini_on_coco_photographs_is_scored_alike_by_ir_measures_and_far_above_chance(tmp_path: Path) -> None:
    evaluation = retrieval.evaluate(
        DATA / "coco_mini" / "captions.jsonl", models=["mini"], cache=tmp_path / "cache"
    )

    write_trec(evaluation, tmp_path / "trec", depth=400)
    assert evaluation.evaluated.denominator("text to image") == 400
    for direction, stem in zip(DIRECTIONS, ("t2i", "i2t"), strict=True):
        measured = evaluation.models[0].figures.directions[direction]
        theirs = ir_measures.calc_aggregate(
            [Success @ 1, Success @ 5, Success @ 10, R @ 10, nDCG @ 10, RR, AP],
            read_trec_qrels(tmp_path / "trec" / f"{stem}.qrels"),
            read_trec_run(tmp_path / "trec" / f"{stem}.mini.run"),
        )
        for rate in measured.hit_rates:
            assert theirs[Success @ rate.k] == pytest.approx(rate.rate.value, abs=1e-9)
        assert theirs[R @ 10] == pytest.approx(measured.recall[10], abs=1e-6)
        assert theirs[nDCG @ 10] == pytest.approx(measured.ndcg[10], abs=1e-6)
        assert theirs[RR] == pytest.approx(measured.mrr, abs=1e-6)
        assert theirs[AP] == pytest.approx(measured.mean_average_precision, abs=1e-6)
        assert measured.hit_rates[2].interval.low > 2 * 10 / 80  # chance is 10 of 80, or less for captions
