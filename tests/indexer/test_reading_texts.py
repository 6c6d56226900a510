"""``indexer.read_texts``: the text in pictures, read once by each version of a reader, found by words."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import indexer
import retrieval
from indexer.store.writer import Writer
from indexer.text_recognition import TextReading
from retrieval.collection import Collection
from retrieval.errors import CollectionNotFound, ImageError
from retrieval.ocr import ReadLine
from retrieval.types import Progress
from tests.builders import HashEncoder, draw

BOX = (0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5)


@dataclass
class ColourReader:
    """Reads in an image the number of its red, unless that is 0; and fails where it is 99."""

    maker: str = "colours 1"
    side: int = 64
    seen: list[int] = field(default_factory=list)
    after: Callable[[int], None] = lambda _: None

    def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
        red = int(image[0, 0, 0])
        self.seen.append(red)
        self.after(len(self.seen))
        if red == 99:
            raise ImageError("it is too red")
        return [ReadLine(f"red {red}", BOX), ReadLine("二号线", BOX)] if red else []


def folder_of(folder: Path, reds: Sequence[int]) -> Path:
    for red in reds:
        draw(folder / f"{red}.png", (red, 0, 0), (100, 60))
    return folder


@pytest.fixture
def photos(tmp_path: Path, collection: Path) -> Path:
    folder = folder_of(tmp_path / "photos", [0, 10, 20])
    indexer.build(folder, collection, model=HashEncoder())
    return folder


def names_with(collection: Path, words: str) -> list[str]:
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        hits = engine.search(words, mode="words", find="image")
    return sorted(hit.uri.rpartition("/")[2] for hit in hits)


def test_words_find_pictures_by_the_text_in_them_with_its_lines_and_boxes(
    photos: Path, collection: Path
) -> None:
    read = indexer.read_texts(collection, reader=ColourReader())

    assert (read.with_text, read.without_text, read.failed) == (2, 1, 0)
    assert names_with(collection, "red 10") == ["10.png"]
    assert names_with(collection, "号线 red") == ["10.png", "20.png"]
    with retrieval.open(collection, encoder=HashEncoder()) as engine:
        (hit,) = engine.search("red 20", mode="hybrid", find="image", k=1)
    assert hit.texts == (retrieval.ImageText("read", "colours 1", "red 20\n二号线", (BOX, BOX)),)
    assert not hit.captions


def test_a_picture_is_read_once_by_each_version_of_a_reader(photos: Path, collection: Path) -> None:
    indexer.read_texts(collection, reader=ColourReader())

    again = ColourReader()
    assert indexer.read_texts(collection, reader=again).with_text == 0
    newer = ColourReader("colours 2")
    indexer.read_texts(collection, reader=newer)

    assert (again.seen, newer.seen) == ([], [0, 10, 20])
    with Collection.open(collection) as opened:
        assert opened.info().image_texts == {"read by colours 2": 2}


def test_pages_whose_document_has_their_text_are_not_read(tmp_path: Path, collection: Path) -> None:
    folder = folder_of(tmp_path / "pages", [10, 20])
    with indexer.open_writer(collection, model=HashEncoder()) as writer:
        for name, text in (("10", "some page"), ("20", "")):
            writer.add(name, folder / f"{name}.png")
            writer.set_text(name, text, origin="page", maker="PDF")

    reader = ColourReader()
    indexer.read_texts(collection, reader=reader)

    assert reader.seen == [20]


def test_moved_and_equal_files_cost_nothing_and_changed_ones_are_read_again(
    photos: Path, collection: Path
) -> None:
    indexer.read_texts(collection, reader=ColourReader())
    (photos / "10.png").rename(photos / "moved.png")
    (photos / "copy.png").write_bytes((photos / "20.png").read_bytes())
    draw(photos / "0.png", (30, 0, 0), (100, 60))
    indexer.build(photos, collection, model=HashEncoder())

    reader = ColourReader()
    indexer.read_texts(collection, reader=reader)

    assert reader.seen == [30]
    assert names_with(collection, "red 10") == ["moved.png"]
    assert names_with(collection, "red 20") == ["20.png", "copy.png"]
    assert names_with(collection, "red 30") == ["0.png"]


def test_pictures_that_fail_are_counted_with_their_reasons_and_the_others_are_read(
    tmp_path: Path, collection: Path
) -> None:
    folder = folder_of(tmp_path / "photos", [10, 20, 30, 99])
    indexer.build(folder, collection, model=HashEncoder())
    (folder / "20.png").unlink()
    draw(folder / "30.png", (31, 0, 0))

    read = indexer.read_texts(collection, reader=ColourReader())

    assert (read.with_text, read.failed) == (1, 3)
    reasons = {group.reason for group in read.reasons}
    assert {"it is too red", "has changed since it was indexed; index its corpus first"} < reasons
    assert indexer.read_texts(collection, reader=ColourReader()).failed == 3  # they are tried again


def test_what_was_committed_stays_when_a_run_dies_and_the_next_one_goes_on(
    photos: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.text_recognition.COMMIT_IMAGES", 1)

    def die(count: int) -> None:
        if count == 3:
            raise MemoryError

    with pytest.raises(MemoryError):
        indexer.read_texts(collection, reader=ColourReader(after=die))
    rest = ColourReader()
    indexer.read_texts(collection, reader=rest)

    assert rest.seen == [20]
    assert names_with(collection, "red") == ["10.png", "20.png"]


def test_ctrl_c_keeps_what_was_read(photos: Path, collection: Path) -> None:
    def interrupt(count: int) -> None:
        if count == 2:
            os.kill(os.getpid(), signal.SIGINT)

    read = indexer.read_texts(collection, reader=ColourReader(after=interrupt))

    assert read.interrupted
    assert names_with(collection, "red") == ["10.png"]


def test_readers_get_pictures_upright_and_reduced_to_their_size(tmp_path: Path, collection: Path) -> None:
    path = tmp_path / "photos" / "turned.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # a quarter turn
    Image.new("RGB", (300, 100), (250, 0, 0)).save(path, exif=exif)
    indexer.build(path.parent, collection, model=HashEncoder())
    shapes: list[tuple[int, ...]] = []

    class Measuring(ColourReader):
        def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
            shapes.append((*image.shape, image.dtype == np.uint8))
            return []

    indexer.read_texts(collection, reader=Measuring())

    assert shapes == [(64, 21, 3, True)]


def test_progress_is_told_of_reading_text(photos: Path, collection: Path) -> None:
    told: list[Progress] = []

    indexer.read_texts(collection, reader=ColourReader(), on_progress=told.append)

    assert told == [Progress("reading text", done, 3) for done in (1, 2, 3)]


def test_there_must_be_a_collection_and_reading_changes_no_vector(photos: Path, collection: Path) -> None:
    with pytest.raises(CollectionNotFound):
        indexer.read_texts(collection.with_name("typo"), reader=ColourReader())
    before = sorted(path.name for path in (collection / "segments").iterdir())

    indexer.read_texts(collection, reader=ColourReader())

    assert sorted(path.name for path in (collection / "segments").iterdir()) == before
    with Writer(collection) as writer, writer.look_up() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM dead").scalar_one() == 0
    assert indexer.doctor(collection).faults == ()


def test_a_collection_remembers_that_its_text_is_to_be_read_until_that_is_taken_back(
    photos: Path, collection: Path
) -> None:
    states = [indexer.reads_text(collection)]
    for on in (True, True, False, False):
        indexer.set_reads_text(collection, on)
        states.append(indexer.reads_text(collection))

    assert states == [False, True, True, False, False]
    assert indexer.doctor(collection).faults == ()
    with pytest.raises(CollectionNotFound):
        indexer.set_reads_text(collection.with_name("typo"), True)


def test_a_reading_in_several_goes_ends_when_told_and_passes_over_what_it_could_not_read(
    tmp_path: Path, collection: Path
) -> None:
    folder = folder_of(tmp_path / "photos", [99, 10, 20])
    indexer.build(folder, collection, model=HashEncoder())
    reader = ColourReader()
    reading = TextReading(collection, reader)

    goes = [reading.read_unread(is_over=lambda: True) for _ in range(3)]
    goes.append(reading.read_unread())

    assert sorted(reader.seen) == [10, 20, 99], "each once"
    assert [(go.with_text + go.failed, go.left, go.interrupted) for go in goes] == [
        (1, 2, False),
        (1, 1, False),
        (1, 1, False),  # it was told to end before it knew that there were no more
        (0, 0, False),
    ]
