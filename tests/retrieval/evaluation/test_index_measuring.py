"""Approximate indexes against exact search."""

from __future__ import annotations

import numpy as np
import pytest

from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError
from retrieval.evaluation.indexes import measure_indexes, usual_indexes
from retrieval.evaluation.relevance import Relevance
from tests.retrieval.evaluation.small_sets import random_units

GALLERY, QUERIES = random_units(400, 16), random_units(30, 16, seed=1)
DIAGONAL = Relevance.of_pairs([(row, row) for row in range(30)], 30, 400)


def test_a_flat_index_loses_nothing() -> None:
    figures = measure_indexes(["Flat"], QUERIES, GALLERY, DIAGONAL)[0]

    assert (figures.recall, figures.queries, figures.gallery, figures.k) == (1.0, 30, 400, 10)
    assert figures.hits == figures.exact_hits
    assert figures.bytes >= GALLERY.nbytes


def test_recall_and_hits_are_those_of_the_lists_that_the_index_probed() -> None:
    figures = measure_indexes(["IVF8,Flat;nprobe=1", "IVF8,Flat;nprobe=8"], QUERIES, GALLERY, DIAGONAL)

    assert figures[0].recall < figures[1].recall == 1.0
    assert figures[0].build_seconds == figures[1].build_seconds  # built once
    best = [np.argsort(-exact_scores(GALLERY, query), kind="stable")[:10] for query in QUERIES]
    assert figures[1].exact_hits == sum(row in found for row, found in enumerate(best))


def test_the_usual_indexes_can_be_built_from_one_image_up() -> None:
    for images in (1, 3, 100, 400):
        names = usual_indexes(images)
        relevance = Relevance.of_pairs([(0, 0)], 1, images)

        figures = measure_indexes(names, QUERIES[:1], GALLERY[:images], relevance)

        assert [found.name for found in figures] == list(names)
        assert figures[0].recall == 1.0
        assert figures[0].k == min(10, images)


def test_threads_of_faiss_are_as_they_were() -> None:
    import faiss

    before = faiss.omp_get_max_threads()

    measure_indexes(["Flat"], QUERIES, GALLERY, DIAGONAL)

    assert faiss.omp_get_max_threads() == before


def test_an_index_that_faiss_does_not_know_is_refused() -> None:
    with pytest.raises(EvaluationError, match="cannot build an index 'Nonsense' over 400 pictures"):
        measure_indexes(["Nonsense"], QUERIES, GALLERY, DIAGONAL)


@pytest.mark.parametrize("setting", ["nonsense=1", "efSearch=many", "nprobe"])
def test_a_setting_that_the_index_does_not_have_is_refused(setting: str) -> None:
    with pytest.raises(EvaluationError, match=f"no setting '{setting}' of the index 'Flat;{setting}'"):
        measure_indexes([f"Flat;{setting}"], QUERIES, GALLERY, DIAGONAL)
