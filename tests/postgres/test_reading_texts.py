"""Text in the pictures of a collection on a server: read, kept and found as in a folder."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import indexer
from indexer.text_recognition import TextReading
from retrieval.collection import Collection
from retrieval.errors import CollectionLocked, CollectionNotFound
from retrieval.places import CollectionPlace
from tests.builders import HashEncoder, draw
from tests.command_line import Run, fill_photos
from tests.indexer.test_reading_texts import ColourReader, folder_of
from tests.postgres.collections import answers
from tests.postgres.histories import answers_of_any_generation
from tests.postgres_server import new_address, new_place
from tests.retrieval.cli.test_ocr_option import RedReader


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "photos", [0, 10, 20, 99])


@pytest.fixture
def places(tmp_path: Path, photos: Path) -> tuple[CollectionPlace, CollectionPlace]:
    """A collection of the photos in a folder, and one on the server."""
    places = (tmp_path / "c", new_place())
    for place in places:
        indexer.build(photos, place, model=HashEncoder())
    return places


def read(places: Sequence[CollectionPlace], maker: str = "colours 1") -> list[tuple[object, ...]]:
    """Read the text in both; give what is counted, and which pictures were seen."""
    told: list[tuple[object, ...]] = []
    for place in places:
        reader = ColourReader(maker)
        done = indexer.read_texts(place, reader=reader)
        told.append((done.with_text, done.without_text, done.failed, done.reasons, done.left, reader.seen))
    return told


def test_what_is_read_is_counted_kept_and_found_as_in_a_folder(
    places: tuple[CollectionPlace, CollectionPlace], photos: Path
) -> None:
    counted = [read(places), read(places)]
    (photos / "10.png").rename(photos / "moved.png")
    draw(photos / "0.png", (30, 0, 0), (100, 60))
    (photos / "20.png").unlink()
    for place in places:
        indexer.build(photos, place, model=HashEncoder(), prune=True)
    counted += [read(places), read(places, "colours 2")]

    in_folder, on_server = map(list, zip(*counted, strict=True))
    assert on_server == in_folder
    assert [seen for *_, seen in in_folder] == [[0, 10, 20, 99], [99], [99, 30], [10, 99, 30]]
    told = [answers_of_any_generation(place) for place in places]
    for one in told:
        one["rest"] = [replace(corpus, read=None) for corpus in one["rest"][2]]  # by the clock
    assert told[1] == told[0]
    assert indexer.doctor(places[1]).faults == ()
    with Collection.open(places[1]) as opened, opened.reading() as view:
        assert len(view.search_words("red 30", "image")) == 1


def test_reading_leaves_no_file_on_this_machine(
    places: tuple[CollectionPlace, CollectionPlace], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(empty))

    read(places[1:])

    assert list(empty.iterdir()) == []


def test_what_was_committed_stays_when_a_run_dies_and_the_next_one_goes_on(
    places: tuple[CollectionPlace, CollectionPlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.text_recognition.COMMIT_IMAGES", 1)

    def die(count: int) -> None:
        if count == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        indexer.read_texts(places[1], reader=ColourReader(after=die))
    rest = ColourReader()
    indexer.read_texts(places[1], reader=rest)
    indexer.read_texts(places[0], reader=ColourReader())

    assert rest.seen == [20, 99]
    assert answers(places[1])["image texts"] == answers(places[0])["image texts"]


def test_one_writer_at_a_time_reads_and_there_must_be_a_collection(
    places: tuple[CollectionPlace, CollectionPlace],
) -> None:
    with indexer.open_writer(places[1], model=HashEncoder()), pytest.raises(CollectionLocked):
        TextReading(places[1], ColourReader()).read_unread()
    with pytest.raises(CollectionNotFound):
        indexer.read_texts(new_place(), reader=ColourReader())
    with pytest.raises(CollectionNotFound):
        indexer.set_reads_text(new_place(), True)


def test_index_prints_what_it_read_and_goes_on_reading_until_it_is_told_not_to(
    run: Run, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.ocr.rapid.RapidReader", RedReader)
    photos, found = fill_photos(tmp_path / "photos"), []
    for place in (str(tmp_path / "c"), new_address()):
        here = ("--collection", place, "--json", "--quiet")
        told = [run("index", photos, "--model", model, *here, "--ocr")]
        draw(photos / "101.png", (101, 0, 0))
        told += [run("index", *here), run("index", *here, "--no-ocr"), run("index", *here)]
        told.append(run("query", "--words", "red 101", "--collection", place, "--list"))
        (photos / "101.png").unlink()
        assert [one.exit_code for one in told] == [0] * 5
        reads = [json.loads(one.stdout.splitlines()[-1]).get("ocr") for one in told[:4]]
        found.append(([one and one | {"seconds": 0} for one in reads], told[4].stdout))

    assert found[1] == found[0]
    reads, listed = found[0]
    assert [one and one["with_text"] for one in reads] == [3, 1, None, None]
    assert "101.png" in listed
