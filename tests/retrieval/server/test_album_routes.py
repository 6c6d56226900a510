"""Albums over HTTP: what is listed can be posted as a search, and tells no path to clients elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer
import retrieval
from retrieval.query.parts import ItemPart, TextPart
from retrieval.testing import HashEncoder
from retrieval.types import Request
from tests.builders import draw
from tests.serving import Serving, album_collection, serving


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("albums")
    path = album_collection(folder, 4)
    outside = draw(folder / "outside.png", (1, 1, 1))
    with retrieval.open(path, encoder=HashEncoder()) as engine:
        sum_: list[retrieval.Queryable] = [TextPart("beach"), ItemPart(1, -0.5)]
        where = retrieval.parse_where("camera contains a")
        below = retrieval.parse_where(f"folder under {folder}")
        for album in (
            engine.make_album("Beach/海滩", sum_, Request(k=3, where=where, find="image"), literal=True),
            engine.make_album("Words", "caption", Request(mode="words", find="text")),
            engine.make_album("Outside", [TextPart("x"), retrieval.ImagePart(outside)]),
            engine.make_album("Below", "x", Request(where=below)),
        ):
            indexer.save_album(path, album)
    return path


@pytest.fixture(scope="module")
def there(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving([saved], tmp_path_factory.mktemp("cache")) as found:
        yield found


def test_albums_are_listed_by_name(there: Serving) -> None:
    answer = there.client.get("/v1/albums").json()

    assert [album["name"] for album in answer["albums"]] == ["Beach/海滩", "Below", "Outside", "Words"]


@pytest.mark.parametrize("name", ["Beach/海滩", "Words", "Below"])
def test_the_search_of_an_album_is_posted_as_it_is_and_gives_its_hits(
    there: Serving, saved: Path, name: str
) -> None:
    album = there.client.get(f"/v1/albums/{name}").json()
    assert album["missing"] == []

    answer = there.client.post("/v1/search", json=album["search"])

    assert answer.status_code == 200
    with retrieval.open(saved, encoder=HashEncoder()) as engine:
        hits = engine.search_album(name)
    assert hits
    assert [(hit["rank"], hit["score"], hit["id"]) for hit in answer.json()["hits"]] == [
        (hit.rank, hit.score, hit.id) for hit in hits
    ]


def test_a_file_that_is_not_in_the_collection_is_named_and_not_read(there: Serving, saved: Path) -> None:
    album = there.client.get("/v1/albums/Outside").json()

    assert album["search"]["parts"] == [{"text": "x", "weight": 1.0}]
    assert album["missing"] == [str(saved.parent / "outside.png")]


def test_clients_elsewhere_get_no_path(there: Serving, saved: Path) -> None:
    elsewhere = {"x-forwarded-for": "203.0.113.7"}

    text = there.client.get("/v1/albums", headers=elsewhere).text

    assert str(saved.parent) not in text
    assert '"missing": ["outside.png"]' in text
    assert '"missing": ["folder"]' in text


@pytest.mark.parametrize("name", ["None", "%ff", "x" * 201, "../search"])
def test_an_album_that_is_not_there_is_not_found(there: Serving, name: str) -> None:
    answer = there.client.get(f"/v1/albums/{name}")

    assert answer.status_code in (400, 404) or name == "../search"
    assert answer.status_code < 500
