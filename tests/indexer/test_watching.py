"""Folders that are followed: what happens to their files on disk happens to the collection."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import indexer
from indexer.watching import Watching
from retrieval.collection import Collection
from retrieval.errors import MissingExtra, UsageError
from retrieval.ocr import ReadLine, TextReader
from retrieval.places import CollectionPlace
from tests.builders import HashEncoder, draw, uris
from tests.s3_server import Bucket

pytest.importorskip("watchfiles")

PATIENCE_S = 60.0


class Follower:
    """``indexer.watch`` in a thread."""

    def __init__(
        self, collection: CollectionPlace, poll: bool = False, reader: TextReader | None = None
    ) -> None:
        self.told: list[Watching] = []
        self._stop = threading.Event()
        self._collection, self._poll, self._reader = collection, poll, reader
        self._thread = threading.Thread(target=self._follow)

    def _follow(self) -> None:
        for told in indexer.watch(
            self._collection,
            model=HashEncoder(),
            workers=1,
            settled=0.2,
            poll=self._poll,
            reader=self._reader,
            stop=self._stop,
        ):
            self.told.append(told)

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def wait_for(collection: CollectionPlace, names: set[str]) -> None:
    """Wait until a collection has just these items."""
    end = time.monotonic() + PATIENCE_S
    while (found := set(uris(collection))) != names:
        assert time.monotonic() < end, f"{found} is not {names}"
        time.sleep(0.1)


class RedReader:
    """Reads in an image the number of its red."""

    maker, side = "reds 1", 64

    def read(self, image: NDArray[np.uint8]) -> list[ReadLine]:
        return [ReadLine(f"red {image[0, 0, 0]}", (0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.0, 0.5))]


def wait_for_texts(collection: CollectionPlace, number: int) -> None:
    """Wait until text has been read in so many images."""
    end = time.monotonic() + PATIENCE_S
    with Collection.open(collection) as opened:
        while (found := sum(opened.info().image_texts.values())) != number:
            assert time.monotonic() < end, f"{found} is not {number}"
            time.sleep(0.1)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        draw(folder / f"{number}.png", (number, 0, 0))
    return folder


@pytest.fixture
def collection(photographs: Path, tmp_path: Path) -> Path:
    indexer.build(photographs, tmp_path / "c", model=HashEncoder())
    return tmp_path / "c"


def test_new_changed_moved_and_deleted_files_reach_the_collection(
    photographs: Path, collection: Path
) -> None:
    before = uris(collection)
    (photographs / "deep").mkdir()
    draw(photographs / "deep" / "3.png", (3, 0, 0))  # before it is followed

    with Follower(collection):
        wait_for(collection, {"0.png", "1.png", "2.png", "3.png"})
        for number in range(10, 20):
            draw(photographs / f"{number}.png", (number, 0, 0))
        (photographs / "0.png").rename(photographs / "deep" / "moved.png")
        (photographs / "1.png").unlink()
        new = {f"{number}.png" for number in range(10, 20)}
        wait_for(collection, {"2.png", "3.png", "moved.png", *new})

    assert uris(collection)["moved.png"] == before["0.png"]


def test_a_file_that_grows_is_taken_once_it_is_whole(photographs: Path, collection: Path) -> None:
    whole = draw(photographs.parent / "whole.png", (9, 9, 9), (64, 64)).read_bytes()

    with Follower(collection):
        wait_for(collection, {"0.png", "1.png", "2.png"})
        with (photographs / "copied.png").open("wb") as file:
            for at in range(0, len(whole), 16):
                file.write(whole[at : at + 16])
                file.flush()
        wait_for(collection, {"0.png", "1.png", "2.png", "copied.png"})


def test_a_folder_that_was_away_is_followed_again_and_loses_nothing(
    photographs: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.watching.LOOK_S", 0.3)
    away = photographs.with_name("unplugged")
    photographs.rename(away)

    with Follower(collection) as follower:
        while not any(told.note and "is missing" in told.note for told in follower.told):
            time.sleep(0.05)
        assert set(uris(collection)) == {"0.png", "1.png", "2.png"}
        draw(away / "new.png", (50, 50, 50))
        away.rename(photographs)
        wait_for(collection, {"0.png", "1.png", "2.png", "new.png"})


def test_a_collection_in_its_own_corpus_is_not_followed(tmp_path: Path, photographs: Path) -> None:
    collection = photographs / "c"
    indexer.build(photographs, collection, model=HashEncoder())

    with Follower(collection) as follower:
        draw(photographs / "3.png", (3, 0, 0))
        wait_for(collection, {"0.png", "1.png", "2.png", "3.png"})
        time.sleep(2)
        rounds = len(follower.told)

    assert rounds <= 4, "its own commits are no changes"


def test_corpora_in_a_store_are_not_followed_and_that_is_said(collection: Path, bucket: Bucket) -> None:
    bucket.put("p/a.png", (draw(collection.parent / "a.png", (7, 7, 7))).read_bytes())
    stored = collection.parent / "stored"
    indexer.build(f"s3://{bucket.name}/p", stored, model=HashEncoder())
    indexer.build(f"s3://{bucket.name}/p", collection, model=HashEncoder())
    told = indexer.watch(collection, model=HashEncoder())

    assert f"s3://{bucket.name}/p is not followed" in (next(told).note or "")
    with pytest.raises(UsageError, match=f"s3://{bucket.name}/p cannot be followed"):
        next(indexer.watch(stored, model=HashEncoder()))


def test_without_its_package_the_extra_is_named(collection: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.extras.find_spec", lambda _: None)

    with pytest.raises(MissingExtra, match=r"vlsearch\[watch\]"):
        next(iter(indexer.watch(collection)))


@pytest.mark.parametrize("read_s", [60.0, 0.0], ids=["at once", "an image at a time"])
def test_text_in_new_pictures_is_read_where_the_collection_asks_for_it(
    photographs: Path, collection: Path, monkeypatch: pytest.MonkeyPatch, read_s: float
) -> None:
    monkeypatch.setattr("indexer.watching.READ_S", read_s)
    monkeypatch.setattr("indexer.watching.LOOK_S", 0.3)
    indexer.set_reads_text(collection, True)

    with Follower(collection, reader=RedReader()) as follower:
        wait_for_texts(collection, 3)
        draw(photographs / "3.png", (3, 0, 0))
        wait_for_texts(collection, 4)

    goes = [told.texts.with_text for told in follower.told if told.texts and told.texts.with_text]
    assert goes == ([3, 1] if read_s else [1, 1, 1, 1])


def test_no_text_is_read_where_the_collection_does_not_ask_for_it(
    photographs: Path, collection: Path
) -> None:
    with Follower(collection, reader=RedReader()) as follower:
        draw(photographs / "3.png", (3, 0, 0))
        wait_for(collection, {"0.png", "1.png", "2.png", "3.png"})

    assert not any(told.texts for told in follower.told)


def test_a_missing_reader_of_text_is_told_once_and_pictures_are_indexed_all_the_same(
    photographs: Path, collection: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.watching.is_installed", lambda _: False)
    indexer.set_reads_text(collection, True)

    names = {"0.png", "1.png", "2.png"}

    with Follower(collection) as follower:
        for number in (3, 4, 5):  # reading is tried between the rounds of two of them
            names.add(draw(photographs / f"{number}.png", (number, 0, 0)).name)
            wait_for(collection, names)

    notes = [told.note for told in follower.told if told.note]
    assert len(notes) == 1
    assert "vlsearch[ocr]" in notes[0]
