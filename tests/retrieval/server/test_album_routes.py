"""Albums over HTTP: what is listed can be posted as a search, and tells no path to clients elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import indexer
import retrieval
from retrieval.query.parts import ItemPart, TextPart
from retrieval.server.settings import ServerSettings
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


# Saving and deleting


@pytest.fixture(scope="module")
def writable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    path = album_collection(tmp_path_factory.mktemp("writable"), 4)
    settings = ServerSettings(port=0, writes=True)
    with serving([path], tmp_path_factory.mktemp("cache"), settings) as found:
        yield found


def test_a_search_is_saved_as_it_is_posted_and_deleted_by_name(writable: Serving) -> None:
    asked = {"parts": [{"text": "sea"}, {"item": 1, "weight": -0.5}], "k": 3, "find": "image"}
    for k in (5, 3):  # the second takes the place of the first
        saved = writable.client.put("/v1/albums/Sea/海", json=asked | {"k": k})
        assert saved.status_code == 200, saved.text

    (album,) = writable.client.get("/v1/albums").json()["albums"]
    assert album["name"] == "Sea/海"
    again = writable.client.post("/v1/search", json=album["search"]).json()
    assert again["hits"] == writable.client.post("/v1/search", json=asked).json()["hits"]

    assert writable.client.delete("/v1/albums/Sea/海").status_code == 200
    assert writable.client.get("/v1/albums").json()["albums"] == []
    assert writable.client.delete("/v1/albums/Sea/海").status_code == 404


def test_a_search_is_saved_only_where_the_name_is_free_if_it_says_so(writable: Serving) -> None:
    asked, if_free = {"parts": [{"text": "sea"}]}, {"If-None-Match": "*"}
    first = writable.client.put("/v1/albums/Sea", json=asked, headers=if_free)

    second = writable.client.put("/v1/albums/Sea", json={"parts": [{"text": "other"}]}, headers=if_free)

    assert (first.status_code, second.status_code) == (200, 412)
    assert "already" in second.json()["error"]
    kept = writable.client.get("/v1/albums/Sea").json()["search"]["parts"]
    assert kept == [{"text": "sea", "weight": 1.0}]
    writable.client.delete("/v1/albums/Sea")


def test_an_album_is_renamed_and_never_onto_another_one(writable: Serving) -> None:
    for name, text in (("A/甲", "sea"), ("B", "beach")):
        writable.client.put(f"/v1/albums/{name}", json={"parts": [{"text": text}]})

    taken = writable.client.post("/v1/albums/A/甲", json={"name": "B"})
    same = writable.client.post("/v1/albums/B", json={"name": "B"})
    renamed = writable.client.post("/v1/albums/A/甲", json={"name": "C/丙"})
    gone = writable.client.post("/v1/albums/A/甲", json={"name": "D"})
    odd = writable.client.post("/v1/albums/B", json={"name": " b"})

    answers = [one.status_code for one in (taken, same, renamed, gone, odd)]
    assert answers == [409, 200, 200, 404, 400]
    found = writable.client.get("/v1/albums").json()["albums"]
    assert [album["name"] for album in found] == ["B", "C/丙"]
    for name in ("B", "C/丙"):
        writable.client.delete(f"/v1/albums/{name}")


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (" a", {"parts": [{"text": "x"}]}),
        ("a%1Bb", {"parts": [{"text": "x"}]}),
        ("a", {"parts": []}),
        ("a", {"parts": [{"item": 99_999}]}),
        ("a", {"parts": [{"text": "x"}], "where": "colour = red"}),
        ("a", {"parts": [{"text": "x"}], "new": 1}),
        ("a", {"parts": [{"text": "x"}], "area": "0,0,1,1"}),
    ],
)
def test_what_cannot_be_saved_is_a_sentence(writable: Serving, name: str, body: dict[str, object]) -> None:
    answer = writable.client.put(f"/v1/albums/{name}", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]
    assert writable.client.get("/v1/albums").json()["albums"] == []


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_no_address_can_hold_is_refused(writable: Serving, name: str) -> None:
    asked = {"parts": [{"text": "x"}]}
    writable.client.put("/v1/albums/Sea", json=asked)

    quoted = name.replace(".", "%2E")  # as clients send it that do not take it out of the address
    answers = [
        writable.client.put(f"/v1/albums/{quoted}", json=asked),
        writable.client.post("/v1/albums/Sea", json={"name": name}),
    ]

    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(f"{name!r} is not a name that an album can get")
    taken_out = writable.client.put(f"/v1/albums/{name}", json=asked)
    assert taken_out.status_code in (404, 405)
    assert taken_out.json()["error"]
    names = [album["name"] for album in writable.client.get("/v1/albums").json()["albums"]]
    assert names == ["Sea"]
    writable.client.delete("/v1/albums/Sea")


@pytest.mark.parametrize(
    "name", ["/", "a/", "/a", "a/../b", "...", "..a", "%2E%2E", "50 %", "why?", "#1", "a;b"]
)
def test_any_other_name_goes_into_an_address_quoted(writable: Serving, name: str) -> None:
    address = f"/v1/albums/{quote(name, safe='')}"

    saved = writable.client.put(address, json={"parts": [{"text": "x"}]})

    assert saved.json().get("name") == name
    assert writable.client.get(address).json()["name"] == name
    assert writable.client.delete(address).json()["name"] == name
    assert writable.client.get("/v1/albums").json()["albums"] == []


def test_an_uploaded_picture_is_not_kept(writable: Serving, tmp_path: Path) -> None:
    data = draw(tmp_path / "a.png", (1, 2, 3), (40, 40)).read_bytes()
    digest = writable.client.post("/v1/uploads", content=data).json()["upload"]

    answer = writable.client.put("/v1/albums/a", json={"parts": [{"upload": digest}]})

    assert answer.status_code == 400
    assert "only in memory" in answer.json()["error"]


def test_a_server_that_only_reads_saves_renames_and_deletes_nothing(there: Serving) -> None:
    saved = there.client.put("/v1/albums/a", json={"parts": [{"text": "x"}]})
    renamed = there.client.post("/v1/albums/Words", json={"name": "x"})
    deleted = there.client.delete("/v1/albums/Words")

    assert (saved.status_code, renamed.status_code, deleted.status_code) == (403, 403, 403)
    assert "Words" in [album["name"] for album in there.client.get("/v1/albums").json()["albums"]]
