"""Changes over HTTP: only with ``--write``, never for another site, one at a time; index runs with their progress."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import indexer
import retrieval
from indexer.store.writer import Writer
from retrieval.errors import UsageError
from retrieval.postgres_address import require_folder
from retrieval.server.settings import ServerSettings
from retrieval.server.write_routes import file_name
from retrieval.testing import HashEncoder
from tests.command_line import fill_photos, vlsearch
from tests.serving import Serving, album_collection, serving

CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/v1/hide", {"items": [1]}),
    ("POST", "/v1/unhide", {"items": [1]}),
    ("POST", "/v1/duplicates/keep", {"items": [1]}),
    ("POST", "/v1/duplicates/forget", {"items": [1]}),
    ("POST", "/v1/items/1/attributes", {"attributes": {"keywords": ["sea"]}}),
    ("POST", "/v1/pictures", {"upload": "0" * 64}),
    ("POST", "/v1/index", {}),
    ("DELETE", "/v1/index", {}),
    ("PUT", "/v1/albums/a", {"parts": [{"text": "sea"}]}),
    ("POST", "/v1/albums/a", {"name": "b"}),
    ("DELETE", "/v1/albums/a", {}),
]
WAIT_S = 120.0


@pytest.fixture
def writing(tmp_path: Path) -> Iterator[Serving]:
    settings = ServerSettings(port=0, writes=True, add_to=tmp_path / "added")
    with serving([album_collection(tmp_path)], tmp_path / "cache", settings) as found:
        yield found


def ids(served: Serving) -> list[int]:
    return [hit["id"] for hit in served.client.get("/v1/items").json()["hits"]]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES, ids=[f"{one[0]} {one[1]}" for one in CHANGES])
def test_a_server_that_was_not_told_to_write_changes_nothing_and_says_so(
    served: Serving, method: str, path: str, body: dict[str, Any]
) -> None:
    before = served.client.get("/v1/info").json()

    answer = served.client.request(method, path, json=body)

    assert answer.status_code == 403
    assert answer.json() == {
        "error": "this server changes nothing; start it with vlsearch serve --write to change collections"
    }
    assert served.client.get("/v1/info").json() == before


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_of_another_site_could_send_is_refused(writing: Serving, kind: str) -> None:
    before = ids(writing)

    answer = writing.client.post(
        "/v1/hide", content=json.dumps({"items": before[:1]}), headers={"Content-Type": kind}
    )

    assert answer.status_code == 415
    assert ids(writing) == before


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_no_page_of_another_site_changes_anything(writing: Serving, headers: dict[str, str]) -> None:
    before = ids(writing)

    for method, path, body in CHANGES:
        assert writing.client.request(method, path, json=body, headers=headers).status_code == 403
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    preflight = writing.client.options("/v1/hide", headers=asked)

    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in preflight.headers
    assert ids(writing) == before


def test_what_is_hidden_is_not_found_is_listed_and_comes_back(writing: Serving) -> None:
    before = ids(writing)

    done = writing.client.post("/v1/hide", json={"items": before[:2]}).json()
    hidden, left = writing.client.get("/v1/hidden").json(), ids(writing)
    back = writing.client.post("/v1/unhide", json={"items": before[:2]}).json()

    assert (done["changed"], left) == (2, before[2:])
    assert [one["id"] for one in hidden["items"]] == sorted(before[:2])
    assert done["generation"] == hidden["generation"]
    assert (back["changed"], ids(writing)) == (2, before)


def test_an_id_hides_its_item_alone_and_not_what_lies_inside_its_uri(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (30, 20), (90 * number, 9, 9)) for number in range(3)]
    (tmp_path / "album").mkdir()
    frames[0].save(tmp_path / "album/scan.tif", save_all=True, append_images=frames[1:])
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with retrieval.open(tmp_path / "photos") as engine:
        first = next(item for item in engine.items() if "#" not in item.uri)

        hidden = indexer.hide(tmp_path / "photos", [first.id])

        assert hidden == 1
        assert len(list(engine.items())) == 2
        assert indexer.unhide(tmp_path / "photos", [first.id]) == 1


def test_attributes_are_set_beside_the_others_and_null_takes_one_away(writing: Serving) -> None:
    item = ids(writing)[3]
    before = writing.client.get(f"/v1/items/{item}").json()["attributes"]

    done = writing.client.post(
        f"/v1/items/{item}/attributes", json={"attributes": {"keywords": ["sea", "海"], "camera": None}}
    )
    after = writing.client.get(f"/v1/items/{item}").json()["attributes"]
    found = writing.client.get("/v1/items", params={"where": "keywords = '海'"}).json()["hits"]
    missing = writing.client.post("/v1/items/99999/attributes", json={"attributes": {"a": 1}})

    assert done.json()["changed"] == 1
    expected = {name: value for name, value in before.items() if name != "camera"}
    assert after == expected | {"keywords": ["sea", "海"]}
    assert [hit["id"] for hit in found] == [item]
    assert missing.status_code == 404


def test_duplicates_that_are_kept_are_not_listed_together_again(tmp_path: Path) -> None:
    path = album_collection(tmp_path)
    shutil.copy(tmp_path / "album/picture 1.jpg", tmp_path / "album/copy.jpg")
    indexer.build(tmp_path / "album", path, model=HashEncoder())
    with (
        serving([path], tmp_path / "cache", ServerSettings(port=0, writes=True)) as served,
        retrieval.open(path) as engine,
    ):
        (group,) = engine.duplicates(classes=("bytes",)).groups
        equal = [copy.id for copy in group.copies]

        kept = served.client.post("/v1/duplicates/keep", json={"items": equal}).json()
        then = engine.duplicates(classes=("bytes",)).groups
        served.client.post("/v1/duplicates/forget", json={"items": equal})

        assert kept["changed"] == 1
        assert list(then) == []
        assert len(engine.duplicates(classes=("bytes",)).groups) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/hide", {}),
        ("/v1/hide", {"items": []}),
        ("/v1/hide", {"items": ["/etc/passwd"]}),
        ("/v1/hide", {"items": [1], "collection": "other"}),
        ("/v1/hide", {"items": [2**80]}),
        ("/v1/items/1/attributes", {"attributes": {}}),
        ("/v1/items/1/attributes", {"attributes": {"a": {"b": 1}}}),
        ("/v1/items/1/attributes", {"attributes": {"a": [1, 2]}}),
        ("/v1/items/1/attributes", {"attributes": {"a": "\ud800"}}),
        ("/v1/duplicates/keep", {"items": [99999]}),
        ("/v1/pictures", {"upload": "../../x"}),
        ("/v1/pictures", {"upload": "0" * 64}),
        ("/v1/index", {"corpora": ["/etc"]}),
        ("/v1/index", {"source": "/etc"}),
    ],
)
def test_a_change_that_cannot_be_made_is_answered_with_a_sentence(
    writing: Serving, path: str, body: dict[str, Any]
) -> None:
    answer = writing.client.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})

    assert answer.status_code in (400, 404), answer.text
    assert list(answer.json()) == ["error"]


def test_a_change_while_another_process_writes_is_refused_and_can_be_asked_for_again(
    writing: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.server.write_routes.WAIT_S", 0.1)
    item, path = ids(writing)[0], next(iter(writing.collections)).engine.collection.path

    with Writer(require_folder(path)):
        refused = writing.client.post("/v1/hide", json={"items": [item]})
    again = writing.client.post("/v1/hide", json={"items": [item]})

    assert (refused.status_code, refused.headers["retry-after"]) == (423, "5")
    assert refused.json() == {
        "error": "another process is writing to the collection; ask again when it has ended"
    }
    assert again.status_code == 200


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sea.jpg", "sea-0123456789ab.png"),
        ("../../etc/passwd", "passwd-0123456789ab.png"),
        ("C:\\temp\\a b\r\n;.exe", "a-b-0123456789ab.png"),
        (".bashrc", "bashrc-0123456789ab.png"),
        ("", "picture-0123456789ab.png"),
        ("海.heic", "海-0123456789ab.png"),
        ("x" * 500, f"{'x' * 80}-0123456789ab.png"),
    ],
)
def test_an_added_picture_gets_a_safe_name_with_a_suffix_that_is_true(given: str, expected: str) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(40)

    assert file_name(given, png, "0123456789abcdef") == expected


def test_a_picture_of_an_unknown_kind_needs_a_name_that_tells() -> None:
    assert file_name("a.tif", b"II*\0" + bytes(40), "0" * 64).endswith(".tif")
    with pytest.raises(UsageError, match="it is not known what kind of picture this is"):
        file_name("a.html", b"<html>" + bytes(40), "0" * 64)


def test_pictures_are_added_only_where_there_is_a_folder_for_them(tmp_path: Path) -> None:
    settings = ServerSettings(port=0, writes=True)
    with serving([album_collection(tmp_path)], tmp_path / "cache", settings) as served:
        data = (tmp_path / "album/old.bmp").read_bytes()
        upload = served.client.post("/v1/uploads", content=data).json()["upload"]

        answer = served.client.post("/v1/pictures", json={"upload": upload, "name": "old.bmp"})

    assert answer.status_code == 403
    assert "--add-to FOLDER" in answer.json()["error"]
    with pytest.raises(UsageError, match="give --write too"):
        ServerSettings(add_to=tmp_path)


# Index runs: with a model that another process can load


@pytest.fixture(scope="module")
def model_collection(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Path:
    folder = tmp_path_factory.mktemp("indexed")
    photos = fill_photos(folder / "p")
    assert vlsearch("index", photos, "--model", model, "--collection", folder / "c", "--quiet").exit_code == 0
    return folder


@pytest.fixture
def running(model_collection: Path, tmp_path: Path) -> Iterator[Serving]:
    shutil.copytree(model_collection / "c", tmp_path / "c")
    settings = ServerSettings(port=0, writes=True, add_to=tmp_path / "added")
    with serving([tmp_path / "c"], tmp_path / "cache", settings, hashes=False) as found:
        yield found


def events_of(served: Serving) -> list[dict[str, Any]]:
    with served.client.stream("GET", "/v1/index/events", timeout=WAIT_S) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: ")]


def test_a_picture_that_is_uploaded_added_and_indexed_is_found(running: Serving, tmp_path: Path) -> None:
    Image.new("RGB", (50, 40), (255, 255, 0)).save(tmp_path / "new.png")
    upload = running.client.post("/v1/uploads", content=(tmp_path / "new.png").read_bytes()).json()["upload"]

    none_yet = running.client.get("/v1/index")
    added = running.client.post("/v1/pictures", json={"upload": upload, "name": "yellow.png"})
    started = running.client.post("/v1/index", json={"added": True})
    told = events_of(running)
    found = running.client.get("/v1/search", params={"upload": upload, "find": "image", "k": 1}).json()[
        "hits"
    ]

    assert none_yet.status_code == 404
    assert (added.status_code, started.status_code) == (201, 202)
    assert [one["state"] for one in told][-1] == "done", told
    assert told[-1]["reports"][0]["encoded"] == 1
    assert [hit["name"] for hit in found] == [added.json()["file"]]
    assert running.client.get("/v1/index").json() == told[-1]


def test_a_corpus_is_indexed_by_its_id_and_others_are_left_alone(running: Serving) -> None:
    (corpus,) = running.client.get("/v1/corpora").json()["corpora"]

    running.client.post("/v1/index", json={"corpora": [corpus["id"]]})
    told = events_of(running)

    assert corpus["name"] == "p"
    assert told[-1]["state"] == "done"
    assert [(one["corpus"]["name"], one["failed"]) for one in told[-1]["reports"]] == [("p", 0)]


def test_a_second_run_is_refused_while_one_is_under_way_and_the_first_can_be_ended(running: Serving) -> None:
    started = running.client.post("/v1/index", json={})
    second = running.client.post("/v1/index", json={})
    ended = running.client.delete("/v1/index")
    told = events_of(running)
    nothing = running.client.delete("/v1/index")

    assert (started.status_code, second.status_code, ended.status_code) == (202, 409, 202)
    assert "an index run is under way" in second.json()["error"]
    assert told[-1]["state"] in ("stopped", "done")
    assert nothing.status_code == 404


def test_the_end_of_the_server_ends_the_run(model_collection: Path, tmp_path: Path) -> None:
    shutil.copytree(model_collection / "c", tmp_path / "c")
    settings = ServerSettings(port=0, writes=True)
    with serving([tmp_path / "c"], tmp_path / "cache", settings, hashes=False) as served:
        served.client.post("/v1/index", json={})
        runs = served.server.context.runs

    deadline = time.monotonic() + WAIT_S
    while runs.last is not None and runs.last.state == "running" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert runs.last is not None
    assert runs.last.state in ("stopped", "done")
    with Writer(tmp_path / "c"):
        pass  # nobody holds the lock
