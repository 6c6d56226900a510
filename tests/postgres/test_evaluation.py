"""Evaluation of a collection on a server gives the figures of the folder, and measures the server's own index."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from PIL import Image

import indexer
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble
from retrieval.evaluation.run import EvaluationOptions, ModelFigures, evaluate_models
from retrieval.evaluation.searching import Latency
from retrieval.places import CollectionPlace
from retrieval.types import CorpusImage, CorpusText, FileBytes, Request
from retrieval.uris import file_uri
from tests.builders import HashEncoder, image_change, unit_rows
from tests.command_line import Run, fill_photos
from tests.postgres_server import new_address, new_place, require_server

PICTURES, TEXTS, OTHERS = 12, 40, 150
OPTIONS = EvaluationOptions((1, 5, 10), ann=True)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    folder = tmp_path_factory.mktemp("pictures")
    images = []
    for number in range(PICTURES):
        path = folder / f"{number}.png"
        Image.new("RGB", (8, 8), (20 * number, 200, 7)).save(path)
        images.append(CorpusImage(file_uri(path), FileBytes(path)))
    texts = [CorpusText(f"test:t{number}", f"text number {number}") for number in range(TEXTS)]
    return assemble("toy", images, texts, [(number % PICTURES, number) for number in range(TEXTS)])


@pytest.fixture(scope="module")
def both(evaluated: EvaluationSet, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CollectionPlace]:
    """A collection of the evaluation's items and others, some hidden, and its copy; both with an index."""
    require_server()
    path, place = tmp_path_factory.mktemp("evaluated") / "collection", new_place()
    encoder = HashEncoder()
    with Writer(path) as writer:
        source = writer.ensure_corpus("test:", "test")
        rows = unit_rows(OTHERS, encoder.identity.dimension, seed=3)
        change = image_change(source, [f"other{number}" for number in range(OTHERS)], rows)
        add_items(change, source, evaluated, encoder)
        writer.commit(change, encoder.identity)
    indexer.hide(path, [1, 3])
    indexer.copy_collection(path, place)
    for one in (path, place):
        with patch("indexer.pipeline.bound_encoder.load_bound_encoder", return_value=encoder):
            built = indexer.accelerate(one, from_rows=100, recall=0.5)
        assert [index.kind for index in built] == ["image"]
    return path, place


def add_items(change: Change, source: int, evaluated: EvaluationSet, encoder: HashEncoder) -> None:
    for image in evaluated.images:
        assert isinstance(image.location, FileBytes)
        digest = hashlib.sha256(image.location.path.read_bytes()).digest()
        with Image.open(image.location.path) as opened:
            vector = encoder.encode_images([opened])[0]
        change.contents["image", digest] = NewContent("image", digest, vector, None, 8, 8)
        change.items[image.uri] = NewItem(image.uri, "image", digest, source)
    for text, vector in zip(
        evaluated.texts, encoder.encode_texts([one.text for one in evaluated.texts]), strict=True
    ):
        digest = hashlib.sha256(text.text.encode()).digest()
        change.contents["text", digest] = NewContent("text", digest, vector, text.text)
        change.items[text.uri] = NewItem(text.uri, "text", digest, source)


@pytest.fixture(scope="module")
def figures(
    both: tuple[Path, CollectionPlace], evaluated: EvaluationSet, tmp_path_factory: pytest.TempPathFactory
) -> list[ModelFigures]:
    """What is measured of the folder, and of the server."""
    cache = tmp_path_factory.mktemp("cache")
    found = []
    for place in both:
        with Collection.open(place) as collection:
            one = evaluate_models(evaluated, {"hash": HashEncoder()}, OPTIONS, collection, cache)
        found.append(one.models[0])
    return found


def test_figures_of_its_answers_are_the_folders_to_the_last_digit(figures: list[ModelFigures]) -> None:
    folder, server = (model.engine for model in figures)
    assert folder is not None
    assert server is not None

    assert server.items == folder.items == (OTHERS - 2 + PICTURES, TEXTS)
    assert set(server.figures.directions) == {"text to image", "image to text"}
    for direction, measured in folder.figures.directions.items():
        of_server = server.figures.directions[direction]
        assert of_server.hit_rates == measured.hit_rates
        assert of_server.ranks.ranks.tolist() == measured.ranks.ranks.tolist()
        assert (of_server.recall, of_server.ndcg) == (measured.recall, measured.ndcg)
        assert of_server.mrr == measured.mrr


def test_indexes_over_its_vectors_lose_what_those_over_the_folders_lose(figures: list[ModelFigures]) -> None:
    def without_times(model: ModelFigures) -> list[Any]:
        return [
            replace(index, latency=Latency(0, 0, 0), build_seconds=None)
            for index in model.indexes
            if index.name != "own"
        ]

    assert without_times(figures[1]) == without_times(figures[0])
    assert len(figures[1].indexes) > 5


def recall_of_searches(place: CollectionPlace, texts: list[str]) -> float:
    """The share of the exact first ten that a search for each text finds."""
    queries = HashEncoder().encode_texts(texts)
    with Collection.open(place) as collection, collection.reading() as view:
        found, best = (view.search(queries, "image", Request(10, exact=exact)) for exact in (False, True))
    both = zip(found, best, strict=True)
    return float(np.mean([len({hit.id for hit in a} & {hit.id for hit in b}) / 10 for a, b in both]))


def test_the_servers_own_index_is_measured_beside_them(
    figures: list[ModelFigures], both: tuple[Path, CollectionPlace], evaluated: EvaluationSet, tmp_path: Path
) -> None:
    own = [model.indexes[-1] for model in figures]
    assert [(index.name, index.queries, index.gallery, index.build_seconds) for index in own] == [
        ("own", TEXTS, OTHERS - 2 + PICTURES, None)
    ] * 2
    assert own[0].recall == 1.0  # so few vectors of a folder are scanned
    expected = recall_of_searches(both[1], [text.text for text in evaluated.texts])
    assert own[1].recall == pytest.approx(expected)
    with Collection.open(both[1]) as collection:
        assert own[1].bytes == collection.info().accelerators["image"].bytes
        asked = replace(OPTIONS, indexes=("own",))
        found = evaluate_models(evaluated, {"hash": HashEncoder()}, asked, collection, tmp_path)

    [alone] = found.models[0].indexes
    assert (alone.recall, alone.hits, alone.exact_hits) == (own[1].recall, own[1].hits, own[1].exact_hits)
    assert np.isfinite(alone.latency.p99)


def test_the_command_takes_an_address_and_shows_no_password(run: Run, model: Path, tmp_path: Path) -> None:
    photos, address = fill_photos(tmp_path / "photos"), new_address()
    assert run("index", photos, "--model", model, "--collection", address, "--quiet").exit_code == 0
    asked = ("eval", photos, "--cache", tmp_path / "cache", "--ann", "--index")
    with_password = address.replace("postgres@", "postgres:hunter2@")

    done = run(*asked, "Flat", "--collection", with_password)
    without_index = run(*asked, "own", "--collection", with_password)

    assert done.exit_code == 0, done.output
    assert f"asked of collection {address}" in done.stdout
    assert "it holds 3 pictures, 6 texts" in done.stdout
    assert "recall lost" in done.stdout
    assert (without_index.exit_code, "vlsearch optimize builds one" in without_index.stderr) == (1, True)
    assert "hunter2" not in done.output + without_index.output
