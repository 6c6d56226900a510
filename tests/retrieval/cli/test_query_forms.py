"""Every form in which a query can be written, held against the same query through Python."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import retrieval
from retrieval.query.parts import ImagePart, TextPart
from tests.command_line import Run
from tests.loopback import Server, server_on_loopback


@pytest.fixture(autouse=True)
def beside_the_photos(
    collection: Path, indexed_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The working folder: copies of the indexed pictures, one of them called sunset.jpg."""
    here = tmp_path / "here"
    here.mkdir()
    for photo in indexed_photos.glob("*.png"):
        shutil.copy(photo, here)
    shutil.copy(indexed_photos / "red.png", here / "sunset.jpg")  # a PNG by content, which is what counts
    with tarfile.open(here / "train-000.tar", "w") as tar:
        tar.add(here / "green.png", "0001 a.png")
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def server(indexed_photos: Path) -> Iterator[Server]:
    with server_on_loopback() as running:
        running.files |= {photo.name: photo.read_bytes() for photo in indexed_photos.glob("*.png")}
        yield running


def scores(run: Run, *arguments: str) -> list[tuple[str, float]]:
    done = run("query", "--json", "--allow-private", *arguments)
    assert done.exit_code == 0, done.output
    return [(hit["uri"], hit["score"]) for hit in map(json.loads, done.stdout.splitlines())]


def test_words_less_words_and_a_weighted_picture(run: Run, collection: Path) -> None:
    with retrieval.open(collection) as engine:
        parts: list[retrieval.Queryable] = [
            TextPart("a red square"),
            TextPart("green", -1),
            ImagePart(Path("sunset.jpg"), 2),
        ]
        expected = [(hit.uri, hit.score) for hit in engine.search(parts)]

    assert len(expected) == 3
    assert scores(run, "a red square", "--", "-green", "2:./sunset.jpg") == expected
    assert scores(run, "a red square", "--subtract", "green", "--add", "2:./sunset.jpg") == expected
    assert scores(run, "--add", "2:./sunset.jpg", "--subtract", "green", "a red square") == expected


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (["2:red", "2:green"], ["red", "green"]),
        (["2:red"], ["red"]),
        ([".5:red", "--subtract", ".5:./green.png"], ["red", "--subtract", "green.png"]),
        (["image:sunset.jpg"], ["./sunset.jpg"]),
        (["./red.png"], ["sunset.jpg"]),
        (["train-000.tar#0001 a.png"], ["./green.png"]),
        (["  red "], ["red"]),
    ],
)
def test_two_ways_to_write_one_query(run: Run, written: list[str], same: list[str]) -> None:
    found, expected = scores(run, *written), scores(run, *same)

    assert [uri for uri, _ in found] == [uri for uri, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-6)


def test_a_url_is_a_picture(run: Run, server: Server) -> None:
    assert scores(run, f"{server.url}/red.png") == scores(run, "./red.png")
    assert scores(run, f"2:{server.url}/red.png", "red") == scores(run, "2:./red.png", "red")


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("nothing.png", "the server answered 404"),
        ("cut-off", "the download failed"),
        ("loop", "the download failed"),
        ("page.html", "not a picture in a format that is read here"),
    ],
)
def test_a_url_that_gives_no_picture_is_a_sentence_that_names_it(
    run: Run, server: Server, path: str, sentence: str
) -> None:
    server.files["page.html"] = b"<html>not a picture</html>"

    done = run("query", "--allow-private", f"{server.url}/{path}")

    assert done.exit_code == 2
    assert sentence in done.stderr
    assert f"{server.url}/{path}" in done.stderr


def test_lines_of_a_file_are_queries_and_blank_ones_are_not(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "queries.txt"
    file.write_bytes("\ufeffred\r\n\r\n./sunset.jpg\t-green\r\n   \nimage:train-000.tar#0001 a.png".encode())

    done = run("query", "--from", file, "--json", "--find", "image", "-k", "2")

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["line"] for answer in answers] == [1, 3, 5]
    assert [answer["query"] for answer in answers][:2] == ["red", "./sunset.jpg\t-green"]
    alone = [
        scores(run, "--find", "image", "-k", "2", *query)
        for query in (["red"], ["./sunset.jpg", "--", "-green"], ["train-000.tar#0001 a.png"])
    ]
    assert [[(hit["uri"], hit["score"]) for hit in answer["hits"]] for answer in answers] == alone


def test_more_queries_than_a_batch_answer_in_their_order(run: Run) -> None:
    words = [("red", "green", "blue")[number % 3] + " square" * (number % 5) for number in range(70)]

    done = run("query", "--from", "-", "--json", "-k", "1", input="\n".join(words))

    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["line"] for answer in answers] == list(range(1, 71))
    assert [answer["query"] for answer in answers] == words


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"red\n./nothing.jpg\n", "queries.txt:2: there is no file nothing.jpg"),
        (b"red\n\xff\xfe\n", "queries.txt:2: the line is not UTF-8"),
        (b"red\t\tgreen\n", "queries.txt:1: the text of a query is empty"),
        (b"red\n0:green\n", "queries.txt:2: the weight"),
    ],
)
def test_a_fault_in_a_file_of_queries_names_its_line(
    run: Run, tmp_path: Path, data: bytes, sentence: str
) -> None:
    (tmp_path / "queries.txt").write_bytes(data)

    done = run("query", "--from", tmp_path / "queries.txt")

    assert done.exit_code == 2
    assert sentence in done.stderr


def test_a_file_without_queries_has_no_answers(run: Run, tmp_path: Path) -> None:
    (tmp_path / "queries.txt").write_bytes(b"\n \n")

    done = run("query", "--from", tmp_path / "queries.txt")

    assert (done.exit_code, done.stdout) == (0, "")


def test_equal_pictures_stand_in_the_order_in_which_they_came_and_distinct_shows_the_first(
    run: Run, model: Path, tmp_path: Path, indexed_photos: Path
) -> None:
    folder, place = tmp_path / "copies", ("--collection", tmp_path / "of-copies")
    folder.mkdir()
    for name in ("c", "a", "b"):
        shutil.copy(indexed_photos / "red.png", folder / f"{name}.png")
        assert run("index", folder, "--model", model, *place).exit_code == 0

    done, distinct = run("query", "red", *place), run("query", "red", "--distinct", *place)

    assert [Path(line).name for line in done.stdout.splitlines()] == ["c.png", "a.png", "b.png"]
    assert [Path(line).name for line in distinct.stdout.splitlines()] == ["c.png"]


def test_an_empty_collection_says_that_it_is_and_how_to_fill_it(
    run: Run, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "nothing").mkdir()
    place = ("--collection", tmp_path / "empty")
    run("index", tmp_path / "nothing", "--model", model, *place)

    done = run("query", "red", *place)

    assert done.exit_code == 1
    assert "is empty; fill it with: vlsearch index CORPUS" in " ".join(done.stderr.split())


def test_no_hit_is_ever_the_padding_of_faiss(run: Run) -> None:
    hits = scores(run, "red", "-k", "1000")

    assert len(hits) == 3
    assert all(-1.0001 <= score <= 1.0001 for _, score in hits)


def test_a_member_of_a_tar_that_was_indexed_is_found_and_can_be_a_query(
    run: Run, model: Path, tmp_path: Path, beside_the_photos: Path
) -> None:
    place = ("--collection", tmp_path / "of-a-tar")
    with tarfile.open("shard.tar", "w") as tar:
        for photo in sorted(beside_the_photos.glob("*.png")):
            tar.add(photo, photo.name)
            words = tarfile.TarInfo(f"{photo.stem}.txt")
            words.size = len(photo.stem)
            tar.addfile(words, io.BytesIO(photo.stem.encode()))
    assert run("index", "shard.tar", "--model", model, *place).exit_code == 0

    (found,) = run("query", "./red.png", "--find", "image", "-k", "1", *place).stdout.splitlines()
    again = run("query", found, "--find", "image", "-k", "1", *place).stdout.splitlines()

    assert found == f"{beside_the_photos / 'shard.tar'}#red.png"
    assert again == [found]
