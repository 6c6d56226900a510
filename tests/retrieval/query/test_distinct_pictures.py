"""Each picture once: copies in other files are folded into the best hit; as many hits come as there are pictures."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageOps

import indexer
import retrieval
from retrieval.duplicates import print_cache
from retrieval.query import distinct_pictures
from retrieval.types import Distinct, Hit
from tests.command_line import Run
from tests.photographs import PixelEncoder, photograph

ORIGINALS = 6


def edits(number: int) -> dict[str, Image.Image]:
    """Pictures of one motif: the first three have two edited copies each."""
    original = photograph(number)
    if number >= ORIGINALS // 2:
        return {f"{number}.jpg": original}
    return {
        f"{number}.jpg": original,
        f"{number}-small.jpg": original.resize((160, 120)),
        f"{number}-mirrored.jpg": ImageOps.mirror(original),
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies")
    (folder / "pictures").mkdir()
    for number in range(ORIGINALS):
        for name, image in edits(number).items():
            image.save(folder / "pictures" / name, quality=90)
    shutil.copy(folder / "pictures/0.jpg", folder / "pictures/0-equal.jpg")
    indexer.build(folder / "pictures", folder / "collection", model=PixelEncoder())
    return folder


@pytest.fixture
def collection(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VLSEARCH_QUERY_CACHE", str(tmp_path / "cache"))
    shutil.copytree(made / "collection", tmp_path / "collection")
    return tmp_path / "collection"


@pytest.fixture
def engine(collection: Path) -> Iterator[retrieval.SearchEngine]:
    with retrieval.open(collection, encoder=PixelEncoder()) as opened:
        yield opened


def name(hit: Hit) -> str:
    return hit.uri.rpartition("/")[2]


def motif(hit: Hit) -> str:
    return name(hit)[0]


def search(
    engine: retrieval.SearchEngine, k: int = 50, distinct: Distinct = "picture", offset: int = 0
) -> retrieval.Hits:
    query = retrieval.ItemPart(next(hit.id for hit in engine.items() if hit.uri.endswith("/2.jpg")))
    return engine.search(query, k=k, find="image", distinct=distinct, offset=offset)


def first_of_each(hits: list[Hit]) -> list[tuple[int, float]]:
    seen: dict[str, Hit] = {}
    for hit in hits:
        seen.setdefault(motif(hit), hit)
    return [(hit.id, hit.score) for hit in seen.values()]


def test_each_picture_comes_once_as_its_best_hit_with_the_same_score(engine: retrieval.SearchEngine) -> None:
    whole = search(engine, distinct=True)
    assert len(whole) == ORIGINALS + 6
    assert len(search(engine, distinct=False)) == ORIGINALS + 7  # with the equal file

    hits = search(engine)

    assert [(hit.id, hit.score) for hit in hits] == first_of_each(whole)
    assert [hit.rank for hit in hits] == list(range(1, ORIGINALS + 1))


@pytest.mark.parametrize("k", [1, 2, 4, 6, 9])
def test_as_many_hits_come_as_there_are_pictures_and_pages_join(
    engine: retrieval.SearchEngine, k: int
) -> None:
    whole = [hit.id for hit in search(engine)]

    assert [hit.id for hit in search(engine, k)] == whole[:k]
    assert [hit.id for hit in search(engine, k, offset=2)] == whole[2 : 2 + k]
    joined, cursor = list[int](), None
    query = retrieval.ItemPart(next(hit.id for hit in engine.items() if hit.uri.endswith("/2.jpg")))
    while True:
        page = engine.search(query, k=k, find="image", distinct="picture", cursor=cursor)
        assert [hit.rank for hit in page] == list(range(len(joined) + 1, len(joined) + 1 + len(page)))
        joined += [hit.id for hit in page]
        cursor = page.cursor
        if cursor is None:
            break
    assert joined == whole


def test_words_and_both_rankings_fold_copies_too(engine: retrieval.SearchEngine) -> None:
    for mode in ("words", "hybrid"):
        whole = engine.search("jpg", k=50, find="image", mode=mode, distinct=True)
        hits = engine.search("jpg", k=50, find="image", mode=mode, distinct="picture")

        assert [(hit.id, hit.score) for hit in hits] == first_of_each(whole)
        assert len(hits) == ORIGINALS


def test_pictures_that_are_to_be_kept_are_both_given(
    engine: retrieval.SearchEngine, collection: Path, made: Path
) -> None:
    indexer.keep(collection, [str(made / "pictures" / one) for one in ("1.jpg", "1-small.jpg")])

    names = [name(hit) for hit in search(engine)]

    assert {"1.jpg", "1-small.jpg"} <= set(names) or "1-mirrored.jpg" in names
    assert len(names) == ORIGINALS + ("1-mirrored.jpg" not in names)


def test_fingerprints_are_kept_and_then_no_file_is_read(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [hit.id for hit in search(engine)]
    assert len(print_cache.find_fingerprints(_digests(engine))) == ORIGINALS + 6
    monkeypatch.setattr(distinct_pictures, "make_fingerprints", None)

    assert [hit.id for hit in search(engine)] == first


def _digests(engine: retrieval.SearchEngine) -> set[bytes]:
    with engine.collection.reading() as view:
        return {row.sha256 for page in view.pages("image") for row in page}


def test_only_as_many_pictures_are_looked_at_as_a_page_needs(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct_pictures, "_MORE", 0)

    search(engine, k=2)

    assert 2 <= len(print_cache.find_fingerprints(_digests(engine))) < ORIGINALS + 6


@pytest.mark.parametrize(("bound", "value"), [("MOST_LOOKED_AT", 0), ("LOOK_SECONDS", 0.0)])
def test_pictures_beyond_the_bounds_count_as_different(
    engine: retrieval.SearchEngine, monkeypatch: pytest.MonkeyPatch, bound: str, value: float
) -> None:
    monkeypatch.setattr(distinct_pictures, bound, value)

    assert [hit.id for hit in search(engine)] == [hit.id for hit in search(engine, distinct=True)]


def test_a_picture_whose_file_is_gone_or_has_changed_counts_as_different(tmp_path: Path) -> None:
    for one, image in edits(0).items():
        (tmp_path / "pictures").mkdir(exist_ok=True)
        image.save(tmp_path / "pictures" / one, quality=90)
    indexer.build(tmp_path / "pictures", tmp_path / "collection", model=PixelEncoder())
    (tmp_path / "pictures/0-small.jpg").unlink()
    photograph(9).save(tmp_path / "pictures/0-mirrored.jpg")

    with retrieval.open(tmp_path / "collection", encoder=PixelEncoder()) as engine:
        hits = engine.search(retrieval.ItemPart(1), find="image", distinct="picture")

    assert len(hits) == 3


def test_texts_count_as_with_equal_contents(tmp_path: Path) -> None:
    with indexer.open_writer(tmp_path / "c", model=PixelEncoder()) as writer:
        for number in range(4):
            writer.add(f"{number}", f"text {number % 2}")
    with retrieval.open(tmp_path / "c", encoder=PixelEncoder()) as engine:
        assert [hit.id for hit in engine.search("x", distinct="picture")] == [
            hit.id for hit in engine.search("x", distinct=True)
        ]


def test_another_value_is_refused(engine: retrieval.SearchEngine) -> None:
    with pytest.raises(retrieval.UsageError, match="choose True, False or 'picture'"):
        search(engine, distinct="moment")  # type: ignore[arg-type]


# The command line


@pytest.mark.parametrize(
    ("option", "count"),
    [((), 13), (("--distinct",), 12), (("--distinct=content",), 12), (("--distinct=picture",), 6)],
)
def test_the_option_takes_a_value_behind_an_equals_sign_alone(
    run: Run, collection: Path, made: Path, option: tuple[str, ...], count: int
) -> None:
    picture = str(made / "pictures/2.jpg")
    arguments = ["--collection", str(collection), "-k", "50"]

    for place in ([*option, picture], [picture, *option]):
        done = run("query", *place, "--find", "image", *arguments)
        assert done.exit_code == 0, done.output
        assert len(done.stdout.splitlines()) == count
    liked = run("similar", *option, picture, *arguments)
    assert len(liked.stdout.splitlines()) == count - 1


def test_another_value_of_the_option_is_a_mistake(run: Run, collection: Path) -> None:
    done = run("query", "--distinct=moment", "x", "--collection", collection)

    assert done.exit_code == 2
    assert "picture" in done.stderr


def test_behind_two_hyphens_it_is_a_part_of_the_query(run: Run, collection: Path) -> None:
    done = run("query", "--collection", collection, "--", "--distinct")

    assert done.exit_code == 2
    assert "the sign in '--distinct' stands in the wrong place" in done.stderr
