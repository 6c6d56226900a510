"""Approximate indexes against exact search."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import indexer
from retrieval.collection import Collection
from retrieval.collection.score import exact_scores
from retrieval.errors import EvaluationError, UsageError
from retrieval.evaluation.indexes import OWN, check_index_names, measure_indexes, usual_indexes
from retrieval.evaluation.relevance import Relevance
from retrieval.evaluation.searching import CollectionIndex, collection_images
from tests.builders import collection_of
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


def test_the_index_of_a_collection_is_measured_by_what_searches_find(tmp_path: Path) -> None:
    path = collection_of(tmp_path / "c", ([f"i{row}" for row in range(400)], GALLERY))
    with Collection.open(path) as collection:
        images = collection_images(collection)
        assert CollectionIndex.of(collection, images) is None  # nothing has been built
        own = CollectionIndex(collection, images.ids, 9)
        [whole] = measure_indexes([OWN], QUERIES, images.vectors, DIAGONAL, own=own)

        indexer.hide(path, images.ids[::3].tolist())
        with indexer.open_writer(path) as writer:
            writer.add("new", None, vector=QUERIES[0])
        [less] = measure_indexes([OWN], QUERIES, images.vectors, DIAGONAL, own=own)

    assert (whole.recall, whole.hits, whole.bytes, whole.build_seconds) == (1.0, whole.exact_hits, 9, None)
    best = [np.argsort(-exact_scores(GALLERY, query), kind="stable")[:10] for query in QUERIES]
    # what is hidden is not found, and the new item takes the place of the tenth
    found = [set(rows[rows % 3 != 0].tolist()) for rows in best]
    assert less.recall == pytest.approx(sum(map(len, found)) / 300)
    assert less.exact_hits == whole.exact_hits


def test_the_index_of_a_collection_that_has_none_is_refused() -> None:
    with pytest.raises(EvaluationError, match=r"no index .own. to measure: .*; vlsearch optimize builds one"):
        measure_indexes([OWN], QUERIES, GALLERY, DIAGONAL)


def test_an_index_that_faiss_does_not_know_is_refused() -> None:
    with pytest.raises(EvaluationError, match="cannot build an index 'Nonsense' over 400 pictures"):
        measure_indexes(["Nonsense"], QUERIES, GALLERY, DIAGONAL)


def test_names_are_checked_without_any_vectors() -> None:
    check_index_names(["Flat", "IVF4,Flat;nprobe=2", OWN], 8)
    for name in (
        "Nonsense",
        "Flat;foo=1",
        "IVF4,Flat;nprobe=0",
        "IVF4,Flat;nprobe=nan",
        "IVF4,Flat;nprobe=1e30",
    ):
        with pytest.raises(UsageError, match="FAISS") as refused:
            check_index_names([name], 8)
        assert "/" not in str(refused.value).replace("Flat;", "")  # no place in FAISS's source


@pytest.mark.parametrize("setting", ["nonsense=1", "efSearch=many", "nprobe", "nprobe=0"])
def test_a_setting_that_the_index_does_not_have_is_refused(setting: str) -> None:
    with pytest.raises(EvaluationError, match=f"no setting '{setting}' of the index 'Flat;{setting}'"):
        measure_indexes([f"Flat;{setting}"], QUERIES, GALLERY, DIAGONAL)
