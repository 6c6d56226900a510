"""Queries in, hits out, over real collections and an encoder that hashes."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import indexer
import retrieval
from retrieval.collection.score import exact_scores
from retrieval.errors import (
    CollectionError,
    CollectionNotFound,
    IdentityMismatch,
    QueryError,
    UsageError,
)
from retrieval.query.compose import compose
from retrieval.query.engine import SearchEngine
from retrieval.query.parts import ImagePart, Query, Queryable, TextPart
from retrieval.types import Hit, Limits
from retrieval.uris import file_uri
from tests.builders import Fill, HashEncoder

COLOURS = {f"{number:02}.png": (number * 12, 255 - number * 9, number * 5) for number in range(20)}
CAPTIONS = {f"test:{number}": f"picture number {number}" for number in range(20)}


@pytest.fixture
def engine(fill: Fill, encoder: HashEncoder) -> Iterator[SearchEngine]:
    with retrieval.open(
        fill(COLOURS, CAPTIONS, [("03.png", "test:3"), ("03.png", "test:4")]), encoder=encoder
    ) as opened:
        yield opened


@pytest.fixture
def pictures_only(fill: Fill, encoder: HashEncoder) -> Iterator[SearchEngine]:
    with retrieval.open(fill(COLOURS), encoder=encoder) as opened:
        yield opened


def names(hits: Sequence[Hit]) -> list[str]:
    return [Path(hit.uri).name for hit in hits]


def test_hits_are_the_brute_force_ranking_to_the_last_bit(
    engine: SearchEngine, encoder: HashEncoder, tmp_path: Path
) -> None:
    rows = np.stack([encoder.encode_images([Image.open(tmp_path / name)])[0] for name in COLOURS])
    scores = exact_scores(rows, encoder.encode_texts(["a dog"])[0])
    order = np.argsort(-scores, kind="stable")

    hits = engine.search("a dog", k=20)

    assert names(hits) == [list(COLOURS)[place] for place in order]
    assert [hit.score for hit in hits] == scores[order].tolist()
    assert [hit.rank for hit in hits] == list(range(1, 21))


def test_a_sum_is_ranked_by_the_composed_vector(
    engine: SearchEngine, encoder: HashEncoder, tmp_path: Path
) -> None:
    picture = tmp_path / "05.png"
    vectors = np.stack([encoder.encode_texts(["beach"])[0], encoder.encode_images([Image.open(picture)])[0]])
    rows = np.stack([encoder.encode_images([Image.open(tmp_path / name)])[0] for name in COLOURS])
    scores = exact_scores(rows, compose(vectors, [1, -2]))

    hits = engine.search(["beach", ImagePart(picture, -2)], k=20)

    assert names(hits) == [list(COLOURS)[place] for place in np.argsort(-scores, kind="stable")]


def test_words_find_pictures(engine: SearchEngine) -> None:
    assert {hit.kind for hit in engine.search("picture number 3")} == {"image"}


def test_a_picture_finds_captions_where_there_are_any(engine: SearchEngine, tmp_path: Path) -> None:
    assert {hit.kind for hit in engine.search(tmp_path / "03.png")} == {"text"}


def test_a_picture_finds_pictures_where_there_are_no_captions(
    pictures_only: SearchEngine, tmp_path: Path
) -> None:
    hits = pictures_only.search(tmp_path / "03.png")

    assert names(hits)[0] == "03.png"
    assert hits[0].score == pytest.approx(1, abs=1e-6)


def test_a_sum_of_words_and_pictures_finds_pictures(engine: SearchEngine, tmp_path: Path) -> None:
    assert {hit.kind for hit in engine.search(["dogs", tmp_path / "03.png"])} == {"image"}


def test_words_find_texts_where_there_are_no_pictures(fill: Fill, encoder: HashEncoder) -> None:
    with retrieval.open(fill(texts=CAPTIONS), encoder=encoder) as engine:
        assert engine.search("picture number 3")[0].text == "picture number 3"


def test_find_overrides_the_direction(engine: SearchEngine, tmp_path: Path) -> None:
    assert engine.search("picture number 3", find="text")[0].text == "picture number 3"
    assert names(engine.search(tmp_path / "03.png", find="image"))[0] == "03.png"


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda engine: engine.search("a", find="picture"), "find is 'picture'"),
        (lambda engine: list(engine.items("x")), "the kind is 'x'"),
        (lambda engine: engine.facets(["folder"], kind="x"), "the kind is 'x'"),
        (lambda engine: engine.map("x"), "the kind is 'x'"),
        (lambda engine: engine.map(method="x"), "the method is 'x'"),
        (lambda engine: engine.duplicates(classes=["x"]), "'x' is no class of duplicates"),
        (lambda engine: engine.duplicates(within_s=float("nan")), "nan seconds apart"),
    ],
)
def test_a_choice_that_there_is_not_is_a_sentence(
    engine: SearchEngine, ask: Callable[[SearchEngine], object], sentence: str
) -> None:
    with pytest.raises(UsageError, match=sentence):
        ask(engine)


def test_one_class_of_duplicates_may_be_named_by_itself(engine: SearchEngine) -> None:
    one: Any = "bytes"
    assert engine.duplicates(classes=one) == engine.duplicates(classes=["bytes"])


def test_finding_a_kind_that_the_collection_lacks_says_so(pictures_only: SearchEngine) -> None:
    with pytest.raises(QueryError, match="no texts"):
        pictures_only.search("dogs", find="text")


def test_equal_words_are_equal_queries_whatever_their_unicode_form(engine: SearchEngine) -> None:
    composed, decomposed = "caf\u00e9", " cafe\u0301 "

    assert engine.search(composed) == engine.search(decomposed)


def test_hits_carry_the_captions_linked_to_a_picture(engine: SearchEngine, tmp_path: Path) -> None:
    (hit,) = engine.search(tmp_path / "03.png", k=1, find="image")

    assert [caption.text for caption in hit.captions] == ["picture number 3", "picture number 4"]


def test_more_hits_than_there_are_items_are_all_items(engine: SearchEngine) -> None:
    assert len(engine.search("dogs", k=1000)) == 20


def test_distinct_gives_equal_pictures_once(fill: Fill, encoder: HashEncoder) -> None:
    path = fill({"a.png": (1, 2, 3), "b.png": (1, 2, 3), "c.png": (9, 9, 9)})
    with retrieval.open(path, encoder=encoder) as engine:
        assert len(engine.search("dogs")) == 3
        assert len(engine.search("dogs", distinct=True)) == 2


def test_a_batch_gives_each_query_what_it_gets_alone(engine: SearchEngine, tmp_path: Path) -> None:
    queries: list[Query | Queryable | list[Queryable]] = [
        "dogs",
        tmp_path / "03.png",
        ["dogs", TextPart("cats", -0.5)],
        "dogs",
        Query((TextPart("x", 2),)),
    ]

    assert engine.search_batch(queries, k=5) == [engine.search(query, k=5) for query in queries]


def test_a_batch_encodes_equal_texts_and_named_pictures_once(
    engine: SearchEngine, encoder: HashEncoder, tmp_path: Path
) -> None:
    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "new.png")

    engine.search_batch(["dogs", ["dogs", "cats"], tmp_path / "new.png", tmp_path / "new.png"])

    assert sum(isinstance(content, str) for content in encoder.encoded) == 2
    assert len(encoder.encoded) == 3


def test_an_empty_batch_has_no_answers(engine: SearchEngine) -> None:
    assert engine.search_batch([]) == []


def test_a_fault_in_a_batch_names_its_query(engine: SearchEngine, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"^query 2: .*missing\.jpg"):
        engine.search_batch(["dogs", tmp_path / "missing.jpg"])
    with pytest.raises(QueryError, match=r"^query 3: .*empty"):
        engine.search_batch(["dogs", "cats", " "])


def test_opening_and_counting_load_no_encoder(fill: Fill) -> None:
    with retrieval.open(fill(COLOURS), encoder="a model that does not exist") as engine:
        assert engine.info().images == 20


def test_another_encoder_is_refused_with_both_names(
    fill: Fill, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    with retrieval.open(fill(COLOURS), encoder=other_encoder) as engine:
        with pytest.raises(IdentityMismatch) as caught:
            engine.search("dogs")
        assert (caught.value.bound, caught.value.given) == ("hash", "other")


def test_an_encoder_under_another_name_with_equal_weights_is_the_same(
    fill: Fill, encoder: HashEncoder
) -> None:
    twin = type(encoder)(name="/elsewhere/hash")
    with retrieval.open(fill(COLOURS), encoder=twin) as engine:
        assert len(engine.search("dogs", k=3)) == 3


@pytest.mark.parametrize("k", [0, -1])
def test_asking_for_less_than_one_hit_is_a_usage_error(engine: SearchEngine, k: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        engine.search("dogs", k=k)


def test_an_empty_collection_says_so(fill: Fill, encoder: HashEncoder) -> None:
    path = fill()
    with retrieval.open(path, encoder=encoder) as engine, pytest.raises(CollectionError, match="is empty"):
        engine.search("dogs")


def test_a_collection_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(CollectionNotFound):
        retrieval.open(tmp_path / "nothing")


def test_a_pictures_path_that_is_not_there_says_so(engine: SearchEngine, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match=r"there is no file .*nothing\.jpg"):
        engine.search(tmp_path / "nothing.jpg")


def test_a_folder_is_no_picture(engine: SearchEngine, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="is a folder"):
        engine.search(tmp_path)


def test_a_picture_that_cannot_be_decoded_says_why(engine: SearchEngine, tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture at all")

    with pytest.raises(QueryError, match=r"broken\.jpg: "):
        engine.search(tmp_path / "broken.jpg")


def test_a_picture_beyond_the_limits_is_refused(fill: Fill, encoder: HashEncoder, tmp_path: Path) -> None:
    engine = retrieval.open(fill(COLOURS), encoder=encoder, limits=Limits(pixels=10))

    Image.new("RGB", (8, 8), (1, 2, 3)).save(tmp_path / "new.png")

    with engine, pytest.raises(QueryError, match=r"new\.png: "):
        engine.search(tmp_path / "new.png")


def test_one_picture_is_one_query_by_path_uri_bytes_pil_or_tar_member(
    engine: SearchEngine, tmp_path: Path
) -> None:
    path = tmp_path / "03.png"
    with tarfile.open(tmp_path / "a b.tar", "w") as tar:
        member = tarfile.TarInfo("photos/#3.png")
        member.size = path.stat().st_size
        tar.addfile(member, io.BytesIO(path.read_bytes()))
    same: list[Queryable] = [
        path.read_bytes(),
        Image.open(path),
        ImagePart(file_uri(path)),
        ImagePart(file_uri(tmp_path / "a b.tar", "photos/#3.png")),
    ]

    answers = engine.search_batch(same, k=5, find="image")

    assert all(answer == engine.search(path, k=5, find="image") for answer in answers)


def test_a_tar_or_member_that_is_not_there_says_so(engine: SearchEngine, tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with tarfile.open(tmp_path / "good.tar", "w"):
        pass
    for archive, fault in [
        ("none.tar", "no file"),
        ("bad.tar", "uncompressed tar"),
        ("good.tar", "no member"),
    ]:
        with pytest.raises(QueryError, match=fault):
            engine.search(ImagePart(file_uri(tmp_path / archive, "a.jpg")))


def test_many_threads_get_the_same_answers(engine: SearchEngine, tmp_path: Path) -> None:
    queries = [f"query {number}" for number in range(40)]
    expected = [engine.search(query) for query in queries]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(engine.search, queries)) == expected


def test_a_collection_re_encoded_meanwhile_is_never_searched_with_the_old_encoder(
    fill: Fill, encoder: HashEncoder, other_encoder: HashEncoder
) -> None:
    path = fill(COLOURS)
    with retrieval.open(path, encoder=encoder) as engine:
        engine.search("dogs")
        indexer.reindex(path, other_encoder)

        with pytest.raises(IdentityMismatch):
            engine.search("dogs")
