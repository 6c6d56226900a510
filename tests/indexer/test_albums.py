"""Albums: searches under a name, kept in the catalogue, asked again of the collection as it is then."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import indexer
import retrieval
from retrieval.collection.albums import MOST_PARTS, Album, AlbumPart
from retrieval.collection.stored_values import WrongValue
from retrieval.errors import CollectionDamaged, NoSuchAlbum, QueryError, UsageError
from retrieval.expressions import Under, field
from retrieval.query.parts import ImagePart, ItemPart, KeyPart, TextPart
from retrieval.types import Request
from tests.builders import HashEncoder, draw, take_back_schema


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    """Three pictures in a folder, one of them in a folder below it, and a text under a key."""
    for name, colour in (("red.png", (255, 0, 0)), ("green.png", (0, 255, 0)), ("old/blue.png", (0, 0, 255))):
        draw(tmp_path / "photos" / name, colour)
    indexer.build(tmp_path / "photos", tmp_path / "collection", model=HashEncoder())
    with indexer.open_writer(tmp_path / "collection", model=HashEncoder()) as writer:
        writer.add("note", "a red thing")
    return tmp_path / "collection"


@pytest.fixture
def engine(collection: Path) -> Iterator[retrieval.SearchEngine]:
    with retrieval.open(collection, encoder=HashEncoder()) as opened:
        yield opened


def facts(hits: list[retrieval.Hit]) -> list[tuple[int, float, int]]:
    return [(hit.rank, hit.score, hit.id) for hit in hits]


def tamper(collection: Path, column: str, value: object) -> None:
    with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
        catalogue.execute(f"UPDATE albums SET {column} = ?", [value])
        catalogue.commit()


# Saved and asked again


def test_an_album_whose_name_none_can_get_any_more_is_asked_renamed_and_deleted(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    for name, odd in (("a", "."), ("b", "..")):
        indexer.save_album(collection, engine.make_album(name, "a dog"))
        with closing(sqlite3.connect(collection / "catalogue.sqlite")) as catalogue:
            catalogue.execute("UPDATE albums SET name = ? WHERE name = ?", [odd, name])
            catalogue.commit()

    assert len(engine.search_album("..")) == 3
    indexer.rename_album(collection, ".", "one")
    indexer.delete_album(collection, "..")
    assert [album.name for album in engine.albums()] == ["one"]


def test_an_album_gives_what_its_search_gives(engine: retrieval.SearchEngine, collection: Path) -> None:
    query: list[retrieval.Queryable] = [TextPart("a dog"), KeyPart("note", -0.5), ItemPart(1, 2.0)]
    request = Request(k=2, find="image", where=field("width") >= 4, sort="name", min_score=-1.0)
    indexer.save_album(collection, engine.make_album("Dogs", query, request))

    found = engine.search_album("Dogs")

    assert facts(found) == facts(
        engine.search(query, k=2, find="image", where="width >= 4", sort="name", min_score=-1.0)
    )
    assert len(found) == 2


def test_what_an_album_excludes_is_read_unless_it_is_literal(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    for name, literal in (("read", False), ("literal", True)):
        album = engine.make_album(name, "a dog without a ball", literal=literal)
        indexer.save_album(collection, album)
        assert facts(engine.search_album(name)) == facts(
            engine.search("a dog without a ball", literal=literal)
        )


def test_albums_are_listed_by_name_and_the_collection_keeps_its_generation(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    before = engine.collection.generation
    for name in ("b", "a", "海滩"):
        indexer.save_album(collection, engine.make_album(name, "x"))

    assert [album.name for album in engine.albums()] == ["a", "b", "海滩"]
    assert engine.album("海滩").parts == (AlbumPart(text="x"),)
    assert engine.collection.generation == before


def test_an_album_takes_the_place_of_another_only_if_asked_to(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    indexer.save_album(collection, engine.make_album("a", "first"))
    with pytest.raises(UsageError, match="has an album 'a' already"):
        indexer.save_album(collection, engine.make_album("a", "second"))
    assert engine.album("a").parts == (AlbumPart(text="first"),)

    indexer.save_album(collection, engine.make_album("a", "second"), replace=True)

    assert engine.album("a").parts == (AlbumPart(text="second"),)


def test_albums_are_renamed_and_deleted_by_name(engine: retrieval.SearchEngine, collection: Path) -> None:
    for name in ("a", "b"):
        indexer.save_album(collection, engine.make_album(name, name))
    with pytest.raises(UsageError, match="has an album 'b' already"):
        indexer.rename_album(collection, "a", "b")

    indexer.rename_album(collection, "a", "c")
    indexer.delete_album(collection, "b")

    assert [(album.name, album.parts[0].text) for album in engine.albums()] == [("c", "a")]
    for change in (
        lambda: indexer.delete_album(collection, "b"),
        lambda: indexer.rename_album(collection, "b", "d"),
        lambda: indexer.delete_album(collection, "\ud800"),
        lambda: engine.album("b"),
        lambda: engine.album("\ud800"),
    ):
        with pytest.raises(NoSuchAlbum, match="has no album"):
            change()


@pytest.mark.parametrize("name", ["", "  ", " a", "a\nb", "a\x1b[2J", "\ud800", "x" * 201])
def test_a_name_that_is_none_is_refused(engine: retrieval.SearchEngine, collection: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        engine.make_album(name, "x")
    indexer.save_album(collection, engine.make_album("a", "x"))
    with pytest.raises(UsageError, match="name"):
        indexer.rename_album(collection, "a", name)


# Pictures


def test_a_picture_of_the_collection_is_kept_as_its_item_and_outlives_its_file_and_its_name(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path
) -> None:
    album = engine.make_album("reds", tmp_path / "photos/red.png", Request(find="image"))
    (part,) = album.parts
    assert part.uri == (tmp_path / "photos/red.png").as_uri()
    assert part.picture is None
    indexer.save_album(collection, album)
    first = facts(engine.search_album("reds"))

    (tmp_path / "photos/red.png").rename(tmp_path / "photos/crimson.png")
    indexer.build(tmp_path / "photos", collection, model=HashEncoder())

    assert facts(engine.search_album("reds")) == first
    assert engine.search_album("reds")[0].uri.endswith("crimson.png")
    shutil.rmtree(tmp_path / "photos")
    assert facts(engine.search_album("reds")) == first


def test_an_item_that_is_gone_is_named_and_comes_back_with_its_uri(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "photos/red.png"
    indexer.save_album(collection, engine.make_album("reds", picture))
    indexer.delete(collection, [str(picture)])
    with pytest.raises(QueryError, match=r"the album 'reds' asks with .*red\.png"):
        engine.search_album("reds")

    indexer.build(tmp_path / "photos", collection, model=HashEncoder())

    assert engine.search_album("reds")


def test_another_picture_is_kept_as_its_file_and_read_again(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path
) -> None:
    picture = draw(tmp_path / "else.png", (9, 9, 9))
    indexer.save_album(
        collection, engine.make_album("like", ImagePart(picture, 1.0, (0, 0, 0.5, 1)), Request(find="image"))
    )
    asked = retrieval.ImagePart(picture, crop=(0, 0, 0.5, 1))
    assert facts(engine.search_album("like")) == facts(engine.search(asked, find="image"))

    draw(picture, (200, 0, 0))
    assert facts(engine.search_album("like")) == facts(engine.search(asked, find="image"))
    picture.unlink()
    with pytest.raises(QueryError, match="there is no file"):
        engine.search_album("like")


def test_no_pixels_are_stored_and_nothing_is_fetched(engine: retrieval.SearchEngine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="only in memory"):
        engine.make_album("a", draw(tmp_path / "a.png", (1, 2, 3)).read_bytes())
    with pytest.raises(UsageError, match="fetches nothing from the web"):
        engine.make_album("a", ImagePart("https://example.org/a.jpg"))
    with pytest.raises(UsageError, match="not a file of this machine"):
        AlbumPart(picture="https://example.org/a.jpg")
    with pytest.raises(QueryError, match="there is no file"):
        engine.make_album("a", tmp_path / "typo.png")


# Places


def test_a_folder_of_a_condition_does_not_depend_on_the_working_directory(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    album = engine.make_album("old", "x", Request(where=~Under("photos/old") & (field("width") >= 1)))
    indexer.save_album(collection, album)
    monkeypatch.chdir("/")

    assert {hit.uri.rpartition("/")[2] for hit in engine.search_album("old")} == {"red.png", "green.png"}


def test_albums_follow_files_that_are_relocated(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path
) -> None:
    outside = draw(tmp_path / "photos/.hidden/else.png", (7, 7, 7))
    query: list[retrieval.Queryable] = [TextPart("x"), ImagePart(outside)]
    request = Request(find="image", where=Under(str(tmp_path / "photos/old")))
    indexer.save_album(collection, engine.make_album("old", query, request))
    first = facts(engine.search_album("old"))
    assert len(first) == 1

    (tmp_path / "photos").rename(tmp_path / "archive")
    indexer.relocate(collection, tmp_path / "photos", tmp_path / "archive")

    assert facts(engine.search_album("old")) == first


def test_albums_of_a_collection_that_moves_with_its_pictures_move_too(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    draw(drive / "photos/old/a.png", (1, 0, 0))
    draw(drive / "photos/b.png", (2, 0, 0))
    path = drive / "collection"
    indexer.build(drive / "photos", path, model=HashEncoder(), relative=True)
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        indexer.save_album(
            path, engine.make_album("old", "x", Request(where=Under(str(drive / "photos/old"))))
        )

    drive.rename(tmp_path / "mounted")

    for _ in range(2):  # by a reader first, then after a writer has rewritten what it holds
        with retrieval.open(tmp_path / "mounted/collection", encoder=HashEncoder()) as engine:
            assert len(engine.search_album("old")) == 1
        indexer.delete(tmp_path / "mounted/collection", ["nothing"])


def test_an_export_takes_albums_along_and_an_import_finds_their_items_by_uri(
    engine: retrieval.SearchEngine, collection: Path, tmp_path: Path
) -> None:
    indexer.save_album(collection, engine.make_album("reds", tmp_path / "photos/red.png", Request(k=1)))
    indexer.save_album(collection, engine.make_album("dogs", "a dog"))
    indexer.export_collection(collection, tmp_path / "out")
    other = tmp_path / "other"
    with indexer.open_writer(other, model=HashEncoder()) as writer:
        writer.add("first", "takes the first id")
    with retrieval.open(other, encoder=HashEncoder()) as second:
        indexer.save_album(other, second.make_album("dogs", "mine"))

    indexer.import_collection(tmp_path / "out", other, model=HashEncoder())

    with retrieval.open(other, encoder=HashEncoder()) as second:
        assert [album.name for album in second.albums()] == ["dogs", "reds"]
        assert second.album("dogs").parts == (AlbumPart(text="mine"),)  # what is there stays
        assert second.album("reds").parts[0].item is None
        assert second.search_album("reds")


# What else a catalogue may hold

HOSTILE = [
    "", "{}", "[]", "null", "[" * 20_000, '{"parts":[]}', '{"parts":[{}]}', '{"parts":[1]}', '{"parts":{}}',
    '{"parts":[{"text":"a","key":"b"}]}', '{"parts":[{"text":""}]}', '{"parts":[{"text":1}]}',
    '{"parts":[{"text":"\\ud800"}]}', '{"parts":[{"text":"a","weight":NaN}]}',
    '{"parts":[{"text":"a","weight":0}]}', '{"parts":[{"text":"a","weight":true}]}',
    '{"parts":[{"text":"a","crop":[0,0,1,1]}]}', '{"parts":[{"text":"a","new":1}]}',
    '{"parts":[{"picture":"http://169.254.169.254/"}]}', '{"parts":[{"picture":"a.jpg"}]}',
    '{"parts":[{"picture":"file:///a","crop":"abcd"}]}', '{"parts":[{"picture":"file:///a\\u0000"}]}',
    '{"parts":[{"uri":"file:///a","item":-1}]}', '{"parts":[{"item":1}]}',
    '{"parts":[{"uri":"file:///a","item":' + "9" * 5000 + "}]}",
    '{"parts":[{"text":"a"}],"k":0}', '{"parts":[{"text":"a"}],"k":true}', '{"parts":[{"text":"a"}],"k":1e9}',
    '{"parts":[{"text":"a"}],"where":"((("}', '{"parts":[{"text":"a"}],"where":1}',
    '{"parts":[{"text":"a"}],"sort":"random"}', '{"parts":[{"text":"a"}],"mode":[]}',
    '{"parts":[{"text":"a"}],"distinct":"moment"}', '{"parts":[{"text":"a"}],"distinct":1}',
    '{"parts":[{"text":"a"}],"find":"sound"}', '{"parts":[{"text":"a"}],"find":[]}',
    '{"parts":[{"text":"a"}],"min_score":Infinity}', '{"parts":[{"text":"a"}],"tiles":true}',
    '{"parts":[{"text":"a"}],"literal":1}', '{"parts":[' + '{"text":"a"},' * MOST_PARTS + '{"text":"a"}]}',
    '{"parts":[{"text":"' + "a" * 2**17 + '"}]}',
]  # fmt: skip


@pytest.mark.parametrize("request_", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_not_a_request_is_refused_with_a_sentence(request_: str) -> None:
    with pytest.raises(WrongValue, match=r"^the album 'a' "):
        Album.from_json("a", request_)


def test_an_album_that_cannot_be_read_is_damage_that_the_doctor_names_and_that_can_be_deleted(
    engine: retrieval.SearchEngine, collection: Path
) -> None:
    indexer.save_album(collection, engine.make_album("a", "x"))
    assert indexer.doctor(collection).faults == ()
    tamper(collection, "request", '{"parts":[],"k":5}')

    with pytest.raises(CollectionDamaged, match="the album 'a' cannot be asked"):
        engine.albums()
    assert engine.search("x")  # nothing else suffers
    (fault,) = indexer.doctor(collection).faults
    assert "1 albums cannot be asked" in fault
    indexer.delete_album(collection, "a")
    assert indexer.doctor(collection).faults == ()
    assert engine.albums() == []


@pytest.mark.parametrize(
    ("column", "value"), [("request", b"\xff"), ("name", b"\xff"), ("name", "a\x1b[2J"), ("name", "")]
)
def test_values_of_another_kind_are_damage(
    engine: retrieval.SearchEngine, collection: Path, column: str, value: object
) -> None:
    indexer.save_album(collection, engine.make_album("a", "x"))
    tamper(collection, column, value)

    with pytest.raises(CollectionDamaged):
        engine.albums()
    assert indexer.doctor(collection).faults


def test_a_collection_of_schema_6_has_no_albums_and_gets_the_table_by_its_next_writer(
    collection: Path,
) -> None:
    take_back_schema(collection, 6)

    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        assert engine.albums() == []
        assert indexer.doctor(collection).faults == ()
        indexer.save_album(collection, engine.make_album("a", "x"))
        assert [album.name for album in engine.albums()] == ["a"]
    assert indexer.doctor(collection).faults == ()


# The column is canonical

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
WEIGHTS = st.floats(-100, 100, allow_nan=False).filter(bool)
PARTS = st.one_of(
    st.builds(AlbumPart, text=TEXTS, weight=WEIGHTS),
    st.builds(AlbumPart, key=TEXTS, weight=WEIGHTS),
    st.builds(AlbumPart, uri=TEXTS, item=st.none() | st.integers(0, 2**63 - 1), weight=WEIGHTS),
    st.builds(
        AlbumPart,
        picture=st.just("file:///a/b.jpg"),
        crop=st.none() | st.tuples(*[st.floats(0, 1)] * 4),
        weight=WEIGHTS,
    ),
)
REQUESTS = st.builds(
    Request,
    k=st.integers(1, 1000),
    find=st.sampled_from([None, "image", "text"]),
    offset=st.integers(0, 1000),
    exact=st.booleans(),
    distinct=st.sampled_from([False, True, "picture"]),
    regions=st.booleans(),
    where=st.sampled_from([None, field("rating") >= "4", Under("/a b") | ~field("t").contains('"')]),
    sort=st.sampled_from(["score", "taken", "name"]),
    min_score=st.none() | st.floats(-1, 1),
)


@given(st.lists(PARTS, min_size=1, max_size=4), REQUESTS, st.booleans())
def test_any_request_comes_back_as_it_was_written(
    parts: list[AlbumPart], asked: Request, literal: bool
) -> None:
    album = Album("a", tuple(parts), asked, literal)
    written = album.to_json()

    again = Album.from_json("a", written)

    assert (again.parts, again.literal, str(again.request.where)) == (
        album.parts,
        album.literal,
        str(asked.where),
    )
    assert (
        again.to_json()
        == written
        == json.dumps(json.loads(written), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    )
