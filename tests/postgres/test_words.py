"""Words on a server: the same items with the same scores as in the folder, to the last bit."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import indexer
from indexer.store.changes import Change, NewImageText
from indexer.store.writers import open_place
from retrieval import CollectionDamaged, CollectionError, FilterError, parse_where
from retrieval.collection import Collection, fulltext
from retrieval.collection.postgres.server_connection import connect
from retrieval.collection.postgres.server_schema import WORD_TABLES
from retrieval.collection.postgres.word_tokens import cut
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.types import KINDS
from tests.builders import HashEncoder, unit_rows
from tests.postgres_server import new_place, require_server

WORDS = (
    *("dog", "Dogs", "a", "snow", "Café", "cafe\u0301", "red-dog", "a_b", "3", "ø", "Straße", "½", "don't"),
    *("狗", "雪", "雪地", "大雪", "雪地里的猫", "\U00020bb7", "ひらがな", "강아지", "，", "。"),
    *("\u19b0", "\ufb01", "\u0e46", "x" * 3000, "the", "the", "the the"),
)
"""Words at which tokens, folding and indexes might differ; one is a letter for Python, and for FTS5 none."""

TEXTS = st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join)
ASKED = st.one_of(
    st.lists(st.one_of(st.sampled_from(WORDS), TEXTS.map('"{}"'.format)), min_size=1, max_size=4).map(
        " ".join
    ),
    st.text(max_size=20),
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Collection, Collection]]:
    """Images with random texts of both languages in a folder, and its copy on a server."""
    require_server()
    path, place, chance = tmp_path_factory.mktemp("words") / "c", new_place(), random.Random(1)
    with indexer.open_writer(path, model=HashEncoder()) as writer:
        for number in range(40):
            row = unit_rows(1, seed=number)[0]
            writer.add(
                f"p{number}", None, vector=row, attributes={"title": chance.choice(WORDS), "n": number}
            )
        for number in range(200):
            words = [*chance.choices(WORDS, k=chance.randrange(1, 14)), f"t{number // 2}"]
            text = " ".join(chance.sample(words, len(words)))
            writer.add(f"t{number}", text, describes=[f"p{number % 30}"])
    indexer.hide(path, ["p3", "t7", "t8"])
    indexer.copy_collection(path, place)
    with Collection.open(path) as folder, Collection.open(place) as server:
        yield folder, server


def found(collection: Collection, asked: str) -> Any:
    """Ids and scores of everything that words find, or what is said of them."""
    with collection.reading() as view:
        try:
            return [
                *(
                    view.search_words(asked, kind, any_word=any_word)
                    for kind in KINDS
                    for any_word in (False, True)
                ),
                view.search_words(asked, "image", parse_where("n > 10")),
                view.where(
                    "image", parse_where(f'words contains "{asked.replace(chr(34), chr(34) * 2)}"')
                ).tolist(),
                view.holds_all_words(range(1, 99, 7), asked),
                view.search_captions(asked),
                view.with_captions(range(1, 60)),
            ]
        except FilterError as error:
            return str(error)


@given(asked=ASKED)
@settings(max_examples=60)
@example(asked="dog \u19b0")
@example(asked="\u19b0")
@example(asked='"the the" the')
@example(asked='"3 the"')
@example(asked="dog dog snow")
@example(asked="x" * 900)
@example(asked="no such")
def test_words_find_the_same_items_with_the_same_scores(
    both: tuple[Collection, Collection], asked: str
) -> None:
    of_folder, of_server = (found(one, asked) for one in both)

    assert of_server == of_folder


@given(asked=ASKED)
@settings(max_examples=20)
def test_bounds_of_what_is_ranked_and_looked_for_are_the_same(
    both: tuple[Collection, Collection], asked: str
) -> None:
    with patch.object(fulltext, "MOST_RANKED", 20), patch.object(fulltext, "MOST_ANY", 30):
        of_folder, of_server = (found(one, asked) for one in both)

    assert of_server == of_folder


@given(texts=st.lists(st.one_of(TEXTS, st.text(max_size=40)), min_size=1, max_size=9), asked=ASKED)
@settings(max_examples=60)
def test_texts_are_cut_into_the_tokens_by_which_fts5_finds_them(texts: list[str], asked: str) -> None:
    documents = [fulltext.spaced(text) for text in texts]
    with closing(sqlite3.connect(":memory:")) as catalogue:
        catalogue.execute(fulltext.CREATE)
        catalogue.executemany("INSERT INTO words (rowid, text) VALUES (?, ?)", list(enumerate(documents)))
        for phrase in fulltext.phrases_of(asked):
            rows = catalogue.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid", (phrase,))
            [tokens] = cut([phrase])

            assert [number for (number,) in rows] == [
                number
                for number, held in enumerate(cut(documents))
                if tokens and any(held[at : at + len(tokens)] == tokens for at in range(len(held)))
            ]


def words_of(place: CollectionPlace, *asked: str) -> list[Any]:
    with Collection.open(place) as collection:
        return [found(collection, words) for words in asked]


def change(place: ServerAddress, *statements: str) -> None:
    connection = connect(place, 60)
    for statement in statements:
        connection.driver.execute(statement.encode())
    connection.close()


def test_words_are_those_that_items_have_after_every_kind_of_change(tmp_path: Path) -> None:
    require_server()
    asked = ("dog", "snow", "狗", "late words", "stop", "p1")
    for place in (tmp_path / "c", new_place()):
        with indexer.open_writer(place, model=HashEncoder()) as writer:
            for number in range(3):
                row = unit_rows(1, seed=number)[0]
                writer.upsert(f"p{number}", None, vector=row, attributes={"title": "dog"})
                writer.upsert(f"t{number}", f"a dog {number} 雪地里的狗", describes=[f"p{number}"])
        with indexer.open_writer(place, model=HashEncoder()) as writer:
            writer.upsert("t1", "snow and late words", describes=["p1"])
            writer.set_attributes("p0", {"title": "snow"})
            writer.delete("t2")
        with open_place(place) as rows:
            with rows.look_up() as connection:
                found_digest = connection.exec_driver_sql(
                    "SELECT sha256 FROM contents WHERE kind = 'image' LIMIT 1"
                )
                digest: bytes = found_digest.scalars().one()
            rows.commit_rows(Change(texts={(digest, "read"): NewImageText("reader 1", "STOP\nhere")}))
        assert indexer.doctor(place).faults == ()
        told = words_of(place, *asked)
        if isinstance(place, Path):
            expected = told
    assert told == expected
    assert all(any(one[:4]) for one in told[:5])


def test_a_collection_of_an_earlier_version_gets_its_words_from_the_first_writer(
    both: tuple[Collection, Collection],
) -> None:
    place = new_place()
    indexer.copy_collection(both[0].path, place)
    change(place, f"DROP TABLE {', '.join(WORD_TABLES)}", "DELETE FROM migrations WHERE number = 2")
    with Collection.open(place) as opened:
        with opened.reading() as view:
            assert view.search_captions("dog") == []
            with pytest.raises(CollectionError, match=r"no index of words yet.*vlsearch optimize"):
                view.search_words("dog", "image")
        assert indexer.doctor(place).faults == ()

        indexer.accelerate(place)

        assert found(opened, "dog") == found(both[0], "dog")
    assert indexer.doctor(place).faults == ()


def test_the_doctor_finds_and_repairs_words_that_items_do_not_have(
    both: tuple[Collection, Collection],
) -> None:
    place = new_place()
    indexer.copy_collection(both[0].path, place)
    before = words_of(place, "dog", "雪地", "the")
    for statements, faults in (
        (
            [
                "UPDATE item_words SET tokens = tokens[2:] WHERE item_id = 50",
                "DELETE FROM item_words WHERE item_id IN (60, 61)",
                "INSERT INTO item_words VALUES (9999, '{1}'), (9998, '{}')",
                "DELETE FROM word_totals",
            ],
            [
                "5 items are found by other words than they have",
                "the numbers of all words are not those of its items",
            ],
        ),
        (["UPDATE word_tokens SET token = 'cat' WHERE token = '狗'"], ["items are found by other words"]),
        (["UPDATE item_words SET tokens = '{1,NULL}' WHERE item_id = 50"], ["not a list of tokens"]),
        (["UPDATE item_words SET tokens = '{{1,2},{3,4}}' WHERE item_id = 50"], ["not a list of tokens"]),
    ):
        change(place, *statements)

        repaired = indexer.doctor(place, repair=True)

        assert [fault in one for fault, one in zip(faults, repaired.repaired, strict=True)] == [True] * len(
            faults
        )
        assert repaired.faults == ()
    assert words_of(place, "dog", "雪地", "the") == before


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM word_totals",
        "UPDATE item_words SET tokens = tokens || NULL::integer",
        "ALTER TABLE item_words ALTER item_id TYPE text; UPDATE item_words SET item_id = 'x' || item_id",
    ],
)
def test_words_that_no_writer_writes_are_a_sentence(
    both: tuple[Collection, Collection], statement: str
) -> None:
    place = new_place()
    indexer.copy_collection(both[0].path, place)
    change(place, statement)

    with Collection.open(place) as opened, pytest.raises(CollectionDamaged), opened.reading() as view:
        view.search_words("dog", "text")


def test_where_sqlite_has_no_fts5_words_are_refused_and_nothing_is_written(
    both: tuple[Collection, Collection], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_place()
    indexer.copy_collection(both[0].path, place)
    for module in ("retrieval.collection.fulltext", "indexer.store.postgres.token_rows"):
        monkeypatch.setattr(f"{module}.has_fts5", lambda connection: False)

    with Collection.open(place) as opened, opened.reading() as view:
        assert view.search_captions("dog") == []
        with pytest.raises(CollectionError, match="lacks FTS5"):
            view.search_words("dog", "text")
    for write in (lambda: indexer.hide(place, ["p1"]), lambda: indexer.copy_collection(place, new_place())):
        with pytest.raises(CollectionError, match=r"cannot keep \(it lacks FTS5\)"):
            write()


def test_a_copy_back_has_the_words_of_the_original(
    both: tuple[Collection, Collection], tmp_path: Path
) -> None:
    indexer.copy_collection(both[1].path, tmp_path / "back")

    assert indexer.doctor(tmp_path / "back").faults == ()
    with Collection.open(tmp_path / "back") as back:
        for asked in ("dog", "雪地", '"the the"'):
            assert found(back, asked) == found(both[0], asked)
