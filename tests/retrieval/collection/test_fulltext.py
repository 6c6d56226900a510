"""Words: every item that holds them is found, Chinese ones of any length too, after every change of a collection."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval import CollectionDamaged, CollectionError, FilterError, QueryError, SearchEngine, UsageError
from retrieval.collection import fulltext
from retrieval.query.fuse import fuse
from retrieval.types import Hit
from tests.builders import HashEncoder
from tests.retrieval.collection.test_older_collections import unpacked as unpacked

CAPTIONS = {
    "dog": ["A dog runs through the snow .", "The Dog has a Frisbee"],
    "cat": ["a cat without a dog", "雪地里的猫"],
    "snow": ["雪", "大雪，café Straße"],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with indexer.open_writer(tmp_path / "collection", model=HashEncoder()) as writer:
        for number, (key, captions) in enumerate(CAPTIONS.items()):
            picture = tmp_path / "photos" / f"{key}-IMG_{number}.png"
            picture.parent.mkdir(exist_ok=True)
            Image.new("RGB", (9, 9), (number, 0, 0)).save(picture)
            writer.add(
                key, picture, attributes={"rating": number, "keywords": [f"tag{number}", "Shared word"]}
            )
            for place, text in enumerate(captions):
                writer.add(f"{key}/{place}", text, describes=[key])
    return tmp_path / "collection"


@pytest.fixture
def engine(path: Path) -> Iterator[SearchEngine]:
    with retrieval.open(path, encoder=HashEncoder()) as opened:
        yield opened


def keys(hits: list[Hit]) -> list[str | None]:
    return [hit.key for hit in hits]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("frisbee", ["dog"]),
        ("DOG snow", ["dog"]),
        ("dog", ["cat", "dog"]),
        ("do", []),
        ("雪", ["cat", "snow"]),
        ("雪地", ["cat"]),
        ("地里", ["cat"]),
        ("雪猫", []),
        ("雪 猫", ["cat"]),
        ("cafe strasse", ["snow"]),
        ('"through the snow"', ["dog"]),
        ('"the through"', []),
        ("tag1", ["cat"]),
        ("shared", ["cat", "dog", "snow"]),
        ("img_0", ["dog"]),
        ("cat-img", ["cat"]),
    ],
)
def test_an_image_is_found_by_the_words_of_its_captions_keywords_and_name(
    engine: SearchEngine, words: str, found: list[str]
) -> None:
    assert sorted(map(str, keys(engine.search(words, 99, mode="words")))) == found
    condition = f"words contains '{words}'"
    assert sorted(map(str, keys(engine.search("anything", 99, where=condition)))) == found


def test_texts_are_found_by_their_own_words(engine: SearchEngine) -> None:
    assert keys(engine.search("dog", 9, find="text", mode="words")) == ["dog/1", "cat/0", "dog/0"]


HAN = "雪地里大猫狗一二，。 a\U00020bb7"


@given(
    texts=st.lists(st.text(HAN, min_size=1, max_size=12), min_size=1, max_size=8),
    word=st.text(HAN[:8] + HAN[-1:], min_size=1, max_size=3),
)
@example(texts=["雪地"], word="雪")
def test_chinese_words_of_one_to_three_characters_are_found_wherever_they_stand(
    texts: list[str], word: str
) -> None:
    with closing(sqlite3.connect(":memory:")) as catalogue:
        catalogue.execute(fulltext.CREATE)
        documents = [
            (number, fulltext.document_of("text", "key:", text, {})) for number, text in enumerate(texts)
        ]
        catalogue.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", documents)
        match = "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid"

        found = [row[0] for row in catalogue.execute(match, (fulltext.match_all(word),))]

    assert {number for number, text in enumerate(texts) if word in text} <= set(found)
    without_signs = [re.sub(r"[，。 ]", "", text) for text in texts]  # as in any phrase, signs count not
    assert found == [number for number, text in enumerate(without_signs) if word in text]


@given(st.text(max_size=30))
@example('"')
@example("a\0b")
@example("NEAR(a b) AND * ^x:y {")
@example("½ _ ² ๆ")
def test_no_words_are_anything_but_found_not_found_or_a_sentence(text: str) -> None:
    with closing(sqlite3.connect(":memory:")) as catalogue:
        catalogue.execute(fulltext.CREATE)
        catalogue.execute("INSERT INTO words (text) VALUES (?)", (fulltext.spaced("a dog"),))
        try:
            match = fulltext.match_all(text)
        except FilterError:
            return
        catalogue.execute("SELECT rowid FROM words WHERE words MATCH ?", (match,)).fetchall()
        for phrase in fulltext.phrases_of(text):
            catalogue.execute("SELECT rowid FROM words WHERE words MATCH ?", (phrase,)).fetchall()


def test_words_are_those_that_items_have_after_every_kind_of_change(path: Path, engine: SearchEngine) -> None:
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.set_attributes("dog", {"title": "fresh words"})
        writer.upsert("cat/0", "something else", describes=["cat"])
        writer.delete("snow/0")
        writer.hide("snow")
        writer.add("new", "a late dog")

    def found(words: str) -> list[str]:
        return sorted(map(str, keys(engine.search(words, 99, mode="words"))))

    assert found("fresh") == ["dog"]
    assert found("tag0") == found("without") == found("大雪") == []
    assert found("something") == ["cat"]
    assert found("雪") == ["cat"]
    assert keys(engine.search("late", 9, find="text", mode="words")) == ["new"]
    assert indexer.doctor(path).faults == ()


def test_a_renamed_file_is_found_by_its_new_name(path: Path, tmp_path: Path) -> None:
    old = next((tmp_path / "photos").glob("dog*"))
    indexer.build(tmp_path / "photos", path, model=HashEncoder())
    old.rename(old.with_name("renamed.png"))
    indexer.build(tmp_path / "photos", path, model=HashEncoder(), prune=True)

    with retrieval.open(path, encoder=HashEncoder()) as engine:
        assert [hit.uri.rpartition("/")[2] for hit in engine.search("renamed", 9, mode="words")] == [
            "renamed.png"
        ]
        assert engine.search("dog-img", 9, mode="words") == []
    assert indexer.doctor(path).faults == ()


def test_a_search_for_words_needs_no_encoder_and_takes_conditions_pages_and_orders(path: Path) -> None:
    with retrieval.open(path, encoder="no such model") as engine:
        first = engine.search("shared", 2, mode="words")
        rest = engine.search("shared", 2, mode="words", offset=2)

        assert [(hit.rank, dict(hit.ranks)) for hit in first + rest] == [
            (rank, {"words": rank}) for rank in (1, 2, 3)
        ]
        assert keys(engine.search("shared", 9, mode="words", where="rating > 0", sort="name")) == [
            "cat",
            "snow",
        ]


@given(
    texts=st.lists(
        st.lists(
            st.sampled_from(["dog", "Café", "cafe", "cafe\u0301", "dogs", "狗", "雪地", "red-dog", "a_b", "3", "ø"]),
            max_size=6,
        ),
        max_size=3,
    ),
    words=st.lists(
        st.sampled_from(["dog", "CAFÉ", "E\u0301", '"red dog"', '"dog cafe"', "雪", "雪地", "狗 雪", "a", "3", "Ø"]),
        min_size=1, max_size=3,
    ),
    between=st.sampled_from([" ", ", ", ""]),
)  # fmt: skip
def test_texts_hold_the_words_that_the_full_text_finds_in_one_of_them(
    texts: list[list[str]], words: list[str], between: str
) -> None:
    asked, written = " ".join(words), [between.join(text) for text in texts]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(fulltext.CREATE)
        connection.executemany(
            "INSERT INTO words (rowid, text) VALUES (?, ?)",
            [(rowid, fulltext.spaced(text)) for rowid, text in enumerate(written)],
        )
        assert fulltext.texts_hold_all(written, asked) == fulltext.holds_all(
            connection, range(len(written)), asked
        )


@pytest.mark.parametrize("asked", ["", "?", '" "', "dog " * 251])
def test_texts_are_not_asked_for_no_words_nor_for_too_many(asked: str) -> None:
    with pytest.raises(FilterError):
        fulltext.texts_hold_all(["a dog"], asked)


def test_hybrid_joins_the_ranks_of_both_sources(engine: SearchEngine) -> None:
    by_vector = keys(engine.search("a frisbee", 9, mode="vector"))
    by_words = keys(engine.search("frisbee", 9, mode="words"))

    hits = engine.search("a frisbee", 9, mode="hybrid")

    assert by_words == ["dog"]
    for hit in hits:
        assert hit.ranks["vector"] == by_vector.index(hit.key) + 1
        assert hit.score == sum(1 / (60 + rank) for rank in hit.ranks.values())
    assert {hit.key for hit in hits if "words" in hit.ranks} >= {"dog"}
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert keys(engine.search("!?", 9, mode="hybrid")) == keys(engine.search("!?", 9, mode="vector"))


def test_ranks_are_joined_by_their_reciprocals_and_ties_go_by_id() -> None:
    fused = fuse({"vector": [7, 5, 9], "words": [9, 4]})

    assert [one.id for one in fused] == [9, 7, 4, 5]
    assert fused[0].ranks == {"vector": 3, "words": 1}
    assert fused[0].score == 1 / 63 + 1 / 61
    assert [one.id for one in fuse({"vector": [2], "words": [1]})] == [1, 2]


def test_equal_contents_count_once_where_asked(engine: SearchEngine, path: Path) -> None:
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        writer.add("copy", "A dog runs through the snow .")

    for mode in ("words", "hybrid"):
        hits = engine.search("dog runs", 9, find="text", mode=mode, distinct=True)
        assert "copy" not in keys(hits)
        assert "dog/0" in keys(hits)


def test_more_matches_than_are_ranked_still_come_back(
    engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fulltext, "MOST_RANKED", 1)
    monkeypatch.setattr(fulltext, "MOST_ANY", 1)

    assert sorted(map(str, keys(engine.search("shared", 9, mode="words")))) == ["cat", "dog", "snow"]
    assert keys(engine.search("shared", 9, mode="words", where="rating = 2")) == ["snow"]
    assert keys(engine.search("shared frisbee", 1, mode="hybrid"))


@pytest.mark.parametrize(
    ("asked", "options", "error", "said"),
    [
        ("...", {"mode": "words"}, FilterError, "no word to look for"),
        ("x" * 1001, {"mode": "words"}, FilterError, "1,001 characters"),
        (["dog", retrieval.TextPart("cat", -1)], {"mode": "words"}, QueryError, "words alone"),
        ("dog", {"mode": "exact"}, UsageError, "mode is 'exact'"),
        ("dog", {"mode": "words", "min_score": 0.1}, UsageError, "least score goes with"),
        ("dog", {"where": "words = dog"}, FilterError, "words goes with contains"),
        ("dog", {"where": "words contains '-'"}, FilterError, "no word"),
    ],
)
def test_what_cannot_be_looked_for_is_a_sentence(
    engine: SearchEngine, asked: object, options: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        engine.search(asked, **options)  # type: ignore[arg-type]  # what a user may pass


def test_an_older_collection_gets_its_words_from_the_first_writer(unpacked: Path) -> None:
    path = unpacked / "collection"
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        with pytest.raises(CollectionError, match=r"no index of words yet.*vlsearch optimize"):
            engine.search("article", mode="words", find="text")
        with Writer(path):
            pass
        assert len(engine.search("article", 99, mode="words", find="text")) > 3
    assert indexer.doctor(path).faults == ()


def test_doctor_finds_items_with_other_words_and_mends_them(path: Path) -> None:
    with closing(sqlite3.connect(path / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DELETE FROM words WHERE rowid = 2")
        catalogue.execute("UPDATE words SET text = 'nothing' WHERE rowid = 3")
        catalogue.execute("INSERT INTO words (rowid, text) VALUES (99, 'a dog')")
        catalogue.commit()

    assert indexer.doctor(path).faults == ("3 items are found by other words than they have",)
    assert indexer.doctor(path, repair=True).faults == ()
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        assert keys(engine.search("frisbee", mode="words")) == ["dog"]


def test_without_fts5_collections_have_no_words_until_a_writer_has_it(
    tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tmp_path / "plain"
    with monkeypatch.context() as lacking:
        lacking.setattr(fulltext, "has_fts5", lambda connection: False)
        with indexer.open_writer(plain, model=HashEncoder()) as writer:
            writer.add("a", "a dog")
        with pytest.raises(
            CollectionError, match=r"cannot keep \(it lacks FTS5\); write to it with another Python"
        ):
            indexer.optimize(path)
        with retrieval.open(path, encoder=HashEncoder()) as engine:
            assert engine.search("a dog", 1)
            with pytest.raises(CollectionError, match="lacks FTS5"):
                engine.search("dog", mode="words")
        assert indexer.doctor(path).faults == ()

    with retrieval.open(plain, encoder=HashEncoder()) as engine:
        with pytest.raises(CollectionError, match="no index of words"):
            engine.search("dog", mode="words")
        indexer.optimize(plain)
        assert keys(engine.search("dog", mode="words")) == ["a"]


def test_the_tables_of_words_are_known_and_no_others_are_taken_for_them(path: Path) -> None:
    with closing(sqlite3.connect(":memory:")) as catalogue:
        catalogue.execute(fulltext.CREATE)
        made = set(catalogue.execute("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    assert made == fulltext.objects_of_words()

    with closing(sqlite3.connect(path / "catalogue.sqlite")) as catalogue:
        catalogue.execute("DROP TABLE words")
        catalogue.execute("CREATE TABLE words (text)")
        catalogue.commit()
    with pytest.raises(CollectionDamaged, match="unexpected table words"):
        retrieval.Collection.open(path)
