"""More like these: items of the collection asked with by their stored vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import retrieval
from retrieval.errors import QueryError, UsageError
from retrieval.query.engine import SearchEngine
from retrieval.query.parts import ItemPart
from retrieval.query.searching import UNLIKE
from tests.builders import Fill, HashEncoder, collection_of, unit_rows
from tests.command_line import vlsearch

COLOURS = {f"{number:02}.png": (number * 12, 255 - number * 9, number * 5) for number in range(12)}


@pytest.fixture
def engine(fill: Fill, encoder: HashEncoder) -> Iterator[SearchEngine]:
    captions = {f"test:{number}": f"picture number {number}" for number in range(6)}
    with retrieval.open(fill(COLOURS, captions, [("03.png", "test:3")])) as opened:
        yield opened


def test_items_are_left_out_and_the_rest_is_ranked_as_by_the_sum_of_their_vectors(
    engine: SearchEngine,
) -> None:
    first, second = engine.search(ItemPart(1), k=2, find="image")
    parts = [ItemPart(first.id), ItemPart(second.id, -UNLIKE)]
    whole = engine.search(parts, k=12, find="image")
    expected = [(hit.id, hit.score) for hit in whole if hit.id not in (first.id, second.id)]

    found = engine.similar(first, unlike=[second], k=4)

    assert [(hit.id, hit.score) for hit in found] == expected[:4]
    assert [hit.rank for hit in found] == [1, 2, 3, 4]


@given(k=st.integers(1, 14), offset=st.integers(0, 14))
def test_pages_of_similar_items_are_cuts_of_one_ranking(
    similar_engine: SearchEngine, k: int, offset: int
) -> None:
    whole = similar_engine.similar(1, k=20)

    page = similar_engine.similar(1, k=k, offset=offset)

    assert page == whole[offset : offset + k]
    assert len(whole) == len(COLOURS) - 1


@pytest.fixture(scope="module")
def similar_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SearchEngine]:
    path = collection_of(tmp_path_factory.mktemp("similar") / "c", (list(COLOURS), unit_rows(len(COLOURS))))
    with retrieval.open(path) as opened:
        yield opened


def test_the_kind_wanted_is_that_of_the_first_item_unless_it_is_said(engine: SearchEngine) -> None:
    text = engine.search("picture number 3", k=1, find="text")[0]

    assert {hit.kind for hit in engine.similar(text, k=3)} == {"text"}
    assert {hit.kind for hit in engine.similar(text, k=3, find="image")} == {"image"}


def test_an_item_finds_by_its_id_what_it_finds_by_its_bytes(engine: SearchEngine, tmp_path: Path) -> None:
    item = engine.named(str(tmp_path / "03.png"))
    assert item is not None

    by_id = engine.search(ItemPart(item.id), k=5, find="image")

    assert by_id == engine.search(tmp_path / "03.png", k=5, find="image")
    assert by_id[0].id == item.id


def test_an_item_is_found_by_path_and_uri_and_nothing_else_is(engine: SearchEngine, tmp_path: Path) -> None:
    item = engine.named(str(tmp_path / "03.png"))

    assert item is not None
    assert engine.named(item.uri) == item
    assert engine.named(str(tmp_path / "no.png")) is None
    assert engine.named(str(tmp_path)) is None


@pytest.mark.parametrize("number", [0, -1, 99, 2**62])
def test_an_id_of_no_item_is_an_error_in_one_sentence(engine: SearchEngine, number: int) -> None:
    with pytest.raises(QueryError, match=f"has no item {number}, or hides it; ids stand in hits"):
        engine.similar(number)
    with pytest.raises(QueryError, match=f"has no item {number}"):
        engine.search(ItemPart(number))


def test_no_item_and_items_that_cancel_out_are_errors(engine: SearchEngine) -> None:
    with pytest.raises(QueryError, match="empty"):
        engine.similar()
    with pytest.raises(QueryError, match="cancel each other out"):
        engine.similar(1, unlike=[1, 1])
    with pytest.raises(UsageError):
        engine.similar(1, k=0)


@pytest.fixture
def photographs(tmp_path: Path, fill: Fill, encoder: HashEncoder) -> Path:
    return fill(COLOURS)


def test_the_command_finds_items_like_a_file_that_is_gone(photographs: Path, tmp_path: Path) -> None:
    file = tmp_path / "03.png"
    file.unlink()

    done = vlsearch("similar", file, "--paths", "-k", "3", "--collection", photographs)

    with retrieval.open(photographs) as engine:
        item = engine.named(str(file))
        assert item is not None
        expected = [hit.uri.rpartition("/")[2] for hit in engine.similar(item, k=3)]
    assert [Path(line).name for line in done.stdout.splitlines()] == expected
    assert done.exit_code == 0


def test_the_command_says_how_to_ask_with_a_picture_that_is_not_in_the_collection(photographs: Path) -> None:
    done = vlsearch("similar", "elsewhere.jpg", "--collection", photographs)

    assert done.exit_code == 2
    assert (
        "has no item elsewhere.jpg, or hides it; to ask with a picture that is not in it: vlsearch query"
        in done.stderr
    )
    assert len(done.stderr.splitlines()) == 1


def test_a_condition_narrows_down_what_similar_items_are_found(engine: SearchEngine) -> None:
    whole = engine.similar(1, k=20, find="image")
    names = ["02.png", "05.png", "11.png"]

    found = engine.similar(1, k=20, find="image", where='name in ("02.png", "05.png", "11.png")', sort="name")
    good = engine.similar(1, k=20, find="image", min_score=whole[3].score)

    assert [hit.uri.rpartition("/")[2] for hit in found] == names
    assert {hit.id: hit.score for hit in found}.items() <= {hit.id: hit.score for hit in whole}.items()
    assert good == whole[:4]
