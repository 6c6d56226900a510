"""``vlsearch serve`` on a PostgreSQL server answers as on the folder, and goes on after the server was away."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

import indexer
import retrieval
from retrieval.collection.postgres.server_source import ServerSource
from retrieval.errors import NoSuchAlbum, QueryError
from retrieval.places import ServerAddress
from retrieval.postgres_address import parse_address
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder
from tests.command_line import Run, fill_photos
from tests.postgres_server import Server, new_place, require_server
from tests.retrieval.server.conftest import TOKEN
from tests.retrieval.server.test_workers import command
from tests.serving import album_collection, serving

WAIT_S = 30.0


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_server()
    return album_collection(tmp_path_factory.mktemp("album"))


@pytest.fixture(scope="module")
def place(album: Path) -> ServerAddress:
    """A copy of the collection on the server, under an address with a secret."""
    place = new_place()
    indexer.copy_collection(album, place)
    return place


@pytest.fixture(scope="module")
def both(
    album: Path, place: ServerAddress, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    """Clients of two servers: over the folder, and over its copy."""
    with (
        serving([album], tmp_path_factory.mktemp("cache")) as of_folder,
        serving([place], tmp_path_factory.mktemp("cache")) as of_server,
    ):
        yield of_folder.client, of_server.client


@pytest.mark.parametrize(
    "path",
    [
        "/v1/health",
        "/v1/search?text=caption 1&mode=vector",
        "/v1/search?item=1&k=3&mode=vector",
        "/v1/search?text=caption 1&mode=vector&where=width > 0&sort=name",
        "/v1/search?text=x&where=no_such = 1",
        "/v1/search?text=caption 1",
        "/v1/search?text=caption 1&mode=hybrid&find=text",
        "/v1/search?text=caption 1&mode=words",
        "/v1/search?text=a picture&where=words contains caption",
        "/v1/items",
        "/v1/items/1",
        "/v1/items/99999",
        "/v1/item?key=%00",
        "/v1/item?name=a%00b",
        "/v1/albums/a%00b",
        "/v1/search?text=caption 1&mode=vector&where=camera = 'a%00b'",
        "/v1/search?text=caption 1&mode=vector&where=\"a%00b\" = 'x'",
        "/v1/items/1/similar",
        "/v1/facets?field=camera&field=year&field=folder",
        "/v1/keys",
        "/v1/duplicates",
        "/v1/map",
        "/v1/albums",
        "/v1/items/1/thumbnail",
        "/v1/items/1/image",
    ],
)
def test_a_request_is_answered_as_over_the_folder(both: tuple[httpx.Client, httpx.Client], path: str) -> None:
    of_folder, of_server = (client.get(path) for client in both)
    for _ in range(200):  # what is found in the background
        if of_folder.status_code != 202 and of_server.status_code != 202:
            break
        time.sleep(0.05)
        of_folder, of_server = (client.get(path) for client in both)

    assert of_server.status_code == of_folder.status_code
    if of_folder.headers["content-type"] != "application/json":
        assert of_server.content == of_folder.content
        return
    told = [answer.json() for answer in (of_folder, of_server)]
    for one, client in zip(told, both, strict=True):
        name = client.get("/v1/collections").json()["collections"][0]["name"]
        assert one.pop("collection", name) == name
        one.pop("cursor", None)  # goes on in its own collection alone
    assert told[1] == told[0]


def test_a_key_with_a_nul_is_of_no_item_and_not_asked_again(both: tuple[httpx.Client, httpx.Client]) -> None:
    asked = {"parts": [{"key": "a\0b"}, {"key": "c"}], "mode": "vector"}

    answers = [client.post("/v1/search", json=asked) for client in both]

    assert [one.status_code for one in answers] == [400, 400]
    assert all("no item with the key" in one.json()["error"] for one in answers)
    assert "Retry-After" not in answers[1].headers


def test_a_text_with_a_nul_is_looked_up_here_as_in_a_folder(album: Path, place: ServerAddress) -> None:
    for where in (album, place):
        with retrieval.open(where, encoder=HashEncoder()) as engine:
            assert engine.get("a\0b") is None
            assert engine.named("a\0b") is None
            assert list(engine.collection.failures("a\0b")) == []
            with pytest.raises(NoSuchAlbum):
                engine.album("a\0b")
            with pytest.raises(QueryError, match="no item with the key"):
                engine.search(key="a\0b")


def test_a_cursor_goes_on_in_a_collection_on_a_server(both: tuple[httpx.Client, httpx.Client]) -> None:
    asked = {"text": "caption 1", "k": "3", "mode": "vector"}
    pages = []
    for client in both:
        first = client.get("/v1/search", params=asked).json()
        pages.append(client.get("/v1/search", params={**asked, "cursor": first["cursor"]}).json()["hits"])

    assert len(pages[0]) == 3
    assert pages[1] == pages[0]


def test_a_client_elsewhere_learns_no_address_of_the_database(place: ServerAddress, tmp_path: Path) -> None:
    gone = parse_address(place.shown.replace("/postgres/", "/postgres_gone/"))
    settings = ServerSettings(port=0, token=TOKEN, names=("photos.example.org",))
    asked = {"Authorization": f"Bearer {TOKEN}", "Host": "photos.example.org"}
    with serving([place], tmp_path, settings) as served:
        answers = [served.client.get(path, headers=asked) for path in ("/v1/info", "/v1/collections")]
        source = served.collections.find(None)
        assert source is not None
        with closing(ServerSource(gone)) as away, patch.object(source.engine.collection, "_source", away):
            answers.append(served.client.get("/v1/info", headers=asked))
            near = served.client.get("/v1/info", headers={"Authorization": f"Bearer {TOKEN}"})

    assert [answer.status_code for answer in answers] == [200, 200, 503]
    assert all("postgresql" not in answer.text and "host=" not in answer.text for answer in answers)
    assert near.status_code == 503
    assert "cannot be reached" in near.json()["error"]


@pytest.mark.slow
def test_clients_of_a_server_that_is_killed_get_a_sentence_and_go_on_when_it_is_back(
    album: Path, tmp_path: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="pg") as folder:
        server = Server(Path(folder) / "data")
        place = parse_address(server.address("killed"))
        indexer.copy_collection(album, place)
        with serving([place], tmp_path, ServerSettings(port=0, writes=True)) as served:
            before = served.client.get("/v1/search", params={"text": "caption 1"}).json()["hits"]
            server.kill()
            for _ in range(3):
                refused = served.client.get("/v1/search", params={"text": "caption 1"})
                assert refused.status_code == 503
                assert refused.headers["retry-after"] == "10"
                assert "cannot be reached" in refused.json()["error"]
            assert served.client.post("/v1/hide", json={"items": [99]}).status_code == 503
            server.restart()
            assert served.client.post("/v1/hide", json={"items": [99]}).status_code == 200
            assert served.client.get("/v1/search", params={"text": "caption 1"}).json()["hits"] == before
        server.end()


@pytest.mark.slow
def test_several_processes_answer_from_one_server(model: Path, run: Run, tmp_path: Path) -> None:
    require_server()
    place = new_place()
    photos = fill_photos(tmp_path / "photos")
    assert run("index", photos, "--model", model, "--collection", place.shown).exit_code == 0
    with command(place.shown, "--workers", "2") as (_, address):
        hits = [
            httpx.get(f"{address}v1/search", params={"text": "a red square"}, timeout=WAIT_S).json()["hits"]
            for _ in range(8)
        ]
    assert len(hits[0]) == 3
    assert all(one == hits[0] for one in hits)
