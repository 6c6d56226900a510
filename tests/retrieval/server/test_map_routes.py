"""The map over HTTP: that of the Python API, in columns, and its areas as filters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import indexer
import retrieval
from retrieval.testing import HashEncoder
from tests.serving import Serving, album_collection, serving

WAIT_S = 60.0


@pytest.fixture(scope="module")
def album_of_many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album_collection(tmp_path_factory.mktemp("map"), 40)


@pytest.fixture(scope="module")
def mapped(album_of_many: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([album_of_many], tmp_path_factory.mktemp("cache")) as found:
        yield found


def map_of(served: Serving, **params: Any) -> dict[str, Any]:
    """Ask until it is made."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        answer = served.client.get("/v1/map", params=params)
        if answer.status_code != 202:
            assert answer.status_code == 200, answer.text
            facts: dict[str, Any] = answer.json()
            return facts
        time.sleep(0.05)
    raise AssertionError("the map was not made in time")


def test_it_is_the_map_of_the_engine_in_whole_steps(mapped: Serving, album_of_many: Path) -> None:
    answer = map_of(mapped)

    with retrieval.open(album_of_many) as engine:
        expected = engine.map()
    assert answer["ids"] == expected.ids.tolist()
    assert answer["method"] == expected.method
    assert (answer["total"], answer["current"]) == (len(expected.ids), True)
    given = np.array([answer["x"], answer["y"]]).T / answer["steps"]
    assert np.abs(given - expected.coordinates).max() <= 0.5 / answer["steps"] + 1e-6


def test_of_many_points_some_are_given_evenly(mapped: Serving) -> None:
    whole, some = map_of(mapped), map_of(mapped, most=10)

    assert some["total"] == whole["total"]
    assert len(some["ids"]) == 10
    assert set(some["ids"]) < set(whole["ids"])
    assert some["ids"][0] == whole["ids"][0]
    assert some["ids"][-1] == whole["ids"][-1]


def test_a_client_that_has_it_gets_it_once(mapped: Serving) -> None:
    map_of(mapped)
    tag = mapped.client.get("/v1/map").headers["etag"]

    again = mapped.client.get("/v1/map", headers={"If-None-Match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert mapped.client.get("/v1/map", params={"most": 5}).headers["etag"] != tag


def test_an_area_is_a_filter_of_every_list_and_goes_with_conditions(mapped: Serving) -> None:
    whole = map_of(mapped)
    middle = sorted(whole["x"])[len(whole["x"]) // 2]
    area = f"0,0,{middle},10000"
    inside = {id for id, x in zip(whole["ids"], whole["x"], strict=True) if x <= middle}

    listed = mapped.client.get("/v1/items", params={"area": area, "k": 1000}).json()["hits"]
    found = mapped.client.get("/v1/search", params={"text": "any", "area": area, "k": 1000}).json()["hits"]
    posted = mapped.client.post(
        "/v1/search", json={"parts": [{"text": "any"}], "area": area, "where": "taken in 2021", "k": 1000}
    ).json()["hits"]
    facets = mapped.client.get("/v1/facets", params={"field": "year", "area": area}).json()["facets"]

    assert {hit["id"] for hit in listed} == {hit["id"] for hit in found} == inside
    assert 0 < len(inside) < len(whole["ids"])
    of_2021 = {hit["id"] for hit in listed if str(hit["attributes"].get("taken", "")).startswith("2021")}
    assert {hit["id"] for hit in posted} == of_2021
    assert next(one["count"] for one in facets["year"] if one["value"] == "2021") == len(of_2021)


@pytest.mark.parametrize("area", ["", "1,2,3", "1,2,3,x", "-1,0,1,1", "1,2,3,4,5", "1,2,3,4\n"])
def test_what_is_not_an_area_is_refused(mapped: Serving, area: str) -> None:
    assert mapped.client.get("/v1/items", params={"area": area}).status_code == 400


def test_an_area_before_there_is_a_map_begins_one_and_says_so(album_of_many: Path, tmp_path: Path) -> None:
    with serving([album_of_many], tmp_path / "cache") as fresh:
        first = fresh.client.get("/v1/items", params={"area": "0,0,10000,10000"})
        map_of(fresh)
        then = fresh.client.get("/v1/items", params={"area": "0,0,10000,10000"})

    assert (first.status_code, first.headers["retry-after"]) == (503, "2")
    assert "map is being made" in first.json()["error"]
    assert then.status_code == 200


def test_a_map_stays_until_a_fresh_one_is_asked_for(tmp_path: Path) -> None:
    path = album_collection(tmp_path, 20)
    with serving([path], tmp_path / "cache") as served:
        before = map_of(served)
        indexer.hide(path, [(tmp_path / "album/picture 3.jpg").as_uri()])

        stale = map_of(served)
        fresh = map_of(served, fresh=True)

    assert (stale["ids"], stale["current"]) == (before["ids"], False)
    assert len(fresh["ids"]) == len(before["ids"]) - 1
    assert fresh["current"]


def test_an_empty_collection_has_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    indexer.build(tmp_path / "none", tmp_path / "c", model=HashEncoder())
    with serving([tmp_path / "c"], tmp_path / "cache") as served:
        served.client.get("/v1/map")
        until = time.monotonic() + WAIT_S
        while (answer := served.client.get("/v1/map")).status_code == 202 and time.monotonic() < until:
            time.sleep(0.05)

    assert answer.status_code in (200, 503)
    assert answer.json().get("ids") == [] or "empty" in answer.json()["error"]
