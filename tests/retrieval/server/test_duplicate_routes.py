"""Duplicates over HTTP: found in the background, then those of the Python API, page by page."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer
import retrieval
from retrieval.duplicates.group_facts import group_facts
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from retrieval.types import OnProgress, Progress
from tests.retrieval.server.conftest import TOKEN
from tests.serving import Serving, fill_album, serving

WAIT_S = 60.0


@pytest.fixture
def copies(tmp_path: Path) -> Path:
    """Three pictures with an equal file each, and one of them a third time."""
    album = fill_album(tmp_path / "album", 6)
    for number in range(3):
        shutil.copy(album / f"picture {number}.jpg", album / f"picture {number} (2).jpg")
    shutil.copy(album / "picture 0.jpg", album / "picture 0 (3).jpg")
    indexer.build(album, tmp_path / "c", model=HashEncoder())
    return tmp_path / "c"


@pytest.fixture
def serving_copies(copies: Path, tmp_path: Path) -> Iterator[Serving]:
    with serving([copies], tmp_path / "cache") as found:
        yield found


def found(served: Serving, **params: Any) -> dict[str, Any]:
    """Ask until they are found."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        answer = served.client.get("/v1/duplicates", params=params)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            facts: dict[str, Any] = answer.json()
            return facts
        time.sleep(0.05)
    raise AssertionError("the duplicates were not found in time")


def test_they_are_those_of_the_engine_with_what_a_page_needs(serving_copies: Serving, copies: Path) -> None:
    answer = found(serving_copies)

    with retrieval.open(copies) as engine:
        expected = [group_facts(group) for group in engine.duplicates().groups]
    page_facts = ("name", "version", "moment")
    plain = [
        {
            **group,
            "copies": [{k: v for k, v in copy.items() if k not in page_facts} for copy in group["copies"]],
        }
        for group in answer["groups"]
    ]
    assert plain == expected
    assert answer["current"]
    assert answer["classes"]["bytes"] == 3
    best = answer["groups"][0]["copies"][0]
    assert (best["name"], best["best"], len(best["version"])) == ("picture 0.jpg", True, 16)


def test_pages_join_and_a_class_can_be_asked_for(serving_copies: Serving) -> None:
    whole = found(serving_copies, **{"class": "bytes"})

    pages, offset = [], 0
    while offset is not None:
        page = found(
            serving_copies, **{"class": "bytes", "k": 2, "offset": offset, "generation": whole["generation"]}
        )
        pages += page["groups"]
        offset = page["next"]

    assert pages == whole["groups"]
    assert whole["total"] == 3
    other = serving_copies.client.get("/v1/duplicates", params={"generation": whole["generation"] + 1})
    assert other.status_code == 409


def test_what_was_hidden_or_settled_since_is_left_out_and_a_fresh_look_counts_it(
    serving_copies: Serving, copies: Path
) -> None:
    first, second, third = found(serving_copies, **{"class": "bytes"})["groups"]
    indexer.hide(copies, [first["copies"][2]["uri"], second["copies"][1]["uri"]])
    indexer.keep(copies, [copy["uri"] for copy in third["copies"]])

    since = found(serving_copies, **{"class": "bytes"})
    again = found(serving_copies, **{"class": "bytes", "fresh": True})

    assert not since["current"]
    assert [len(group["copies"]) for group in since["groups"]] == [2]
    assert again["current"]
    assert (again["total"], again["kept"]) == (1, 1)


def test_how_far_it_is_is_told_meanwhile_and_a_second_client_starts_nothing(
    serving_copies: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    (served,) = serving_copies.collections
    plain, go_on, begun = served.engine.duplicates, threading.Event(), threading.Semaphore(0)

    def slow(*, on_progress: OnProgress) -> Any:
        on_progress(Progress("looking", 3, 9, 0))
        begun.release()
        assert go_on.wait(WAIT_S)
        return plain(on_progress=on_progress)

    monkeypatch.setattr(served.engine, "duplicates", slow)
    serving_copies.client.get("/v1/duplicates")
    assert begun.acquire(timeout=WAIT_S)

    told = [serving_copies.client.get("/v1/duplicates") for _ in range(3)]

    assert {answer.status_code for answer in told} == {202}
    assert told[0].json() == {"status": "running", "done": 3, "total": 9}
    go_on.set()
    assert found(serving_copies)["total"] == 3
    assert not begun.acquire(blocking=False)


def test_what_failed_is_told_once_and_tried_again(
    serving_copies: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    (served,) = serving_copies.collections
    plain = served.engine.duplicates

    def failing(**_: Any) -> Any:
        monkeypatch.setattr(served.engine, "duplicates", plain)
        raise retrieval.CollectionError("the disk is on fire")

    monkeypatch.setattr(served.engine, "duplicates", failing)
    until = time.monotonic() + WAIT_S
    answer = serving_copies.client.get("/v1/duplicates")
    while answer.status_code == 202 and time.monotonic() < until:
        time.sleep(0.05)
        answer = serving_copies.client.get("/v1/duplicates")

    assert (answer.status_code, answer.json()["error"]) == (503, "the disk is on fire")
    assert found(serving_copies)["total"] == 3


def test_clients_elsewhere_get_no_paths(copies: Path, tmp_path: Path) -> None:
    settings = ServerSettings(port=0, token=TOKEN, names=("photos.example.org",))
    with serving([copies], tmp_path / "cache", settings) as locked:
        locked.client.headers.update({"Host": "photos.example.org", "Authorization": f"Bearer {TOKEN}"})
        answer = found(locked)

    copies_told = [copy for group in answer["groups"] for copy in group["copies"]]
    assert {(copy["uri"], copy["path"]) for copy in copies_told} == {(None, None)}
    assert copies_told[0]["name"] == "picture 0.jpg"


def test_a_server_that_ends_begins_nothing_and_stops_what_runs(
    copies: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, ended = threading.Event(), threading.Event()

    def endless(*, on_progress: OnProgress) -> Any:
        begun.set()
        try:
            while True:
                on_progress(Progress("looking", 0, None, 0))
                time.sleep(0.01)
        finally:
            ended.set()

    with serving([copies], tmp_path / "cache") as served:
        (one,) = served.collections
        monkeypatch.setattr(one.engine, "duplicates", endless)
        served.client.get("/v1/duplicates")
        assert begun.wait(WAIT_S)

    assert ended.wait(WAIT_S)
