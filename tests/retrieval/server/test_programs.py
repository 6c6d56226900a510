"""Routes for programs: batches, lines, sums of stored items, items by key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import indexer
from tests.serving import Serving, album_collection, serving

ASKED = {"parts": [{"text": "caption 1"}], "find": "image"}


def lines_of(served: Serving, method: str, path: str, **given: Any) -> list[dict[str, Any]]:
    answer = served.client.request(method, path, **given)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_batch_answers_each_search_as_it_is_answered_alone(served: Serving) -> None:
    searches = [
        {**ASKED, "k": 3},
        {"parts": [{"text": "a dog without a ball"}], "find": "image", "k": 3},
        {"parts": [{"text": "caption 2"}], "k": 2, "mode": "words", "find": "text"},
        {**ASKED, "k": 3, "offset": 2},
    ]

    together = served.client.post("/v1/batch", json={"searches": searches}).json()["answers"]

    assert together == [served.client.post("/v1/search", json=one).json() for one in searches]


def test_a_search_of_a_batch_that_is_at_fault_has_a_sentence_and_the_others_their_answers(
    served: Serving,
) -> None:
    searches = [ASKED, {"parts": [{"item": 10**9}], "find": "image"}, {**ASKED, "where": "wdith > 3"}]

    answers = served.client.post("/v1/batch", json={"searches": searches}).json()["answers"]

    assert answers[0]["hits"]
    assert (answers[1]["type"], answers[2]["type"]) == ("QueryError", "FilterError")
    assert "wdith" in answers[2]["error"]


@pytest.mark.parametrize("searches", [[], [ASKED] * 65, [{}], [{**ASKED, "path": "/etc"}], "a"])
def test_what_is_not_a_batch_is_refused(served: Serving, searches: Any) -> None:
    assert served.client.post("/v1/batch", json={"searches": searches}).status_code == 400


def test_a_stream_gives_all_hits_of_one_state_whatever_its_pages(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.server.stream_routes.MOST_HITS", 4)
    whole = served.client.post("/v1/search", json={**ASKED, "k": 1000}).json()

    head, *hits = lines_of(served, "POST", "/v1/search/stream", json=ASKED)
    some = lines_of(served, "POST", "/v1/search/stream", json={**ASKED, "k": 6, "offset": 1})

    assert hits == whole["hits"]
    assert head == {name: whole[name] for name in whole if name not in ("hits", "offset", "next", "cursor")}
    assert some[1:] == whole["hits"][1:7]


def test_a_stream_ends_with_an_error_once_the_collection_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = album_collection(tmp_path)
    monkeypatch.setattr("retrieval.server.stream_routes.MOST_HITS", 4)
    with serving([path], tmp_path / "cache") as served:
        engine = next(iter(served.collections)).engine
        answer, asked = engine.answer, 0

        def changing(*given: Any) -> Any:
            nonlocal asked
            asked += 1
            if asked == 2:
                indexer.hide(path, [1])
            return answer(*given)

        monkeypatch.setattr(engine, "answer", changing)
        lines = lines_of(served, "POST", "/v1/search/stream", json=ASKED)

    assert len(lines) == 1 + 4 + 1
    assert "has changed since the first page" in lines[-1]["error"]


def test_a_stream_refuses_before_its_first_line_what_cannot_be_answered(served: Serving) -> None:
    for body, status in (({**ASKED, "where": "wdith > 3"}, 400), ({**ASKED, "sort": "name"}, 400), ({}, 400)):
        assert served.client.post("/v1/search/stream", json=body).status_code == status
    assert served.client.get("/v1/items/stream", params={"where": "wdith > 3"}).status_code == 400


def test_all_items_come_as_lines(served: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.server.stream_routes.PAGE", 5)

    listed = lines_of(served, "GET", "/v1/items/stream")
    newest = served.client.get("/v1/items", params={"k": 1000}).json()["hits"]

    assert listed == newest[::-1]
    assert lines_of(served, "GET", "/v1/keys") == []


def test_what_is_like_several_items_meets_conditions(served: Serving) -> None:
    body = {"items": [1, 2], "unlike": [3], "k": 20, "where": "width > 500"}

    hits = served.client.post("/v1/similar", json=body).json()["hits"]

    assert hits
    assert {1, 2, 3}.isdisjoint(hit["id"] for hit in hits)
    assert all(hit["width"] > 500 for hit in hits)


def test_an_item_is_found_by_its_path_on_this_machine_alone(locked: Serving, album: Path) -> None:
    from tests.retrieval.server.conftest import TOKEN

    asked = {"name": str(album.parent / "album/picture 1.jpg")}
    headers = {"Authorization": f"Bearer {TOKEN}"}

    here = locked.client.get("/v1/item", params=asked, headers=headers).json()
    elsewhere = locked.client.get(
        "/v1/item", params=asked, headers={**headers, "Host": "photos.example.org"}
    ).json()
    neither = locked.client.get("/v1/item", headers=headers)

    assert here["item"]["name"] == "picture 1.jpg"
    assert elsewhere == {"item": None}
    assert neither.status_code == 400
