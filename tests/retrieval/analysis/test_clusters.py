"""``engine.cluster`` and ``vlsearch cluster``: every picture in one group, typical ones first, names that fit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrieval
from indexer.store.changes import Change
from indexer.store.writer import Writer
from retrieval.errors import CollectionEmpty, FilterError, UsageError
from retrieval.query.engine import SearchEngine
from retrieval.testing import HashEncoder
from tests.builders import collection_of, unit_rows
from tests.command_line import Run

ENCODER = HashEncoder(dimension=64)
SIZES = {"dog": 12, "beach": 8, "pizza": 5}


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Pictures around the vectors of three names, and a copy of a dog."""
    names = [f"{name}{number}" for name, size in SIZES.items() for number in range(size)]
    around = np.repeat(ENCODER.encode_texts(list(SIZES)), list(SIZES.values()), axis=0)
    vectors = around + 0.3 * unit_rows(len(names), 64)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return collection_of(tmp_path / "c", ([*names, "copy=dog3"], np.concatenate([vectors, vectors[3:4]])))


@pytest.fixture
def engine(collection: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SearchEngine]:
    with retrieval.open(collection) as opened:
        monkeypatch.setattr(SearchEngine, "encoder", ENCODER)
        yield opened


def names_of(engine: SearchEngine, ids: list[int]) -> list[str]:
    with engine.collection.reading() as view:
        uris = {row.id: row.uri.removeprefix("test:") for row in view.rows(ids)}
    return [uris[number] for number in ids]


def test_groups_are_called_by_what_their_pictures_show_and_the_most_typical_come_first(
    engine: SearchEngine,
) -> None:
    found = engine.cluster(3, vocabulary=[*SIZES, "owl", "moon"])

    assert [(group.number, group.names[0].name, len(group.ids)) for group in found.groups] == [
        (1, "dog", 13),
        (2, "beach", 8),
        (3, "pizza", 5),
    ]
    for group in found.groups:
        assert (np.diff(group.likeness) <= 0).all()
    dogs = names_of(engine, found.groups[0].ids.tolist())
    assert dogs.index("copy=dog3") - dogs.index("dog3") == 1


def test_a_bundled_name_is_found_without_a_vocabulary(engine: SearchEngine) -> None:
    assert [group.names[0].name for group in engine.cluster(3).groups] == list(SIZES)


def test_each_picture_is_in_one_group_and_the_number_is_chosen(engine: SearchEngine) -> None:
    found = engine.cluster()

    ids = [number for group in found.groups for number in group.ids.tolist()]
    assert sorted(ids) == list(range(1, 27))
    assert found.generation == engine.info().generation


def test_a_condition_and_hiding_narrow_down_what_is_grouped(collection: Path, engine: SearchEngine) -> None:
    with Writer(collection) as writer:
        writer.commit_rows(Change(hidden=["test:dog0"]))
        writer.commit_rows(Change(attributes={"test:dog1": {"wanted": 1}, "test:dog0": {"wanted": 1}}))

    (group,) = engine.cluster(5, where="wanted = 1").groups

    assert names_of(engine, group.ids.tolist()) == ["dog1"]
    assert engine.cluster(where="wanted = 2").groups == ()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"count": 0}, UsageError),
        ({"count": 1001}, UsageError),
        ({"where": "nonsense = 1"}, FilterError),
        ({"vocabulary": []}, UsageError),
    ],
)
def test_what_cannot_be_used_is_refused(
    engine: SearchEngine, arguments: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        engine.cluster(**arguments)


def test_an_empty_collection_says_so(tmp_path: Path) -> None:
    Writer(tmp_path / "empty").close()

    with retrieval.open(tmp_path / "empty") as engine, pytest.raises(CollectionEmpty):
        engine.cluster()


def test_the_command_prints_groups_for_people_for_pipes_and_as_json(
    collection: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SearchEngine, "encoder", ENCODER)
    given = ("cluster", "-n", "3", "--collection", collection)

    shown, piped, as_json = run(*given, "--list"), run(*given), run(*given, "--json", "-q")

    assert shown.stdout.splitlines()[0].split()[:3] == ["1", "13", "dog"]
    assert len(shown.stdout.splitlines()) == 3 * 4
    assert shown.stderr.startswith("26 pictures in 3 groups (silhouette 0.")
    first = piped.stdout.splitlines()[0].split("\t")
    assert (first[0], first[1].split(", ")[0], len(piped.stdout.splitlines())) == ("1", "dog", 26)
    facts = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert [(one["group"], one["size"], one["names"][0]) for one in facts] == [
        (1, 13, {"name": "dog", "other": "狗"}),
        (2, 8, {"name": "beach", "other": "海滩"}),
        (3, 5, {"name": "pizza", "other": "披萨"}),
    ]
    assert facts[0]["items"][0]["uri"] == f"test:{first[2].removeprefix('test:')}"
    assert as_json.stderr == ""
