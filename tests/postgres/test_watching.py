"""Folders that are followed into a collection on a server: as into one in a folder, and past a server that was away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import indexer
from retrieval.errors import CollectionNotFound, CollectionUnreachable
from retrieval.places import CollectionPlace
from retrieval.postgres_address import parse_address
from tests.builders import HashEncoder, draw, uris
from tests.indexer.test_watching import PATIENCE_S, Follower, RedReader, wait_for, wait_for_texts
from tests.postgres_server import Server, new_place, require_server

pytest.importorskip("watchfiles")


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        draw(folder / f"{number}.png", (number, 0, 0))
    return folder


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_what_happens_to_files_happens_to_a_collection_on_a_server_as_to_one_in_a_folder(
    photographs: Path, tmp_path: Path
) -> None:
    places: tuple[CollectionPlace, ...] = (tmp_path / "c", new_place())
    for place in places:
        indexer.build(photographs, place, model=HashEncoder())
        indexer.set_reads_text(place, True)

    with Follower(places[0], reader=RedReader()), Follower(places[1], reader=RedReader()):
        for place in places:
            wait_for_texts(place, 3)
        (photographs / "0.png").rename(photographs / "moved.png")
        (photographs / "1.png").unlink()
        draw(photographs / "3.png", (3, 0, 0))
        for place in places:
            wait_for(place, {"2.png", "3.png", "moved.png"})
            wait_for_texts(place, 3)

    ids = [uris(place) for place in places]
    assert ids[1] == ids[0]
    assert indexer.doctor(places[1]).faults == ()


def test_what_cannot_be_followed_is_told_at_once() -> None:
    gone = parse_address("postgresql://nobody@/db/photos?host=/nowhere")
    require_server()

    with pytest.raises(CollectionUnreachable):
        next(iter(indexer.watch(gone)))
    with pytest.raises(CollectionNotFound):
        next(iter(indexer.watch(new_place())))


@pytest.mark.slow
def test_a_server_that_was_killed_is_waited_for_and_gets_what_changed_meanwhile(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("indexer.watching.LOOK_S", 0.3)
    require_server()
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = Server(Path(folder) / "data")
        place = parse_address(server.address("followed"))
        indexer.build(photographs, place, model=HashEncoder())
        with Follower(place) as follower:
            wait_until(lambda: bool(follower.told))
            server.kill()
            draw(photographs / "3.png", (3, 0, 0))
            wait_until(lambda: any(told.note and "cannot be reached" in told.note for told in follower.told))
            server.restart()
            wait_for(place, {"0.png", "1.png", "2.png", "3.png"})
        assert indexer.doctor(place).faults == ()
        server.end()
