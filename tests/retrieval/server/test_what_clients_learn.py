"""What clients elsewhere, and the log, learn of this machine and of those who ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from retrieval.server.access import Hosts, is_local
from retrieval.server.settings import ServerSettings
from tests.retrieval.server.conftest import TOKEN
from tests.retrieval.server.raw_requests import get
from tests.serving import Serving

pytestmark = pytest.mark.usefixtures("goes_on")


def test_a_client_elsewhere_learns_no_path_of_this_machine(locked: Serving, album: Path) -> None:
    asked = {"Authorization": f"Bearer {TOKEN}", "Host": "photos.example.org"}
    answers = [
        locked.client.get(path, headers=asked)
        for path in (
            "/v1/search?text=caption 1", "/v1/items/1", "/v1/info", "/v1/collections", "/v1/facets",
            "/v1/facets?field=folder", "/v1/items/99999/similar", "/v1/search?item=99999",
        )
    ]  # fmt: skip

    assert [answer.status_code for answer in answers] == [*[200] * 6, 400, 400]
    for answer in answers:
        assert str(album.parent) not in answer.text
        assert "/tmp" not in answer.text


@pytest.mark.parametrize(
    "header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via", "X-Forwarded-Proto", "CF-Connecting-IP"]
)
def test_who_comes_through_a_proxy_is_not_local(header: str) -> None:
    assert is_local("127.0.0.1", "localhost:8642", {})
    assert not is_local("127.0.0.1", "localhost:8642", {header.lower(): "203.0.113.9"})
    assert not is_local("127.0.0.1", "photos.example.org", {})
    assert not is_local("203.0.113.9", "localhost:8642", {})


def test_a_server_on_all_addresses_answers_to_addresses_in_numbers_and_not_to_names() -> None:
    hosts = Hosts(ServerSettings("0.0.0.0", token="t" * 16, names=("photos.example.org",)), 8642)

    assert hosts.allow("192.168.1.7:8642")
    assert hosts.allow("[fe80::1]:8642")
    assert hosts.allow("photos.example.org")
    assert not hosts.allow("evil.example:8642")
    assert not hosts.allow("192.168.1.7:80")


def test_no_query_stands_in_the_request_log(served: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "retrieval.server"):
        served.client.get("/v1/search", params={"text": "a secret wish"})
        served.client.get("/open/a-secret-code")
        get(served, "/v1/a%0d%0aFORGED")

    lines = [record.getMessage() for record in caplog.records]
    assert "secret" not in "".join(lines)
    assert all(len(line.splitlines()) == 1 for line in lines)
    assert any(line.startswith("GET /v1/search 200") for line in lines)
