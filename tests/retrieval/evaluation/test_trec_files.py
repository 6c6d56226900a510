"""TREC files: other tools score them to our numbers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

from retrieval.errors import EvaluationError
from retrieval.evaluation.evaluation_set import with_folds
from retrieval.evaluation.metrics import (
    average_precision,
    hits_at_k,
    ndcg_at_k,
    precision_at_k,
    r_precision,
    recall_at_k,
    reciprocal_rank,
)
from retrieval.evaluation.run import Evaluation
from retrieval.evaluation.trec import MAX_DEPTH, trec_ids, write_trec
from retrieval.types import CorpusImage, InlineBytes
from tests.retrieval.evaluation.small_sets import evaluation_of, five_each, random_units, set_of, unit
from tests.trec import read_trec_qrels, read_trec_run

SHORT = {"text to image": "t2i", "image to text": "i2t"}


def scored(
    folder: Path, stem: str, name: str, measures: Iterable[ir_measures.Measure]
) -> dict[ir_measures.Measure, float]:
    qrels = read_trec_qrels(folder / f"{stem}.qrels")
    run = read_trec_run(folder / f"{stem}.{name}.run")
    return ir_measures.calc_aggregate(measures, qrels, run)


def assert_scored_alike(folder: Path, evaluation: Evaluation, k: int) -> None:
    for direction, measured in evaluation.models[0].figures.directions.items():
        ranks = measured.ranks.judged()
        expected = {
            Success @ k: hits_at_k(ranks, k),
            R @ k: recall_at_k(ranks, k),
            P @ k: precision_at_k(ranks, k),
            nDCG @ k: ndcg_at_k(ranks, k),
            RR: reciprocal_rank(ranks),
            AP: average_precision(ranks),
            Rprec: r_precision(ranks),
        }
        theirs = scored(folder, SHORT[direction], "model", list(expected))
        for measure, values in expected.items():
            assert theirs[measure] == pytest.approx(values.mean(), abs=1e-6), (direction, measure)


@settings(max_examples=60)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 6))
def test_ir_measures_scores_the_files_to_our_numbers_ties_uneven_and_missing_answers_included(
    tmp_path_factory: pytest.TempPathFactory, seed: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    images, texts = (unit(random.integers(-1, 2, (n, 3)) + np.array([0, 0, 3])) for n in (6, 11))  # many ties
    links = sorted({(int(random.integers(5)), int(random.integers(11))) for _ in range(9)})
    evaluation = evaluation_of(set_of(links, 6, 11), {"model": (images, texts)}, (k,))
    folder = tmp_path_factory.mktemp("trec")

    write_trec(evaluation, folder)

    assert_scored_alike(folder, evaluation, k)


def test_scores_of_a_run_are_strictly_decreasing_as_float32(tmp_path: Path) -> None:
    same = np.repeat(unit([[1, 0]]), 300, axis=0)  # every score ties
    evaluation = evaluation_of(five_each(300), {"model": (same, np.repeat(same, 5, axis=0))}, (1,))

    write_trec(evaluation, tmp_path, depth=250)

    rows = [line.split() for line in (tmp_path / "t2i.model.run").read_text().splitlines()]
    first = [row for row in rows if row[0] == rows[0][0]]
    scores = np.array([row[4] for row in first], np.float32)
    assert len(first) == 250
    assert (np.diff(scores) < 0).all()
    assert [row[3] for row in first] == [str(rank) for rank in range(1, 251)]
    assert [row[2] for row in first[:3]] == ["p0.jpg", "p1.jpg", "p2.jpg"]  # our order, not trec_eval's


def test_a_query_without_an_answer_has_a_run_and_no_qrels_line(tmp_path: Path) -> None:
    evaluation = evaluation_of(set_of([(0, 0)], 2, 1), {"model": (random_units(2), random_units(1))}, (1,))

    write_trec(evaluation, tmp_path)

    assert (tmp_path / "i2t.qrels").read_text() == "p0.jpg 0 t0 1\n"
    assert {line.split()[0] for line in (tmp_path / "i2t.model.run").read_text().splitlines()} == {
        "p0.jpg",
        "p1.jpg",
    }


def test_every_fold_and_every_model_has_files_of_its_own(tmp_path: Path) -> None:
    vectors = random_units(20), random_units(100, seed=1)
    evaluation = evaluation_of(with_folds(five_each(20), 2), {"a": vectors, "b/c": vectors})

    written = write_trec(evaluation, tmp_path)

    names = ["qrels", "a.run", "b%2Fc.run"]
    stems = ["t2i.fold1", "t2i.fold2", "i2t.fold1", "i2t.fold2"]
    assert [path.name for path in written] == [f"{stem}.{name}" for stem in stems for name in names]
    items = {line.split()[2] for line in (tmp_path / "t2i.fold2.a.run").read_text().splitlines()}
    assert items == {f"p{row}.jpg" for row in range(10, 20)}


def test_ids_are_keys_where_all_have_distinct_ones_else_what_the_uris_do_not_share() -> None:
    def of(*pairs: tuple[str, str | None]) -> list[str]:
        return trec_ids([CorpusImage(uri, InlineBytes(b""), key) for uri, key in pairs])

    assert of(("file:///a.tar#x.jpg", "one"), ("file:///a.tar#y.jpg", "two 2")) == ["one", "two%202"]
    assert of(("file:///a.tar#x.jpg", "same"), ("file:///a.tar#y.jpg", "same")) == ["x.jpg", "y.jpg"]
    assert of(("file:///d/x/1.jpg", None), ("file:///d/y/1.jpg", None)) == ["x/1.jpg", "y/1.jpg"]
    assert of(("file:///d/1.jpg", None)) == ["1.jpg"]


@pytest.mark.parametrize("depth", [0, MAX_DEPTH])
def test_a_depth_without_distinct_float32_scores_is_refused(tmp_path: Path, depth: int) -> None:
    evaluation = evaluation_of(set_of([(0, 0)], 1, 1), {"model": (random_units(1), random_units(1))}, (1,))

    with pytest.raises(EvaluationError, match="distinct float32 scores"):
        write_trec(evaluation, tmp_path, depth)
