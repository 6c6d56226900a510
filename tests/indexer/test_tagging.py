"""``indexer.tag``: who gets which tags, what is never touched, and what becomes of tags afterwards."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from indexer import tagging
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from indexer.store.writers import open_place
from indexer.tagging import TaggedImage
from retrieval.analysis import name_probabilities
from retrieval.calibration import CURVED, TERMS, Calibration
from retrieval.errors import CollectionEmpty, CollectionNotFound, FilterError, UsageError
from retrieval.places import CollectionPlace
from retrieval.testing import HashEncoder
from retrieval.types import Attribute
from tests.postgres_server import new_place

ENCODER = HashEncoder(dimension=256)
CALIBRATION = Calibration(
    weights="",
    expected=np.zeros(256, np.float32),
    expected_bias=0.8,
    background=np.zeros(256, np.float32),
    deviation=0.06,
    sense=np.zeros(256, np.float32),
    sense_bias=1.0,
    counts=(1.0, 2.0),
    centres=(0.0,) * len(CURVED),
    spreads=(1.0,) * len(CURVED),
    coefficients=(20.0, *[0.0] * (len(TERMS) - 1)),
    intercept=-10.0,
    nothing=(20.0, *[0.0] * (len(TERMS) - 1)),
    nothing_intercept=-7.0,
)
"""A name is likely from a score of about a half on: (2.06 + 0.8 * 9.66) / 20.73."""


@pytest.fixture(autouse=True)
def _calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_probabilities, "calibration_of", lambda identity: CALIBRATION)


def showing(*names: str) -> Any:
    """The vector of a picture that shows things."""
    row = ENCODER.encode_texts(list(names)).sum(axis=0)
    return (row / np.linalg.norm(row)).astype(np.float32)


@pytest.fixture(params=["folder", "server"])
def collection(request: pytest.FixtureRequest, tmp_path: Path) -> CollectionPlace:
    """Pictures of a dog, of a cat, of both, and of nothing that has a name; the cat has tags of its own."""
    place = new_place() if request.param == "server" else tmp_path / "c"
    pictures: dict[str, tuple[Any, dict[str, Attribute]]] = {
        "dog": (showing("dog"), {"rating": 4}),
        "cat": (showing("cat"), {"tags": ["mine"]}),
        "both": (showing("dog", "cat"), {}),
        "nothing": (showing("something else"), {}),
    }
    change = Change()
    with open_place(place) as writer:
        corpus = writer.ensure_corpus("test:", "test")
        for number, (name, (vector, attributes)) in enumerate(pictures.items()):
            digest = bytes([number]) * 32
            change.contents["image", digest] = NewContent("image", digest, vector)
            change.items[f"test:{name}"] = NewItem(
                f"test:{name}", "image", digest, corpus, key=name, attributes=attributes
            )
        writer.commit(change, ENCODER.identity)
    return place


def tag(collection: CollectionPlace, **options: Any) -> indexer.Tagged:
    return indexer.tag(
        collection, **{"vocabulary": ["dog", "cat", "owl"], "model": ENCODER, "most": 5, **options}
    )


def attributes(collection: CollectionPlace) -> dict[str, Mapping[str, Attribute]]:
    with retrieval.open(collection) as engine:
        return {str(item.key): item.attributes for item in engine.items()}


def found(collection: CollectionPlace, where: str) -> list[str | None]:
    with retrieval.open(collection) as engine:
        return [item.key for item in engine.items(where=where)]


def test_pictures_get_their_likely_names_and_the_others_none(collection: CollectionPlace) -> None:
    done = tag(collection)

    assert (done.images, done.tagged, done.untagged, done.own, done.changed) == (4, 2, 1, 1, 2)
    assert {name.name: count for name, count in done.names.items()} == {"dog": 2, "cat": 1}
    assert found(collection, "tags contains dog") == ["dog", "both"]
    assert found(collection, "tag:dog >= 0.999") == ["dog"]
    assert found(collection, "tags is null") == ["nothing"]


def test_what_others_gave_stays_and_their_tags_are_not_replaced(collection: CollectionPlace) -> None:
    tag(collection)

    after = attributes(collection)
    assert after["dog"]["rating"] == 4
    assert after["cat"] == {"tags": ["mine"]}


def test_the_probability_and_who_gave_the_tags_stand_beside_them(collection: CollectionPlace) -> None:
    seen: list[TaggedImage] = []

    done = tag(collection, on_image=seen.append)

    of_both = attributes(collection)["both"]
    assert sorted(of_both) == ["tag:cat", "tag:dog", "tagged_by", "tags"]
    assert of_both["tagged_by"] == done.tagged_by
    assert {f"tag:{one.name.name}": one.probability for one in seen[2].tags} == {
        name: value for name, value in of_both.items() if name.startswith("tag:")
    }
    assert [image.has_own for image in seen] == [False, True, False, False]


def test_a_second_run_replaces_the_tags_of_the_first(collection: CollectionPlace) -> None:
    tag(collection)

    again, other = tag(collection), tag(collection, vocabulary=["dog"])

    assert (again.changed, other.changed) == (0, 2)
    assert attributes(collection)["both"]["tags"] == ["dog"]
    assert "tag:cat" not in attributes(collection)["both"]


def test_names_in_two_languages_are_both_tags_of_one_probability(
    collection: CollectionPlace, tmp_path: Path
) -> None:
    (tmp_path / "names.tsv").write_text("dog\tdog\nowl\tuhu\n", encoding="utf-8")
    tag(collection, vocabulary=tmp_path / "names.tsv")

    assert attributes(collection)["dog"]["tags"] == ["dog"]

    (tmp_path / "names.tsv").write_text("dog\t狗\n", encoding="utf-8")
    tag(collection, vocabulary=tmp_path / "names.tsv", min_probability=0.01)

    assert found(collection, "tags contains 狗") == found(collection, "tags contains dog")


def test_a_condition_and_a_limit_narrow_down_what_is_tagged(collection: CollectionPlace) -> None:
    assert tag(collection, where="key = both", most=1).images == 1
    assert [name for name, known in attributes(collection).items() if "tagged_by" in known] == ["both"]
    assert len(attributes(collection)["both"]["tags"]) == 1  # type: ignore[arg-type]  # a list


def test_a_dry_run_changes_nothing(collection: CollectionPlace) -> None:
    before = attributes(collection)

    assert tag(collection, dry_run=True).changed == 2
    assert attributes(collection) == before


def test_tags_are_taken_off_again_and_nothing_else(collection: CollectionPlace) -> None:
    before = attributes(collection)
    tag(collection)

    assert indexer.untag(collection, dry_run=True) == 2
    assert indexer.untag(collection, where="key = both") == 1
    assert indexer.untag(collection) == 1
    assert attributes(collection) == before


def test_hidden_pictures_get_no_tags_and_lose_those_that_they_have(collection: CollectionPlace) -> None:
    tag(collection)
    with open_place(collection) as writer:
        writer.commit_rows(Change(hidden=["test:dog"]))

    assert tag(collection).images == 3
    assert indexer.untag(collection) == 2


def test_killed_between_two_commits_a_run_has_tagged_the_first_pictures(
    collection: CollectionPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tagging, "PAGE_ITEMS", 1)

    def stop(image: TaggedImage) -> None:
        if image.uri == "test:both":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tag(collection, on_image=stop)
    assert found(collection, "tagged_by is not null") == ["dog"]
    assert tag(collection).changed == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"min_probability": 0}, UsageError),
        ({"min_probability": 1.5}, UsageError),
        ({"most": 0}, UsageError),
        ({"vocabulary": []}, UsageError),
        ({"where": "nonsense = 1"}, FilterError),
    ],
)
def test_what_cannot_be_used_is_refused(
    collection: CollectionPlace, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        tag(collection, **options)


def test_no_collection_is_made_and_an_empty_one_says_so(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        tag(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    Writer(tmp_path / "empty").close()
    with pytest.raises(CollectionEmpty):
        tag(tmp_path / "empty")


def test_a_model_without_a_calibration_tags_by_a_softmax_over_these_names_and_the_bundled_ones(
    collection: CollectionPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(name_probabilities, "calibration_of", lambda identity: None)

    tag(collection, vocabulary=["dog"], min_probability=0.4)

    # The picture of both shows half a dog, but for the last bits of products. What shows something else is not
    # tagged, though there is no other name.
    assert found(collection, "tags contains dog") == ["dog", "both"]
    assert found(collection, "tags is null") == ["nothing"]


def draw(path: Path, colour: tuple[int, int, int]) -> None:
    Image.new("RGB", (8, 8), colour).save(path)


@pytest.fixture
def tagged_folder(tmp_path: Path) -> tuple[Path, Path]:
    """A folder with a.png, and a collection of it in which all pictures are tagged, whatever they show."""
    folder, collection = tmp_path / "photos", tmp_path / "of_photos"
    folder.mkdir()
    draw(folder / "a.png", (200, 10, 10))
    indexer.build(folder, collection, model=ENCODER)
    tag(collection, min_probability=1e-9)
    return folder, collection


def tags(collection: CollectionPlace) -> dict[str, list[str]]:
    with retrieval.open(collection) as engine:
        return {
            item.uri.rpartition("/")[2]: list(item.attributes.get("tags", ()))  # type: ignore[arg-type]  # a list
            for item in engine.items()
        }


def test_a_picture_that_is_indexed_again_keeps_its_tags(tagged_folder: tuple[Path, Path]) -> None:
    folder, collection = tagged_folder
    before = tags(collection)
    assert before["a.png"]

    indexer.build(folder, collection, model=ENCODER)
    assert tags(collection) == before
    indexer.build(folder, collection, model=ENCODER, reread=True)
    assert tags(collection) == before


def test_a_file_that_was_touched_keeps_its_tags_and_one_with_other_bytes_loses_them(
    tagged_folder: tuple[Path, Path],
) -> None:
    folder, collection = tagged_folder
    before = tags(collection)
    os.utime(folder / "a.png", (1, 1))
    indexer.build(folder, collection, model=ENCODER)
    assert tags(collection) == before

    draw(folder / "a.png", (10, 200, 10))
    indexer.build(folder, collection, model=ENCODER)
    assert tags(collection) == {"a.png": []}


def test_a_renamed_picture_keeps_its_tags(tagged_folder: tuple[Path, Path]) -> None:
    folder, collection = tagged_folder
    before = tags(collection)["a.png"]
    (folder / "a.png").rename(folder / "b.png")

    indexer.build(folder, collection, model=ENCODER)

    assert tags(collection) == {"b.png": before}


def test_tags_that_a_corpus_gives_take_the_place_of_the_taggers(tmp_path: Path) -> None:
    draw(tmp_path / "a.png", (200, 10, 10))
    table, collection = tmp_path / "t.jsonl", tmp_path / "c"
    table.write_text(json.dumps({"image": "a.png"}) + "\n")
    indexer.build(table, collection, model=ENCODER)
    tag(collection, min_probability=1e-9)
    assert tags(collection)["a.png"]

    table.write_text(json.dumps({"image": "a.png", "tags": ["mine"]}) + "\n")
    indexer.build(table, collection, model=ENCODER)

    with retrieval.open(collection) as engine:
        assert [dict(item.attributes) for item in engine.items()] == [{"tags": ["mine"]}]
