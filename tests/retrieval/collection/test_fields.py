"""Fields and attributes as conditions see them: typed, true after every commit, listed, counted, sorted by."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval import FilterError, SearchEngine, UsageError, field, near, under
from retrieval.collection import Collection
from retrieval.collection.filters.values import stored_date, typed_values
from retrieval.expressions import Comparison, Expression
from retrieval.types import Attribute
from tests.builders import HashEncoder
from tests.retrieval.collection.test_older_collections import ARCHIVE as OLD_ARCHIVE
from tests.retrieval.collection.test_older_collections import unpacked as unpacked

ATTRIBUTES: dict[str, dict[str, Attribute]] = {
    "a": {
        "camera": "Canon EOS R5",
        "taken": "2021-05-03T10:00:00",
        "rating": 5,
        "keywords": ["Dog", "beach"],
    },
    "b": {
        "camera": "NIKON Z 6",
        "taken": "2021-12-31T23:59:59+01:00",
        "rating": 3,
        "lat": 48.14,
        "lon": 11.58,
    },
    "c": {"camera": "canon eos r5", "taken": "2020-01-01", "favorite": True, "lat": 48.3, "lon": 11.58},
    "d": {"note": None, "keywords": [], "width": 7, "code": "0042"},
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with indexer.open_writer(tmp_path / "collection", model=HashEncoder()) as writer:
        for number, (key, attributes) in enumerate(ATTRIBUTES.items()):
            picture = tmp_path / "photos" / f"{'x/' if key in 'bd' else ''}{key.upper()}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20 + number, 10), (number, 0, 0)).save(picture)
            writer.add(key, picture, attributes=attributes)
    return tmp_path / "collection"


@pytest.fixture
def engine(path: Path) -> Iterator[SearchEngine]:
    with retrieval.open(path, encoder=HashEncoder()) as opened:
        yield opened


def found(engine: SearchEngine, where: str | Expression) -> str:
    """Keys of the items that meet a condition, in the order of names."""
    return "".join(hit.key or "?" for hit in engine.search("a query", 99, where=where, sort="name"))


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("camera = 'CANON EOS R5'", "ac"),
        ("camera = canon*", "ac"),
        ("camera != 'NIKON z 6'", "ac"),
        ("not camera = 'nikon z 6'", "acd"),
        ("camera contains EOS", "ac"),
        ("taken in 2021", "ab"),
        ("taken >= 2021-05", "ab"),
        ("taken > 2021-05", "b"),
        ("taken < 2021", "c"),
        ("taken <= 2021-05-03", "ac"),
        ("taken = 2021-05-03T10", "a"),
        ("taken between 2020 and 2021-05", "ac"),
        ("rating in (3, 4)", "b"),
        ("rating >= 3.5", "a"),
        ("keywords contains DOG", "a"),
        ("keywords contains do", ""),
        ("favorite = true", "c"),
        ("favorite = no", ""),
        ("keywords is null", "bcd"),
        ("note is null", None),
        ("width > 21", "cd"),
        ("attribute:width = 7", "d"),
        ("WIDTH > 21 and Camera is null", "d"),
        ("code = 0042", "d"),
        ("code = 42", ""),
        ("name = b.PNG", "b"),
        ("folder contains photos", "abcd"),
        ("folder = *", ""),
        ("near(48.14, 11.58, 1 km)", "b"),
        ("near(48.14, 11.58, 20 km)", "bc"),
        ("near(48.14, 11.58, 17.6 km)", "b"),
        ("near(48.14, 11.58, 11 mi)", "b"),
        ("bytes > 0 and height = 10", "abcd"),
        ("bytes > 1000000", ""),
        ("key in (a, B)", "ab"),
        ("indexed > 2020 and indexed < 2100", "abcd"),
        ("kind = image", "abcd"),
        ("kind = text or rating = 5", "a"),
    ],
)
def test_a_condition_finds_the_items_that_meet_it(engine: SearchEngine, where: str, keys: str | None) -> None:
    if keys is None:
        with pytest.raises(FilterError, match="'note'"):
            found(engine, where)
    else:
        assert found(engine, where) == keys


def test_under_is_a_folder_at_any_depth_and_its_path_is_taken_letter_by_letter(
    engine: SearchEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert found(engine, under("photos")) == "abcd"
    assert found(engine, under(f"{tmp_path}/photos/x/")) == "bd"
    assert found(engine, under("photos/X")) == found(engine, under("photo")) == ""


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("camra = x", r"no item has a field 'camra' \(did you mean camera\?\); there are folder, name"),
        ("rating = high", 'rating is a number, and is compared with something else in: rating = "high"'),
        ("width contains 3", "width is a number"),
        ("taken > yesterday", r"taken is a date \(such as 2021"),
        ("taken = 2021-13", "taken is a date"),
        ("favorite = maybe", "favorite is true or false"),
    ],
)
def test_a_wrong_field_or_value_is_a_sentence_that_says_what_there_is(
    engine: SearchEngine, where: str, said: str
) -> None:
    with pytest.raises(FilterError, match=said):
        engine.search("a query", where=where)


def test_values_that_python_takes_for_equal_are_different_conditions(engine: SearchEngine) -> None:
    assert found(engine, Comparison("favorite", "=", 1)) == "c"
    assert found(engine, Comparison("rating", ">", 1)) == "ab"
    with pytest.raises(FilterError, match="rating is a number"):
        found(engine, Comparison("rating", ">", True))


@pytest.mark.parametrize("text", ["' OR 1=1 --", '"); DROP TABLE items; --', "a\0b", "%", "_", "\\"])
def test_what_a_condition_says_never_becomes_sql(engine: SearchEngine, text: str) -> None:
    for where in (field("camera") == text, field("camera").contains(text), field("name").starts_with(text)):
        assert found(engine, where) == ""
    with pytest.raises(FilterError):
        found(engine, field(text) == 1)
    assert found(engine, "kind = image") == "abcd"


def test_attributes_are_found_as_they_are_after_every_kind_of_change(
    path: Path, engine: SearchEngine
) -> None:
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.set_attributes("a", {"rating": 1, "fresh": "yes"})
        writer.delete("b")
        writer.upsert("c", Image.new("RGB", (9, 9)), attributes={"rating": 5})
        writer.hide("d")

    assert found(engine, "fresh = YES and rating = 1") == "a"
    assert found(engine, "rating = 5") == "c"
    assert found(engine, "rating = 3 or keywords contains dog or camera contains canon") == ""
    assert found(engine, "kind = image") == "ac"
    assert indexer.doctor(path).faults == ()


def test_an_item_keeps_the_time_at_which_it_came(path: Path) -> None:
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as catalogue:
        catalogue.execute("UPDATE items SET indexed = 86400 * 365")
        catalogue.commit()
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.upsert("a", Image.new("RGB", (9, 9)))

    with retrieval.open(path, encoder=HashEncoder()) as engine:
        assert len(engine.search("a query", 9, where="indexed = 1971-01-01")) == len(ATTRIBUTES)


def test_doctor_finds_items_that_would_be_found_by_other_attributes_and_mends_them(path: Path) -> None:
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DELETE FROM attribute_values WHERE value = 5")
        catalogue.execute("UPDATE attribute_values SET value = 'sony' WHERE value = 'nikon z 6'")
        catalogue.commit()

    assert indexer.doctor(path).faults == ("2 items are found by other attributes than they have",)
    assert indexer.doctor(path, repair=True).faults == ()
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        assert found(engine, "rating = 5 or camera contains nikon") == "ab"


def test_an_older_collection_has_no_attributes_to_search_by_until_a_writer_brings_it_up_to_date(
    unpacked: Path,
) -> None:
    assert OLD_ARCHIVE.is_file()
    with retrieval.open(unpacked / "collection", encoder=HashEncoder()) as engine:
        assert len(engine.search("article", 99, find="text", where="key starts with sku")) > 3
        assert engine.search("article", 99, where="indexed > 1970") == []
        with pytest.raises(FilterError, match="vlsearch optimize"):
            engine.search("article", where="price = 1")
        with engine.collection.reading() as view:
            attributes = {
                name for page in view.pages("text") for row in page for name in _names(row.attributes)
            }
    with Writer(unpacked / "collection"):
        pass

    with Collection.open(unpacked / "collection") as collection:
        assert {one.name for one in collection.fields() if not one.meaning} >= attributes != set()
    assert indexer.doctor(unpacked / "collection").faults == ()


def _names(stored: str) -> set[str]:
    return {name for name, value in json.loads(stored).items() if value not in (None, [])}


def test_hits_are_sorted_by_date_or_name_and_keep_the_ranks_of_their_scores(engine: SearchEngine) -> None:
    by_score = engine.search("a query", 4)
    by_date = engine.search("a query", 4, sort="taken")

    assert [hit.key for hit in by_date] == ["b", "a", "c", "d"]
    assert {hit.key: (hit.rank, hit.score) for hit in by_date} == {
        hit.key: (hit.rank, hit.score) for hit in by_score
    }
    assert [hit.key for hit in engine.search("a query", 4, sort="name")] == ["a", "b", "c", "d"]
    with pytest.raises(UsageError, match="taken"):
        engine.search("a query", sort="size")  # type: ignore[arg-type]  # a user's mistake


def test_hits_below_the_least_score_are_left_out(engine: SearchEngine) -> None:
    hits = engine.search("a query", 4)

    assert engine.search("a query", 4, min_score=hits[1].score) == hits[:2]
    with pytest.raises(UsageError, match="min_score"):
        engine.search("a query", min_score=float("nan"))


def test_facets_count_items_by_values_as_they_are_written(engine: SearchEngine, tmp_path: Path) -> None:
    photos = str(tmp_path / "photos")

    assert engine.facets(["year", "folder", "camera"]) == {
        "year": {"2021": 2, "2020": 1},
        "folder": {photos: 2, f"{photos}/x": 2},
        "camera": {"Canon EOS R5": 2, "NIKON Z 6": 1},
    }
    assert engine.facets(["keywords", "rating"], where="rating > 3") == {
        "keywords": {"beach": 1, "Dog": 1},
        "rating": {"5": 1},
    }
    assert list(engine.facets()) == ["year", "folder", "camera", "keywords", "rating"]
    with pytest.raises(FilterError, match="'colour'"):
        engine.facets(["colour"])


def test_facets_are_of_the_usual_fields_that_there_are(tmp_path: Path) -> None:
    with indexer.open_writer(tmp_path / "plain", model=HashEncoder()) as writer:
        writer.add("a", Image.new("RGB", (8, 8)), uri="file:///photos/a.jpg")

    with retrieval.open(tmp_path / "plain", encoder=HashEncoder()) as opened:
        assert opened.facets() == {"folder": {"/photos": 1}}


def test_fields_are_listed_with_their_types_and_values(path: Path) -> None:
    with Collection.open(path) as collection:
        fields = {one.name: one for one in collection.fields() if not one.meaning}

    assert (fields["rating"].type, fields["rating"].least, fields["rating"].greatest) == ("number", 3, 5)
    assert (fields["taken"].type, fields["taken"].values) == ("date", 3)
    assert fields["camera"].examples == ("Canon EOS R5", "NIKON Z 6")
    assert "note" not in fields


def test_near_counts_across_the_date_line_and_at_the_poles(tmp_path: Path) -> None:
    places = {"east": (0, 179.9), "west": (0, -179.9), "pole": (90, 0), "far": (0, 0)}
    with indexer.open_writer(tmp_path / "c", model=HashEncoder()) as writer:
        for number, (key, (lat, lon)) in enumerate(places.items()):
            writer.add(key, Image.new("RGB", (9, 9), (number, 0, 0)), attributes={"lat": lat, "lon": lon})

    with retrieval.open(tmp_path / "c", encoder=HashEncoder()) as engine:
        keys = {hit.key for hit in engine.search("x", 9, where=near(0, 180, 12))}
        assert keys == {"east", "west"}
        assert {hit.key for hit in engine.search("x", 9, where=near(90, 77, 0))} == {"pole"}
        assert len(engine.search("x", 9, where=near(12, 34, 20038))) == 4


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (True, [("boolean", 1)]),
        (2**70, [("number", float(2**70))]),
        pytest.param(10**400, [("number", float("inf"))], id="too large a number"),
        ("2021-05-03 10:00", [("date", "2021-05-03T10:00")]),
        ("2021-05", [("date", "2021-05")]),
        ("2021", [("text", "2021")]),
        ("Straße", [("text", "strasse")]),
        (["A", "a", "b"], [("list", "a"), ("list", "b")]),
        ([], []),
        (None, []),
    ],
)
def test_a_value_is_stored_by_its_type(value: object, stored: list[tuple[str, object]]) -> None:
    assert [(one.type, one.value) for one in typed_values({"x": value})] == stored  # type: ignore[dict-item]


@pytest.mark.parametrize(
    "text", ["2021-5", "2021-00", "2021-05-32", "2021-05-03T25", "2021/05/03", "about 2021-05"]
)
def test_what_only_looks_like_a_date_is_a_text(text: str) -> None:
    assert stored_date(text) is None
