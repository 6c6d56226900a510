"""Accelerated collections: nearly every hit of the exact search, none of them changed, and nothing lost on the way."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import indexer
from indexer.store.acceleration import Accelerated, accelerate_if_due
from indexer.store.bundled_queries import bundled_queries
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.maintenance import compact_if_due
from indexer.store.settings import set_settings
from indexer.store.writer import Writer
from retrieval import UsageError
from retrieval.collection import Collection
from retrieval.collection.accelerators.asked import asked_recall, missed_recall
from retrieval.collection.accelerators.inverted_file import InvertedFile
from retrieval.collection.accelerators.measurement import AcceleratorMeasurement
from retrieval.collection.engine import driver_connection
from retrieval.collection.filters.parse import parse_where
from retrieval.collection.score import exact_scores
from retrieval.collection.totals import CollectionInfo
from retrieval.errors import CollectionDamaged
from retrieval.types import KINDS, Request
from tests.builders import IDENTITY, HashEncoder, image_change, unit_rows
from tests.retrieval.collection.test_accelerators import DIMENSION, images_and_texts

ROWS, TEXTS = 3000, 600
IMAGES, CAPTIONS = images_and_texts(ROWS, TEXTS, 1)
PLACE = replace(IDENTITY, dimension=DIMENSION)
Rows = NDArray[np.float32]


def text_change(source: int, vectors: Rows) -> Change:
    change = Change()
    for number, vector in enumerate(vectors):
        words = f"caption {number}"
        digest = hashlib.sha256(words.encode()).digest()
        change.contents["text", digest] = NewContent("text", digest, vector, text=words)
        change.items[f"test:caption{number}"] = NewItem(f"test:caption{number}", "text", digest, source)
    return change


def add_images(path: Path, first: int, vectors: Rows) -> None:
    with Writer(path) as writer:
        names = [f"{number}" for number in range(first, first + len(vectors))]
        writer.commit(image_change(writer.ensure_corpus("test:", "test"), names, vectors), PLACE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of images in two segments, and texts; tests copy it."""
    path = tmp_path_factory.mktemp("made") / "collection"
    add_images(path, 0, IMAGES[:2000])
    add_images(path, 2000, IMAGES[2000:])
    with Writer(path) as writer:
        writer.commit(text_change(writer.ensure_corpus("test:", "test"), CAPTIONS[:400]), PLACE)
    return path


@pytest.fixture(scope="module")
def made_fast(made: Path) -> Path:
    path = shutil.copytree(made, made.with_name("accelerated"))
    built = indexer.accelerate(path, recall=0.9, from_rows=1000)

    assert [(one.kind, one.rows) for one in built] == [("image", ROWS)]
    assert built[0].measurement is not None
    return path


@pytest.fixture
def filled(tmp_path: Path, made: Path) -> Path:
    return shutil.copytree(made, tmp_path / "collection")


@pytest.fixture
def accelerated(tmp_path: Path, made_fast: Path) -> Path:
    return shutil.copytree(made_fast, tmp_path / "accelerated")


def answers(path: Path, queries: Rows, k: int = 10, exact: bool = False) -> list[list[tuple[str, float]]]:
    with Collection.open(path) as collection:
        return [
            [(hit.uri, hit.score) for hit in hits]
            for hits in collection.search(queries, "image", k, exact=exact)
        ]


def files(path: Path) -> list[str]:
    return [name.name for name in (path / "segments").glob("*.accelerator")]


def test_hits_that_are_found_have_the_scores_and_the_order_of_the_exact_search(accelerated: Path) -> None:
    queries = CAPTIONS[400:]

    found, exact = answers(accelerated, queries), answers(accelerated, queries, exact=True)

    shared = 0
    for some, all_ in zip(found, exact, strict=True):
        scores = dict(all_)
        common = [hit for hit in some if hit[0] in scores]
        assert common == [hit for hit in all_ if hit in common]
        assert [score for _, score in some] == sorted((score for _, score in some), reverse=True)
        shared += len(common)
    assert shared / (10 * len(queries)) > 0.85


def test_the_recall_that_info_tells_was_measured_on_texts_it_was_not_tuned_on(accelerated: Path) -> None:
    with Collection.open(accelerated) as collection:
        told = collection.info().accelerators["image"]

    assert told.rows == ROWS
    assert told.measurement.queried_with == "stored texts"
    assert 0.8 < told.measurement.recall <= 1
    assert told.measurement.target == 0.9


def test_an_exact_search_is_untouched_by_the_accelerator(filled: Path) -> None:
    before = answers(filled, CAPTIONS[400:450])
    indexer.accelerate(filled, recall=0.9, from_rows=1000)

    assert answers(filled, CAPTIONS[400:450], exact=True) == before


def test_what_is_added_later_is_found_without_building_anew(accelerated: Path) -> None:
    query = CAPTIONS[450]
    add_images(accelerated, ROWS, query[None])

    assert answers(accelerated, query[None])[0][0][0] == f"test:{ROWS}"
    assert indexer.accelerate(accelerated, recall=0.9, from_rows=1000) == []


def test_many_additions_have_it_built_anew_and_the_old_file_goes(accelerated: Path) -> None:
    old = files(accelerated)
    add_images(accelerated, ROWS, images_and_texts(600, 1, 2)[0])

    assert [one.rows for one in indexer.accelerate(accelerated, recall=0.9, from_rows=1000)] == [ROWS + 600]
    assert len(files(accelerated)) == 1
    assert files(accelerated) != old


def test_deleted_images_are_never_found_before_and_after_compaction(accelerated: Path) -> None:
    queries = CAPTIONS[400:440]
    with Collection.open(accelerated) as collection:
        best = [hit for hits in collection.search(queries, "image", 3) for hit in hits]
    gone = {hit.uri for hit in best}
    with Writer(accelerated) as writer:
        writer.commit(Change(removed=sorted({hit.id for hit in best})), PLACE)

    for _ in range(2):
        for hits in answers(accelerated, queries):
            assert len(hits) == 10
            assert not gone & {uri for uri, _ in hits}
        with Writer(accelerated) as writer:
            compact_if_due(writer, everything=True)


def test_asking_for_more_than_the_accelerator_was_tuned_for_still_gives_that_many(accelerated: Path) -> None:
    assert [len(hits) for hits in answers(accelerated, CAPTIONS[400:405], 50)] == [50] * 5
    assert [len(hits) for hits in answers(accelerated, CAPTIONS[400:402], ROWS + 5)] == [ROWS] * 2


def test_small_collections_are_scanned(filled: Path) -> None:
    assert indexer.accelerate(filled) == []
    assert files(filled) == []


def test_dropping_accelerators_removes_their_files(accelerated: Path) -> None:
    assert indexer.drop_accelerators(accelerated) == 1
    assert indexer.drop_accelerators(accelerated) == 0
    assert files(accelerated) == []
    assert answers(accelerated, CAPTIONS[400:402]) == answers(accelerated, CAPTIONS[400:402], exact=True)


def test_a_reader_goes_on_with_a_file_that_was_replaced_meanwhile(accelerated: Path) -> None:
    with Collection.open(accelerated) as collection:
        with collection.reading() as view:
            assert view.info().accelerators
        indexer.drop_accelerators(accelerated)

        assert len(collection.search(CAPTIONS[:1], "image", 10)[0]) == 10


def index_again(path: Path) -> list[Accelerated]:
    """What a run of ``index`` does at its end."""
    with Writer(path) as writer:
        return accelerate_if_due(writer, lambda asked: CAPTIONS[: len(asked)], from_rows=1000)


def info_of(path: Path) -> CollectionInfo:
    with Collection.open(path) as collection:
        return collection.info()


def test_who_has_dropped_the_accelerators_gets_none_again_before_asking(accelerated: Path) -> None:
    indexer.drop_accelerators(accelerated)

    assert index_again(accelerated) == []
    assert info_of(accelerated).scans == dict.fromkeys(KINDS, "optimize --scan was asked for")
    assert [one.target for one in indexer.accelerate(accelerated, from_rows=1000)] == [0.98]
    assert info_of(accelerated).scans == {}


def test_the_recall_that_was_asked_for_is_that_of_what_is_built_later(accelerated: Path) -> None:
    add_images(accelerated, ROWS, images_and_texts(600, 1, 2)[0])

    [again] = index_again(accelerated)

    assert (again.target, again.rows) == (0.9, ROWS + 600)
    assert again.measurement is not None


def test_a_recall_that_is_asked_for_before_there_are_enough_vectors_is_kept(filled: Path) -> None:
    assert indexer.accelerate(filled, recall=0.8) == []
    assert [one.target for one in index_again(filled)] == [0.8]


def test_another_recall_changes_how_much_is_looked_at_and_no_file(accelerated: Path) -> None:
    before, old = info_of(accelerated).accelerators["image"].measurement, files(accelerated)

    with Collection.open(accelerated) as reader:
        exact = reader.search(CAPTIONS[400:], "image", 10, exact=True)
        [tuned] = indexer.accelerate(accelerated, recall=0.99, from_rows=1000)
        found = reader.search(CAPTIONS[400:], "image", 10)

    after = info_of(accelerated).accelerators["image"].measurement
    assert tuned.measurement == after
    assert (before.target, after.target) == (0.9, 0.99)
    assert isinstance(before, AcceleratorMeasurement)
    assert isinstance(after, AcceleratorMeasurement)
    assert (before.cells, before.rescored) < (after.cells, after.rescored)
    assert files(accelerated) == old
    assert indexer.doctor(accelerated).faults == ()
    wanted = [hit.id for hits in exact for hit in hits]
    assert np.isin([hit.id for hits in found for hit in hits], wanted).mean() > 0.97


def test_what_no_accelerator_reaches_is_not_tried_again_before_there_are_a_tenth_more_vectors(
    accelerated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[float] = []

    def build(*arguments: Any) -> None:
        built.append(arguments[4])

    monkeypatch.setattr("indexer.store.accelerator_building.build_accelerator", build)
    assert indexer.accelerate(accelerated, recall=0.999, from_rows=1000) == [
        Accelerated("image", ROWS, 0.999, None)
    ]
    assert files(accelerated) == []
    assert answers(accelerated, CAPTIONS[400:402]) == answers(accelerated, CAPTIONS[400:402], exact=True)
    assert info_of(accelerated).scans == {
        "image": "no accelerator finds 99.9% of the exact 10 best of 3,000 vectors"
    }

    assert index_again(accelerated) == []
    add_images(accelerated, ROWS, images_and_texts(300, 1, 2)[0])
    assert index_again(accelerated) == []
    add_images(accelerated, ROWS + 300, images_and_texts(1, 1, 3)[0])
    assert [one.rows for one in index_again(accelerated)] == [ROWS + 301]
    assert index_again(accelerated) == []
    indexer.accelerate(accelerated, from_rows=1000)  # asked for again
    assert built == [0.999] * 3


@pytest.mark.parametrize("value", ["", "nan", "-1", "1e999", "1", "[" * 5000, "scanned", "\0"])
def test_a_stranger_s_word_on_what_was_asked_for_is_passed_over(filled: Path, value: str) -> None:
    with Writer(filled) as writer, writer.catalogue.without_generation() as connection:
        set_settings(connection, {"accelerators": value, "missed_recall:image": value})

    with Writer(filled) as writer, writer.look_up() as connection:
        driver = driver_connection(connection)
        assert asked_recall(driver) is None
        assert missed_recall(driver, "image") is None
    assert info_of(filled).scans == {}


def test_a_damaged_accelerator_is_built_anew(accelerated: Path) -> None:
    (name,) = files(accelerated)
    (accelerated / "segments" / name).unlink()

    assert [one.rows for one in indexer.accelerate(accelerated, recall=0.9, from_rows=1000)] == [ROWS]
    assert indexer.doctor(accelerated).faults == ()


@pytest.mark.parametrize("recall", [0.0, 1.0, -0.5, float("nan")])
def test_a_recall_that_is_no_share_is_refused(filled: Path, recall: float) -> None:
    with pytest.raises(UsageError, match=r"above 0 and below 1"):
        indexer.accelerate(filled, recall=recall)


def test_a_damaged_accelerator_is_named_and_repair_drops_it(accelerated: Path) -> None:
    (name,) = files(accelerated)
    path = accelerated / "segments" / name
    data = bytearray(path.read_bytes())
    data[300:340] = b"\xff" * 40
    path.write_bytes(data)

    assert any(name in fault for fault in indexer.doctor(accelerated).faults)
    assert indexer.doctor(accelerated, repair=True).faults == ()
    assert files(accelerated) == []
    assert len(answers(accelerated, CAPTIONS[:1])[0]) == 10


@pytest.mark.parametrize(
    "measured",
    ["", "[]", "{}", '{"cells": 1e999}', "null", json.dumps({"cells": -1}), "[" * 5000],
)
def test_a_stranger_s_word_on_how_to_search_is_checked(accelerated: Path, measured: str) -> None:
    with sqlite3.connect(accelerated / "catalogue.sqlite") as catalogue:
        catalogue.execute("UPDATE accelerators SET measured = ?", (measured,))
    catalogue.close()

    with pytest.raises(CollectionDamaged, match="accelerator"):
        answers(accelerated, CAPTIONS[:1])


def test_an_accelerator_of_unknown_encodings_changes_no_answer_but_costs_hits_nothing(
    accelerated: Path,
) -> None:
    with sqlite3.connect(accelerated / "catalogue.sqlite") as catalogue:
        catalogue.execute("UPDATE accelerators SET last_encoding = 5")
    catalogue.close()

    assert answers(accelerated, CAPTIONS[:5]) == answers(accelerated, CAPTIONS[:5], exact=True)


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_collection_of_one_kind_is_measured_with_bundled_texts(tmp_path: Path, kind: str) -> None:
    vectors, texts = images_and_texts(1200, 700, 3)
    with Writer(tmp_path) as writer:
        corpus = writer.ensure_corpus("test:", "test")
        names = [f"{number}" for number in range(len(vectors))]
        change = image_change(corpus, names, vectors) if kind == "image" else text_change(corpus, vectors)
        writer.commit(change, PLACE)
        writer.ask_accelerators(0.5)
        (built,) = accelerate_if_due(writer, lambda asked: texts[: len(asked)], from_rows=1000)

    assert (built.kind, built.rows) == (kind, 1200)
    assert built.measurement is not None
    assert built.measurement.queried_with == "bundled texts"


def test_optimizing_a_collection_without_texts_loads_its_model_to_encode_bundled_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = HashEncoder()
    monkeypatch.setattr("indexer.pipeline.bound_encoder.load_bound_encoder", lambda _: encoder)
    with Writer(tmp_path) as writer:
        rows = unit_rows(300, encoder.identity.dimension)
        change = image_change(writer.ensure_corpus("test:", "test"), [f"{n}" for n in range(300)], rows)
        writer.commit(change, encoder.identity)

    [built] = indexer.accelerate(tmp_path, recall=0.5, from_rows=300)

    assert built.measurement is not None
    assert built.measurement.queried_with == "bundled texts"


def test_vectors_that_are_all_equal_are_searched_as_before(tmp_path: Path) -> None:
    vectors = np.repeat(IMAGES[:1], 400, axis=0)
    add_images(tmp_path, 0, vectors)
    with Writer(tmp_path) as writer:
        accelerate_if_due(writer, lambda asked: CAPTIONS[: len(asked)], from_rows=100)

    assert len(answers(tmp_path, CAPTIONS[:1])[0]) == 10


def test_vectors_of_few_dimensions_are_scanned(tmp_path: Path) -> None:
    with Writer(tmp_path) as writer:
        change = image_change(
            writer.ensure_corpus("test:", "test"), [f"{n}" for n in range(300)], unit_rows(300, 4)
        )
        writer.commit(change, replace(IDENTITY, dimension=4))

    assert indexer.accelerate(tmp_path, from_rows=100) == []


def test_the_bundled_queries_are_different_texts_in_both_languages() -> None:
    texts = bundled_queries()

    assert len(set(texts)) == len(texts) > 600
    assert sum(not text.isascii() for text in texts) > 200


def test_proposals_come_best_first_by_their_codes(accelerated: Path) -> None:
    with Collection.open(accelerated) as collection, collection.reading() as view:
        accelerator = view._snapshot.accelerators["image"]
        inverted = accelerator.inverted()
        for query in CAPTIONS[400:420]:
            few = inverted.propose(
                query, accelerator.parameters_for(10)._replace(cells=inverted.cells, rescored=20)
            )
            many = inverted.propose(
                query, accelerator.parameters_for(10)._replace(cells=inverted.cells, rescored=400)
            )

            assert len(set(few.tolist()) & set(many[:20].tolist())) >= 18  # equal codes may change places


def give_attributes(path: Path) -> None:
    """Give each image its number, and ``side``: which of two halves of the space it lies in."""
    with Writer(path) as writer:
        sides = IMAGES @ CAPTIONS[400]
        attributes = {
            f"test:{number}": {"number": number, "bucket": number % 100, "side": float(sides[number])}
            for number in range(ROWS)
        }
        writer.commit_rows(Change(attributes=dict(attributes)))


def ask_accelerators_always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have accelerators answer filtered searches of few vectors, too, which would be scanned in less time."""
    for cost in ("PROPOSING_COST", "RESCORED_COST", "CODE_COST"):
        monkeypatch.setattr(f"retrieval.collection.accelerators.search.{cost}", 1e-6)


@pytest.mark.parametrize(
    ("where", "k", "least"),
    [
        ("bucket < 50", 10, 0.8),
        ("bucket < 90", 3, 0.8),
        ("bucket = 7", 10, 1.0),
        ("number = 7", 10, 1.0),
        ("side < 0.3", 10, 0.8),
        ("number >= 0", 10, 0.8),
    ],
)
def test_a_condition_costs_an_accelerator_no_hit_and_no_bit(
    accelerated: Path, monkeypatch: pytest.MonkeyPatch, where: str, k: int, least: float
) -> None:
    give_attributes(accelerated)
    ask_accelerators_always(monkeypatch)
    asked = Request(k, where=parse_where(where))

    with Collection.open(accelerated) as collection, collection.reading() as view:
        found = view.search(CAPTIONS[400:], "image", asked)
        exact = view.search(CAPTIONS[400:], "image", replace(asked, exact=True))
        most = min(k, len(view.where("image", asked.where)))

    shared = 0
    for some, all_ in zip(found, exact, strict=True):
        ranked = [(hit.uri, hit.score) for hit in all_]
        common = [(hit.uri, hit.score) for hit in some if (hit.uri, hit.score) in ranked]
        assert [hit for hit in ranked if hit in common] == common
        assert len(some) == len(all_) == most
        shared += len(common)
    assert shared / (most * len(found)) >= least


def test_where_a_condition_contradicts_the_query_the_exact_search_answers(
    accelerated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_attributes(accelerated)
    ask_accelerators_always(monkeypatch)
    # of so few vectors, more of which are looked at, hits stand clearer than of 100,000
    monkeypatch.setattr("retrieval.collection.accelerators.search.CODE_ERRORS", 4.0)
    farther_half = parse_where(f"side < {np.median(IMAGES @ CAPTIONS[400])}")
    asked = Request(10, where=farther_half)

    with Collection.open(accelerated) as collection, collection.reading() as view:
        found = view.search(CAPTIONS[400:401], "image", asked)

        assert found == view.search(CAPTIONS[400:401], "image", replace(asked, exact=True))


def test_what_conditions_select_is_kept_within_bounds(
    accelerated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_attributes(accelerated)
    ask_accelerators_always(monkeypatch)
    made = 0
    select = InvertedFile.select

    def counted(*given: Any) -> Any:
        nonlocal made
        made += 1
        return select(*given)

    monkeypatch.setattr(InvertedFile, "select", counted)

    with Collection.open(accelerated) as collection:
        for most, expected in ((2**20, 2), (1, 6)):
            monkeypatch.setattr("retrieval.collection.accelerators.opened.SELECTIONS_BYTES", most)
            for _ in range(2):
                for where in (f"bucket < {50 + most % 7}", f"bucket < {60 + most % 7}"):
                    with collection.reading() as view:
                        view.search(CAPTIONS[400:401], "image", Request(10, where=parse_where(where)))
            assert made == expected


def random_condition(rng: random.Random, depth: int = 0) -> tuple[str, NDArray[np.bool_]]:
    """Write a condition on what :func:`give_attributes` gives, and say which images meet it."""
    facts: dict[str, NDArray[np.float64]] = {
        "number": np.arange(ROWS, dtype=np.float64),
        "bucket": np.arange(ROWS, dtype=np.float64) % 100,
        "side": (IMAGES @ CAPTIONS[400]).astype(np.float64),
    }
    if depth < 3 and rng.random() < 0.55:
        (one, left), (other, right) = (random_condition(rng, depth + 1) for _ in range(2))
        if rng.random() < 0.25:
            return f"not ({one})", ~left
        both = rng.random() < 0.4
        return f"({one}) {'and' if both else 'or'} ({other})", left & right if both else left | right
    name, values = rng.choice(list(facts.items()))
    low, high = sorted(float(rng.choice(values)) for _ in range(2))
    form = rng.randrange(4)
    if form == 0:
        return f"{name} between {low!r} and {high!r}", (values >= low) & (values <= high)
    if form == 1:
        return f"{name} < {high!r}", values < high
    if form == 2:
        return f"{name} >= {low!r}", values >= low
    return f"{name} in ({low!r}, {high!r})", np.isin(values, (low, high))


@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])
def test_random_conditions_get_as_many_true_hits_as_there_are_in_their_order_and_nearly_the_best(
    accelerated: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    give_attributes(accelerated)
    ask_accelerators_always(monkeypatch)
    rng, right, wanted, proposed = random.Random(7), 0, 0, 0
    propose = InvertedFile.propose_some

    def counted(*arguments: Any) -> Any:
        nonlocal proposed
        proposed += 1
        return propose(*arguments)

    monkeypatch.setattr(InvertedFile, "propose_some", counted)
    with Collection.open(accelerated) as collection, collection.reading() as view:
        for _ in range(count):
            text, met = random_condition(rng)
            query, k = CAPTIONS[rng.randrange(400, TEXTS)], rng.choice([1, 3, 10, 40])
            offset = rng.choice([0, 0, 0, 5])
            asked = Request(k, offset=offset, where=parse_where(text))

            [hits] = view.search(query[None], "image", asked)

            scores = exact_scores(IMAGES, query)
            order = [row for row in np.lexsort((np.arange(ROWS), -scores)).tolist() if met[row]]
            best = [(f"test:{row}", float(scores[row])) for row in order]
            found = [(hit.uri, hit.score) for hit in hits]
            assert len(found) == min(k, max(0, len(best) - offset)), text
            assert found == [hit for hit in best if hit in set(found)], text
            right += len(set(found) & set(best[offset : offset + k]))
            wanted += len(found)
    assert proposed > count / 10
    assert right / wanted > 0.9
