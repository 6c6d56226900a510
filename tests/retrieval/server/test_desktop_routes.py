"""The folder of an item on the desktop of the server: for who sits there, and no other folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import indexer
from retrieval.desktop import open_folder_of
from retrieval.errors import VlsearchError
from retrieval.testing import HashEncoder
from tests.builders import draw
from tests.desktops import desktop
from tests.serving import Serving, serving

JSON = {"Content-Type": "application/json"}
HOSTILE = "a b;touch owned $(touch owned) `touch owned` --help"  # of a folder


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the desktop writes what it opens."""
    return desktop(tmp_path, monkeypatch)


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Serving]:
    draw(tmp_path / "photos" / HOSTILE / "one.png", (1, 2, 3))
    indexer.build(tmp_path / "photos", tmp_path / "c", model=HashEncoder())
    with serving([tmp_path / "c"], tmp_path / "cache") as found:
        yield found


def test_the_folder_of_an_item_is_opened_as_one_argument_and_no_shell_reads_it(
    there: Serving, opened: Path, tmp_path: Path
) -> None:
    assert there.client.get("/v1/collections").json()["opens"] is True

    answer = there.client.post("/v1/items/1/open-folder", json={})

    assert answer.status_code == 200, answer.text
    assert opened.read_text(encoding="utf-8").split("\0")[:-1] == [str(tmp_path / "photos" / HOSTILE)]
    assert not list(tmp_path.rglob("owned"))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"X-Forwarded-For": "203.0.113.7"}, 403),
        ({"Forwarded": "for=203.0.113.7"}, 403),
        ({"X-Real-IP": "203.0.113.7"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "photos.example.org"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_clients_elsewhere_and_pages_of_other_sites_open_nothing(
    there: Serving, opened: Path, headers: dict[str, str], status: int
) -> None:
    answer = there.client.post("/v1/items/1/open-folder", content="{}", headers=JSON | headers)

    assert answer.status_code == status
    assert not opened.exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_link_or_a_picture_of_a_page_opens_nothing(there: Serving, opened: Path, method: str) -> None:
    assert there.client.request(method, "/v1/items/1/open-folder").status_code == 405
    assert not opened.exists()


def test_clients_elsewhere_are_not_offered_it(there: Serving, opened: Path) -> None:
    answer = there.client.get("/v1/collections", headers={"X-Forwarded-For": "203.0.113.7"})

    assert answer.json()["opens"] is False


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/items/99/open-folder", "{}", 404),
        ("/v1/items/..%2f..%2fetc/open-folder", "{}", 404),
        ("/v1/items/1/open-folder", '{"folder": "/etc"}', 400),
        ("/v1/items/1/open-folder", '{"collection": "other"}', 404),
    ],
)
def test_no_other_folder_is_opened(there: Serving, opened: Path, path: str, body: str, status: int) -> None:
    assert there.client.post(path, content=body, headers=JSON).status_code == status
    assert not opened.exists()


def test_an_item_that_is_hidden_or_not_a_file_opens_nothing(
    there: Serving, opened: Path, tmp_path: Path
) -> None:
    indexer.hide(tmp_path / "c", [1])

    assert there.client.post("/v1/items/1/open-folder", json={}).status_code == 404
    assert not opened.exists()


def test_a_folder_that_has_gone_and_a_desktop_without_a_program_are_a_sentence(
    there: Serving, opened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setenv("VIEWER_CODE", "3")
        failed = there.client.post("/v1/items/1/open-folder", json={})
    opened.unlink()
    (tmp_path / "photos" / HOSTILE).rename(tmp_path / "elsewhere")
    gone = there.client.post("/v1/items/1/open-folder", json={})

    assert (failed.status_code, gone.status_code) == (409, 409)
    assert failed.json()["error"] == "xdg-open found no program that shows folders (exit code 3)"
    assert gone.json()["error"] == "the folder of one.png is not there now"
    assert not opened.exists()


def test_where_there_is_no_desktop_nothing_is_offered_and_asking_is_a_sentence(
    there: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    assert there.client.get("/v1/collections").json()["opens"] is False
    answer = there.client.post("/v1/items/1/open-folder", json={})

    assert (answer.status_code, "no desktop" in answer.json()["error"]) == (409, True)


def test_a_program_of_macos_is_shown_in_its_folder_and_never_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = draw(tmp_path / "Evil.app" / "one.png", (1, 2, 3))
    ran: list[list[str]] = []

    def run(command: list[str]) -> int:
        ran.append(command)
        return 0

    monkeypatch.setattr("retrieval.desktop.sys.platform", "darwin")
    monkeypatch.setattr("retrieval.desktop.shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("retrieval.desktop.run_opener", run)

    open_folder_of(picture)

    assert ran == [["/usr/bin/open", "-R", str(picture)]]
    with pytest.raises(VlsearchError, match=r"the folder of gone\.png is not there now"):
        open_folder_of(tmp_path / "Evil.app" / "gone.png")
