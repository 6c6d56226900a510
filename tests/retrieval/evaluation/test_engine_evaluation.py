"""Evaluation through a collection: what a user's query returns is what is scored."""

from __future__ import annotations

from pathlib import Path

import pytest

import indexer
from retrieval.collection import Collection
from retrieval.errors import EvaluationError, IdentityMismatch, UsageError
from retrieval.evaluation.evaluation_set import EvaluationSet, assemble, with_folds
from retrieval.evaluation.run import EngineFigures, EvaluationOptions, ModelFigures, evaluate_models
from retrieval.evaluation.searching import collection_images
from retrieval.types import CorpusImage, CorpusText, FileBytes
from retrieval.uris import file_uri
from tests.builders import Fill, HashEncoder

PICTURES = {f"p{n}.png": (20 * n, 255 - 20 * n, 7 * n) for n in range(10)}
TEXTS = {f"test:t{n}": f"text number {n}" for n in range(12)}
LINKS = [(f"p{n % 10}.png", f"test:t{n}") for n in range(12)]

FIRST_AND_FIFTH = EvaluationOptions((1, 5))


@pytest.fixture
def evaluated(tmp_path: Path) -> EvaluationSet:
    images = [CorpusImage(file_uri(tmp_path / name), FileBytes(tmp_path / name)) for name in PICTURES]
    texts = [CorpusText(uri, words) for uri, words in TEXTS.items()]
    return assemble("toy", images, texts, [(n % 10, n) for n in range(12)])


def evaluate(
    evaluated: EvaluationSet,
    encoder: HashEncoder,
    path: Path,
    tmp_path: Path,
    options: EvaluationOptions = FIRST_AND_FIFTH,
) -> tuple[ModelFigures, EngineFigures]:
    with Collection.open(path) as collection:
        found = evaluate_models(evaluated, {"hash": encoder}, options, collection, tmp_path / "cache")
    model = found.models[0]
    assert model.engine is not None
    return model, model.engine


def test_a_collection_of_just_the_corpus_gives_the_figures_of_the_matrix(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    model, engine = evaluate(evaluated, encoder, fill(PICTURES, TEXTS, LINKS), tmp_path)

    assert engine.items == (10, 12)
    for direction, measured in model.figures.directions.items():
        found = engine.figures.directions[direction]
        assert [rate.rate for rate in found.hit_rates] == [rate.rate for rate in measured.hit_rates]
        assert (found.ndcg, found.recall) == (measured.ndcg, measured.recall)
        assert 0 < engine.latency[direction].p50 <= engine.latency[direction].p99


def test_items_outside_the_evaluation_push_others_down_as_they_do_for_a_user(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    more = {f"other{n}.png": (n, n, 200) for n in range(60)}

    model, engine = evaluate(evaluated, encoder, fill({**more, **PICTURES}, TEXTS, LINKS), tmp_path)

    asked, alone = (f.directions["text to image"] for f in (engine.figures, model.figures))
    assert asked.hit_rates[1].rate.count < alone.hit_rates[1].rate.count
    assert asked.hit_rates[1].rate.of == alone.hit_rates[1].rate.of == 12
    image_side = engine.figures.directions["image to text"]
    assert image_side.hit_rates[1].rate == model.figures.directions["image to text"].hit_rates[1].rate


def test_indexes_are_measured_over_all_images_that_the_collection_holds(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    more = {f"other{n}.png": (n, n, 200) for n in range(60)}
    path = fill({**more, **PICTURES}, TEXTS, LINKS)

    model, engine = evaluate(
        evaluated, encoder, path, tmp_path, EvaluationOptions((1, 5), ann=True, indexes=("Flat",))
    )

    assert model.indexes[0].gallery == 70
    exact = engine.figures.directions["text to image"]
    at_ten = sum(rank <= 10 for rank in exact.ranks.ranks.tolist())
    assert (model.indexes[0].exact_hits, model.indexes[0].recall) == (at_ten, 1.0)


def test_hidden_pictures_count_as_missed_and_are_told(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    path = fill(PICTURES, TEXTS, LINKS)
    indexer.hide(path, [str(tmp_path / "p0.png"), str(tmp_path / "p1.png")])
    options = EvaluationOptions((1, 5), ann=True, indexes=("Flat",))

    with Collection.open(path) as collection:
        found = evaluate_models(evaluated, {"hash": encoder}, options, collection, tmp_path / "cache")

    [index] = found.models[0].indexes
    engine = found.models[0].engine
    assert engine is not None
    assert index.gallery == len(PICTURES) - 2
    exact = engine.figures.directions["text to image"]
    assert index.exact_hits == sum(rank <= 10 for rank in exact.ranks.ranks.tolist())
    [note] = found.evaluated.notes
    assert note.startswith(f"2 of the {len(PICTURES)} pictures are hidden in collection {path}")


def test_images_of_a_collection_come_with_the_vectors_that_it_holds(
    fill: Fill, encoder: HashEncoder, tmp_path: Path
) -> None:
    path = fill({"a.png": (1, 2, 3), "b.png": (9, 9, 9), "c.png": (1, 2, 3)}, {"test:t": "words"})

    with Collection.open(path) as collection:
        ids, uris, vectors = collection_images(collection)

    assert uris == [file_uri(tmp_path / f"{name}.png") for name in "abc"]
    assert (vectors[0] == vectors[2]).all()  # equal contents are two items
    with Collection.open(path) as collection:
        hit = collection.search(vectors[1:2], "image", 1)[0][0]
    assert (hit.uri, hit.id) == (uris[1], ids[1])


def test_a_collection_that_lacks_items_of_the_evaluation_is_refused_with_the_first(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    fill(PICTURES, TEXTS, LINKS)
    part = fill(dict(list(PICTURES.items())[:8]), TEXTS, name="part")

    with pytest.raises(EvaluationError, match=r"part lacks 2 of the 10 pictures of the evaluation.*p8\.png"):
        evaluate(evaluated, encoder, part, tmp_path)
    assert encoder.encoded == []  # before hours of encoding


def test_a_model_that_is_not_the_collections_is_refused(
    fill: Fill, evaluated: EvaluationSet, other_encoder: HashEncoder, tmp_path: Path
) -> None:
    with pytest.raises(IdentityMismatch, match="holds vectors of hash, but the encoder at hand is other"):
        evaluate(evaluated, other_encoder, fill(PICTURES, TEXTS, LINKS), tmp_path)


def test_folds_of_a_collection_are_refused_before_anything_is_encoded(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    path = fill(PICTURES, TEXTS, LINKS)
    encoder.encoded.clear()
    whole = assemble("toy", evaluated.images, evaluated.texts[:10], [(n, n) for n in range(10)])

    with pytest.raises(UsageError, match="searched whole, so folds cannot be"):
        evaluate(with_folds(whole, 2), encoder, path, tmp_path)
    assert encoder.encoded == []


def test_a_k_beyond_the_gallery_is_refused_before_anything_is_encoded(
    evaluated: EvaluationSet, encoder: HashEncoder, tmp_path: Path
) -> None:
    with pytest.raises(EvaluationError, match="choose a k from 1 to 10"):
        evaluate_models(evaluated, {"hash": encoder}, EvaluationOptions((11,)), cache=tmp_path)
    assert encoder.encoded == []


def test_a_collection_with_two_models_is_refused(
    fill: Fill, evaluated: EvaluationSet, encoder: HashEncoder, other_encoder: HashEncoder, tmp_path: Path
) -> None:
    path = fill(PICTURES, TEXTS, LINKS)
    with (
        Collection.open(path) as collection,
        pytest.raises(UsageError, match="answers with its own model, and 2 were given"),
    ):
        evaluate_models(
            evaluated, {"a": encoder, "b": other_encoder}, EvaluationOptions(), collection, tmp_path
        )
