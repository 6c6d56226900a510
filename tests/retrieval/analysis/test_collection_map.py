"""``engine.map``: which items it has, when it is made anew, and what its cache may not change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import retrieval
from indexer.store.changes import Change
from indexer.store.writer import Writer
from retrieval.analysis import collection_map, map_cache
from retrieval.errors import CollectionEmpty, FilterError
from retrieval.query.engine import SearchEngine
from retrieval.sqlite_cache import VARIABLE
from tests.builders import collection_of, image_change, unit_rows

NAMES = [f"{number:02}.png" for number in range(30)]


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    return collection_of(tmp_path / "c", ([*NAMES, "copy=03.png"], unit_rows(31)))


@pytest.fixture
def engine(collection: Path) -> Iterator[SearchEngine]:
    with retrieval.open(collection) as opened:
        yield opened


def names(engine: SearchEngine, ids: list[int]) -> list[str]:
    with engine.collection.reading() as view:
        return [item.uri.removeprefix("test:") for item in view.items(ids)]


def test_a_map_has_each_item_once_and_equal_contents_on_one_point(engine: SearchEngine) -> None:
    found = engine.map()

    assert names(engine, found.ids.tolist()) == [*NAMES, "copy=03.png"]
    assert found.coordinates.shape == (31, 2)
    assert found.coordinates[3].tolist() == found.coordinates[30].tolist()
    assert (found.method, found.generation) == ("tsne", engine.info().generation)


def test_a_map_of_what_meets_a_condition_has_nothing_else(collection: Path, engine: SearchEngine) -> None:
    with Writer(collection) as writer:
        writer.commit_rows(Change(attributes={f"test:{name}": {"wanted": True} for name in NAMES[10:20]}))

    found = engine.map(where="wanted = true", method="pca")

    assert names(engine, found.ids.tolist()) == NAMES[10:20]
    assert found.method == "pca"


def test_hidden_items_are_not_on_the_map(collection: Path) -> None:
    with Writer(collection) as writer:
        writer.commit_rows(Change(hidden=["test:05.png"]))

    with retrieval.open(collection) as engine:
        assert "05.png" not in names(engine, engine.map().ids.tolist())


def test_a_kind_of_which_there_is_nothing_has_an_empty_map(engine: SearchEngine) -> None:
    found = engine.map("text")

    assert (found.ids.shape, found.coordinates.shape) == ((0,), (0, 2))


def test_a_collection_without_vectors_says_so(tmp_path: Path) -> None:
    Writer(tmp_path / "empty").close()

    with retrieval.open(tmp_path / "empty") as engine, pytest.raises(CollectionEmpty, match="is empty"):
        engine.map()


def test_a_condition_on_a_field_that_there_is_not_is_refused(engine: SearchEngine) -> None:
    with pytest.raises(FilterError, match="nonsense"):
        engine.map(where="nonsense = 1")


def test_a_map_is_made_once_a_generation(collection: Path, engine: SearchEngine) -> None:
    first = engine.map()
    assert engine.map() is first

    with Writer(collection) as writer:
        change = image_change(writer.ensure_corpus("test:", "test"), ["new.png"], unit_rows(1, seed=5))
        identity = writer.identity
        assert identity is not None
        writer.commit(change, identity)

    assert len(engine.map().ids) == 32


def test_a_map_comes_from_the_cache_where_the_vectors_are_the_same(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(map_cache, "SMALLEST_ROWS", 1)
    with retrieval.open(collection) as engine:
        first = engine.map()
    monkeypatch.setattr(collection_map, "lay_out", None)

    with retrieval.open(collection) as engine:
        again = engine.map()

    assert again.coordinates.tobytes() == first.coordinates.tobytes()


@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0 nonsense", bytes(4096)])
def test_a_damaged_cache_is_as_none(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    with retrieval.open(collection) as engine:
        expected = engine.map().coordinates
    monkeypatch.setenv(VARIABLE, str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / map_cache.FILE).write_bytes(damage)

    with retrieval.open(collection) as engine:
        assert engine.map().coordinates.tobytes() == expected.tobytes()


def test_what_is_not_a_map_in_the_cache_is_not_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(map_cache, "SMALLEST_ROWS", 1)
    wrong = np.full((5, 2), np.nan, np.float32)

    map_cache.keep_map(b"k" * 32, wrong)

    assert map_cache.find_map(b"k" * 32, 5) is None
    assert map_cache.find_map(b"k" * 32, 4) is None


def test_the_oldest_maps_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    monkeypatch.setattr(map_cache, "SMALLEST_ROWS", 1)
    monkeypatch.setattr(map_cache, "MOST_MAPS", 2)
    points = np.zeros((5, 2), np.float32)

    for key in (b"a", b"b", b"c"):
        map_cache.keep_map(key, points)

    assert [map_cache.find_map(key, 5) is not None for key in (b"a", b"b", b"c")] == [False, True, True]
