"""What texts exclude, in English and Chinese: what is read so, what is not, and that plain texts never change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval
from retrieval.query import without
from retrieval.query.parts import ImagePart, Query, TextPart
from retrieval.query.without import MOST_CHARACTERS, WEIGHT, read_query, read_text
from tests.builders import Fill, HashEncoder
from tests.command_line import vlsearch

READ = [
    ("a dog without a ball", "a dog", "a ball"),
    ("A street without cars.", "A street", "cars"),
    ("beach, no people", "beach", "people"),
    ("a beach but not people", "a beach", "people"),
    ("a cat and no dog", "a cat", "dog"),
    ("man with no shirt", "man", "shirt"),
    ("dogs except for poodles", "dogs", "poodles"),
    ("a man not wearing a hat", "a man", "wearing a hat"),
    ("a man who is not wearing a hat", "a man", "wearing a hat"),
    ("a man who isn't wearing a hat", "a man", "wearing a hat"),
    ("a cake, not a pie", "a cake", "a pie"),
    ("children playing without adults or dogs", "children playing", "adults", "dogs"),
    ("a garden without trees, fences and dogs", "a garden", "trees", "fences", "dogs"),
    ("a dog without a leash on the beach", "a dog on the beach", "a leash"),
    ("a dog with no ball in its mouth", "a dog", "ball in its mouth"),
    ("no people", "a photo", "people"),
    ("without any people", "a photo", "people"),
    ("nobody on the beach", "the beach", "people"),
    ("没有汽车的街道", "街道", "汽车"),
    ("沒有汽車的街道", "街道", "汽車"),
    ("一条没有汽车的街道", "一条街道", "汽车"),
    ("没有红色的车的街道", "街道", "红色的车"),
    ("无人的海滩", "海滩", "人"),
    ("空无一人的街道", "街道", "人"),
    ("街道上空无一人", "街道", "人"),
    ("海滩上没有人", "海滩", "人"),
    ("一只狗，但没有球", "一只狗", "球"),
    ("街道，不带汽车", "街道", "汽车"),
    ("一个不戴帽子的男人", "一个男人", "戴帽子"),
    ("男人没有戴帽子", "男人", "戴帽子"),
    ("除了狗以外的动物", "动物", "狗"),
    ("小孩在玩耍，没有大人和狗", "小孩在玩耍", "大人", "狗"),
    ("没有狗也没有猫的草地", "草地", "狗", "猫"),
    ("没有人", "一张照片", "人"),
]

PLAIN = [
    "a dog in the snow", "a man with a hat", "nothing but sand", "a knot of people",
    "Notre Dame at night", "no parking sign", "a no smoking sign", "a room without a doubt",
    "a dog without", "not a dog", "the without", "a sign that says \"no dogs\"",
    "two dogs and one cat", "snow", "noodles", "a beach", "north face", "not only dogs",
    "无人机的照片", "无线电", "穿红衣服的女孩", "有没有狗", "独一无二的花", "不错的风景", "无花果",
    "雪地里的狗", "no", "", "  ", "没有", "的", "无",
]  # fmt: skip


@pytest.mark.parametrize(("text", "reading"), [(text, tuple(rest)) for text, *rest in READ])
def test_what_a_text_excludes_is_told_from_what_it_asks_for(text: str, reading: tuple[str, ...]) -> None:
    found = read_text(text)

    assert (found.wanted, *found.unwanted) == reading


@pytest.mark.parametrize("text", PLAIN)
def test_a_text_that_excludes_nothing_is_never_changed(text: str) -> None:
    found = read_text(text)

    assert (found.wanted, found.unwanted) == (text, ())


_WORD = st.sampled_from(
    ["a", "dog", "snow", "red", "man", "on", "in", "the", "狗", "雪地", "的", "和", "with", "hat"]
)
_WORDS = st.lists(_WORD, min_size=1, max_size=12)


@given(_WORDS)
def test_no_text_without_a_word_of_exclusion_is_changed(words: list[str]) -> None:
    text = " ".join(words)

    assert read_text(text).wanted == text


@given(st.text(max_size=400))
def test_any_text_is_read_without_error_into_texts_that_can_be_asked(text: str) -> None:
    found = read_text(text)

    assert found.unwanted or found.wanted == text
    for one in found.unwanted:
        TextPart(found.wanted)
        TextPart(one)


@pytest.mark.parametrize("unit", ["no ", "without a ", "没有", "not a ", ", ", "的", " who is"])
def test_a_long_text_is_taken_as_it_is(unit: str) -> None:
    text = "a " + unit * MOST_CHARACTERS

    assert read_text(text).wanted == text
    read_text(
        ("a " + unit * MOST_CHARACTERS)[:MOST_CHARACTERS]
    )  # and a text of the limit's length takes no time


def test_wanted_texts_of_a_sum_are_read_and_nothing_else_is() -> None:
    picture = ImagePart(Path("without people.jpg"))
    avoided = TextPart("a beach without people", -1)

    read, readings = read_query(Query((TextPart("a dog without a ball", 2), picture, avoided)))

    assert read.parts == (TextPart("a dog", 2), TextPart("a ball", -2 * WEIGHT), picture, avoided)
    assert [str(reading) for reading in readings] == ['"a dog" without "a ball"']


def test_a_plain_query_comes_back_as_the_same_object() -> None:
    query = Query.of(["a dog", Path("x.jpg")])

    assert read_query(query) == (query, [])
    assert read_query(query)[0] is query


def test_an_engine_subtracts_what_is_excluded_unless_texts_are_literal(
    fill: Fill, encoder: HashEncoder
) -> None:
    captions = {"test:1": "a dog", "test:2": "a ball", "test:3": "a dog and a ball", "test:4": "snow"}
    sentence = "a dog without a ball"

    with retrieval.open(fill({}, captions), encoder=encoder) as engine:
        read = engine.search(sentence, k=4)
        summed = engine.search([TextPart("a dog"), TextPart("a ball", -WEIGHT)], k=4)
        literal = engine.search(sentence, k=4, literal=True)
        batch = engine.search_batch([sentence, "snow"], k=4)

    assert read == summed == batch[0]
    rows = encoder.encode_texts([hit.text or "" for hit in literal])
    assert np.allclose([hit.score for hit in literal], rows @ encoder.encode_texts([sentence])[0], atol=1e-6)


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("captions")
    (folder / "captions.txt").write_text("a dog\na ball\n", encoding="utf-8")
    done = vlsearch("index", folder / "captions.txt", "--collection", folder / "c")
    assert done.exit_code == 0, done.stderr
    return folder / "c"


def test_the_command_line_tells_how_it_read_a_query(captions: Path) -> None:
    told = vlsearch("query", "a dog without a ball", "--collection", captions)
    silent = vlsearch("query", "a dog without a ball", "--literal", "--collection", captions)

    assert told.stderr == 'Note: read as "a dog" without "a ball"; --literal takes the words as they are\n'
    assert silent.stderr == ""
    assert told.stdout.split("\n")[0] == "a dog"


WORDS = [
    "a",
    "dog",
    "ball",
    "snow",
    "no",
    "not",
    "nobody",
    "n't",
    "isn't",
    "without",
    "any",
    "with",
    "neither",
    "except",
    "excluding",
    "free",
    "of",
    "on",
    "in",
    "piano",
    ",",
    "but",
    "and",
]
CHARACTERS = "狗雪球的没有沒不带戴人无一空除了外，。上"


@given(words=st.lists(st.sampled_from(WORDS), max_size=8), characters=st.text(CHARACTERS, max_size=12))
def test_texts_that_are_passed_over_for_want_of_a_sign_exclude_nothing(
    words: list[str], characters: str
) -> None:
    for text, read in ((" ".join(words), without._read_english), (characters, without._read_chinese)):
        found = read(text) if text else None

        if found is not None and found.unwanted:
            assert read_text(text).unwanted
