"""Rebinding, and what pages of other sites have a browser send: refused on every route."""

from __future__ import annotations

import pytest

from tests.retrieval.server.raw_requests import ROUTES, raw, status_of
from tests.serving import Serving

pytestmark = pytest.mark.usefixtures("goes_on")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost:1",
        "",
        "127.0.0.1:{port}@evil.example",
        "[::1",
        "a b",
    ],
)
def test_a_foreign_host_is_refused_on_every_route(served: Serving, route: str, host: str) -> None:
    answer = raw(
        served,
        f"GET {route} HTTP/1.1\r\nHost: {host.format(port=served.port)}\r\nConnection: close\r\n\r\n".encode(),
    )

    assert status_of(answer) in (400, 421)
    assert b"{port}" not in answer


def test_two_host_headers_and_none_are_refused(served: Serving) -> None:
    both = raw(
        served, f"GET / HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nHost: evil.example\r\n\r\n".encode(), 1.0
    )
    none = raw(served, b"GET / HTTP/1.0\r\n\r\n")

    assert (status_of(both), status_of(none)) == (400, 421)


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:1", "file://", "http://localhost.evil.example"],
)
def test_a_foreign_origin_is_refused_on_every_route(served: Serving, route: str, origin: str) -> None:
    answer = served.client.get(route, headers={"Origin": origin})

    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "PUT", "DELETE"])
def test_no_method_is_open_to_another_site(served: Serving, method: str) -> None:
    answer = served.client.request(
        method,
        "/v1/search",
        headers={"Origin": "https://evil.example"},
        content=b'{"parts": [{"text": "a"}]}',
    )

    assert answer.status_code == 403


def test_a_picture_cannot_be_embedded_by_another_site_that_sends_no_origin(served: Serving) -> None:
    seen = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}

    assert served.client.get("/v1/items/1/thumbnail", headers=seen).status_code == 403


def test_a_link_of_another_site_opens_the_page_and_nothing_else(served: Serving) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    frame = {**link, "Sec-Fetch-Dest": "iframe"}

    assert served.client.get("/", headers=link).status_code == 200
    assert served.client.get("/", headers=frame).status_code == 403
    assert served.client.get("/v1/search?text=a", headers=link).status_code == 403


def test_the_page_of_the_server_itself_may_ask(served: Serving) -> None:
    own = {"Origin": served.url, "Sec-Fetch-Site": "same-origin"}

    assert served.client.post("/v1/search", headers=own, json={"parts": [{"text": "a"}]}).status_code == 200


@pytest.mark.parametrize("route", ROUTES)
def test_every_answer_forbids_scripts_of_others_frames_and_guessing_of_types(
    served: Serving, route: str
) -> None:
    headers = served.client.get(route).headers

    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers
