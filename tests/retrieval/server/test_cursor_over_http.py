"""Pages by cursor over HTTP: they join while a writer commits, and a wrong cursor gets a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import indexer
from retrieval.testing import HashEncoder
from tests.builders import draw
from tests.serving import Serving, album_collection, serving


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return album_collection(tmp_path_factory.mktemp("pages"), 30)


@pytest.fixture(scope="module")
def there(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([written], tmp_path_factory.mktemp("cache")) as found:
        yield found


def page(there: Serving, **asked: Any) -> dict[str, Any]:
    answer = there.client.post("/v1/search", json={"parts": [{"text": "beach"}], **asked})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_pages_join_while_a_writer_commits(there: Serving, written: Path, tmp_path: Path) -> None:
    whole = [hit["id"] for hit in page(there, k=100)["hits"]]
    assert len(whole) == 31
    joined, cursor, number = list[int](), None, 0

    while True:
        found = page(there, k=10, **({} if cursor is None else {"cursor": cursor}))
        assert found["offset"] == len(joined)
        joined += [hit["id"] for hit in found["hits"]]
        cursor = found["cursor"]
        if cursor is None:
            break
        number += 1
        draw(tmp_path / f"new/{number}.png", (number, 99, 3))
        indexer.build(tmp_path / "new", written, model=HashEncoder())

    assert joined == whole
    assert number == 3


def test_the_address_of_a_search_takes_a_cursor(there: Serving) -> None:
    first = there.client.get("/v1/search", params={"text": "x", "k": 3}).json()
    second = there.client.get("/v1/search", params={"text": "x", "k": 3, "cursor": first["cursor"]}).json()
    both = there.client.get("/v1/search", params={"text": "x", "k": 6}).json()

    assert first["hits"] + second["hits"] == both["hits"]


@pytest.mark.parametrize(
    "asked",
    [
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "A" * 500},
        {"cursor": "OTHER"},
        {"cursor": "OWN", "offset": 3},
    ],
    ids=str,
)
def test_a_wrong_cursor_is_a_sentence(there: Serving, asked: dict[str, Any]) -> None:
    own = page(there, k=3)["cursor"]
    other = page(there, k=3, parts=[{"text": "sea"}])["cursor"]
    cursor = {"OTHER": other, "OWN": own}.get(asked["cursor"], asked["cursor"])

    answer = there.client.post("/v1/search", json={"parts": [{"text": "beach"}], **asked, "cursor": cursor})

    assert answer.status_code == 400
    assert "cursor" in answer.json()["error"]


def test_ranks_of_words_expire_with_a_commit(there: Serving, written: Path, tmp_path: Path) -> None:
    asked = {"parts": [{"text": "caption"}], "mode": "words", "find": "text", "k": 3}
    cursor = page(there, **asked)["cursor"]
    assert len(page(there, **asked, cursor=cursor)["hits"]) == 3
    draw(tmp_path / "later/new.png", (8, 8, 8))
    indexer.build(tmp_path / "later", written, model=HashEncoder())

    answer = there.client.post("/v1/search", json={**asked, "cursor": cursor})

    assert answer.status_code == 409
    assert "begin at the first page" in answer.json()["error"]
