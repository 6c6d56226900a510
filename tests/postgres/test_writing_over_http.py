"""``vlsearch serve --write`` on a PostgreSQL server: each change as over the folder, and several servers at once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import indexer
from indexer.store.writers import open_place
from retrieval.collection import Collection
from retrieval.places import CollectionPlace, ServerAddress
from retrieval.postgres_address import parse_address
from retrieval.server.settings import ServerSettings
from tests.command_line import Run, fill_photos
from tests.postgres.histories import answers_of_any_generation
from tests.postgres_server import new_place, require_server
from tests.retrieval.server.test_workers import command
from tests.retrieval.server.test_writing import events_of
from tests.serving import Serving, album_collection, serving

ALBUM = "/v1/albums/by the sea"
SEARCH = {"parts": [{"text": "caption 1"}, {"item": 5, "weight": -0.5}], "where": "width > 0"}
REQUESTS: list[tuple[str, str, Any]] = [
    ("POST", "/v1/hide", {"items": [1, 2]}),
    ("GET", "/v1/hidden", None),
    ("GET", "/v1/items", None),
    ("POST", "/v1/unhide", {"items": [2]}),
    ("POST", "/v1/items/3/attributes", {"attributes": {"keywords": ["sea", "海"], "camera": None}}),
    ("GET", "/v1/items?where=keywords = '海'", None),
    ("GET", "/v1/search?text=海&mode=words", None),
    ("GET", "/v1/facets?field=camera&field=keywords", None),
    ("POST", "/v1/items/99999/attributes", {"attributes": {"a": 1}}),
    ("POST", "/v1/items/3/attributes", {"attributes": {"a": {"b": 1}}}),
    ("POST", "/v1/duplicates/keep", {"items": [4, 5]}),
    ("POST", "/v1/duplicates/forget", {"items": [5]}),
    ("POST", "/v1/duplicates/keep", {"items": [99999]}),
    ("PUT", ALBUM, SEARCH),
    ("PUT", ALBUM, SEARCH | {"k": 3}),
    ("PUT", "/v1/albums/海", SEARCH),
    ("POST", ALBUM, {"name": "海"}),
    ("POST", ALBUM, {"name": "sea"}),
    ("GET", "/v1/albums", None),
    ("GET", "/v1/albums/sea", None),
    ("DELETE", "/v1/albums/海", {}),
    ("DELETE", "/v1/albums/海", {}),
    ("POST", "/v1/pictures", {"upload": "0" * 64}),
    ("POST", "/v1/index", {"corpora": ["/etc"]}),
    ("POST", "/v1/hide", {"items": []}),
    ("GET", "/v1/corpora", None),
]


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    require_server()
    return album_collection(tmp_path_factory.mktemp("album"))


@pytest.fixture
def place(album: Path) -> ServerAddress:
    place = new_place()
    indexer.copy_collection(album, place)
    return place


@contextmanager
def writing(places: list[CollectionPlace], folder: Path, hashes: bool = True) -> Iterator[list[Serving]]:
    """Servers that may write, one over each of the collections."""
    with ExitStack() as opened:
        settings = ServerSettings(port=0, writes=True, add_to=folder / "added")
        yield [
            opened.enter_context(serving([place], folder / f"cache {number}", settings, hashes))
            for number, place in enumerate(places)
        ]


def asked(served: Serving, place: CollectionPlace) -> Iterator[tuple[int, Any]]:
    """Send the requests; give the status and the JSON of each answer, without the collection's name."""
    for method, path, body in REQUESTS:
        answer = served.client.request(method, path, json=body)
        told = json.loads(answer.text.replace(str(place), "PLACE"))
        told.pop("collection", None)
        told.pop("cursor", None)  # goes on in its own collection alone
        yield answer.status_code, told


def test_every_change_is_answered_as_over_the_folder_and_leaves_what_it_leaves_there(
    album: Path, place: ServerAddress, tmp_path: Path
) -> None:
    folder = shutil.copytree(album, tmp_path / "c")
    places: list[CollectionPlace] = [folder, place]
    with writing(places, tmp_path) as servers:
        of_folder, of_server = (list(asked(served, one)) for served, one in zip(servers, places, strict=True))

    for request, there, here in zip(REQUESTS, of_server, of_folder, strict=True):
        assert there == here, request
    assert {status for status, _ in of_folder} == {200, 400, 404, 409}
    assert answers_of_any_generation(place) == answers_of_any_generation(folder)
    assert indexer.doctor(place).faults == ()


def test_a_change_while_another_process_writes_is_refused_and_can_be_asked_for_again(
    place: ServerAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("write_routes", "album_routes"):
        monkeypatch.setattr(f"retrieval.server.{module}.WAIT_S", 0.0)
    with writing([place], tmp_path) as (served,):
        with open_place(place):
            refused = [
                served.client.post("/v1/hide", json={"items": [1]}),
                served.client.put(ALBUM, json=SEARCH),
            ]
        again = served.client.post("/v1/hide", json={"items": [1]})

    for answer in refused:
        assert (answer.status_code, answer.headers["retry-after"]) == (423, "5")
        assert "another process is writing to the collection" in answer.json()["error"]
    assert again.json()["changed"] == 1


def test_several_servers_write_one_at_a_time_and_lose_nothing_that_was_answered(
    place: ServerAddress, tmp_path: Path
) -> None:
    with writing([place, place], tmp_path) as servers, ThreadPoolExecutor(8) as clients:

        def hide(item: int) -> tuple[int, int]:
            answer = servers[item % 2].client.post("/v1/hide", json={"items": [item]})
            return item, answer.status_code

        answered = dict(map(hide, (1, 2)))  # a server's first request makes its routes, which threads may not
        answered |= clients.map(hide, range(3, 9))
        hidden = [
            {one["id"] for kind in ("image", "text") for one in listed(served, kind)} for served in servers
        ]

    assert set(answered.values()) <= {200, 423}
    assert hidden == [{item for item, status in answered.items() if status == 200}] * 2
    assert hidden[0]
    assert indexer.doctor(place).faults == ()


def listed(served: Serving, kind: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = served.client.get("/v1/hidden", params={"kind": kind}).json()["items"]
    return items


@pytest.mark.slow
def test_a_picture_that_is_uploaded_added_and_indexed_is_found_as_over_the_folder(
    run: Run, model: Path, tmp_path: Path
) -> None:
    place = new_place()
    photos = fill_photos(tmp_path / "photos")
    assert run("index", photos, "--model", model, "--collection", tmp_path / "c").exit_code == 0
    indexer.copy_collection(tmp_path / "c", place)
    Image.new("RGB", (50, 40), (255, 255, 0)).save(tmp_path / "new.png")
    told = []
    with writing([tmp_path / "c", place], tmp_path, hashes=False) as servers:
        for served in servers:
            data = (tmp_path / "new.png").read_bytes()
            upload = served.client.post("/v1/uploads", content=data).json()["upload"]
            added = served.client.post("/v1/pictures", json={"upload": upload, "name": "yellow.png"})
            assert added.status_code == 201
            assert served.client.post("/v1/index", json={"added": True}).status_code == 202
            end = events_of(served)[-1]
            found = served.client.get(
                "/v1/search", params={"upload": upload, "find": "image", "k": 1, "mode": "vector"}
            )
            told.append((end["state"], end["reports"][0] | {"seconds": 0}, found.json()["hits"]))
        with open_place(place):
            servers[1].client.post("/v1/index", json={})
            refused = events_of(servers[1])[-1]

    assert told[1] == told[0]
    assert told[0][1]["encoded"] == 1
    assert refused["state"] == "failed"
    assert "another process is writing" in refused["error"]
    assert indexer.doctor(place).faults == ()


def test_writers_find_the_primary_where_readers_are_sent_to_replicas(place: ServerAddress) -> None:
    """Of several hosts a reader may want a standby; here there is none, and the one host is refused for that."""
    for_readers = parse_address(f"{place.shown}&target_session_attrs=standby")

    assert indexer.hide(for_readers, [1]) == 1
    with Collection.open(place) as opened:
        assert opened.info().hidden == 1


@pytest.mark.slow
def test_the_command_writes(run: Run, model: Path, tmp_path: Path) -> None:
    import httpx

    place = new_place()
    photos = fill_photos(tmp_path / "photos")
    assert run("index", photos, "--model", model, "--collection", place.shown).exit_code == 0
    with command(place.shown, "--write") as (_, address):
        answer = httpx.post(f"{address}v1/hide", json={"items": [1]}, timeout=30)

    assert answer.json()["changed"] == 1
    with Collection.open(place) as opened:
        assert opened.info().hidden == 1
