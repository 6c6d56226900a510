"""Paths, parameters, bodies and bytes that are none: each is answered with a sentence, and nothing is read for it."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from retrieval.server.guard import BODY_BYTES
from retrieval.server.settings import ServerSettings
from tests.retrieval.server.raw_requests import get, raw, status_of
from tests.serving import Serving, serving

pytestmark = pytest.mark.usefixtures("goes_on")


@pytest.mark.parametrize(
    "path",
    [
        "/page/../app.py",
        "/page/..%2fapp.py",
        "/page/%2e%2e/%2e%2e/app.py",
        "/page/....//app.py",
        "/page//etc/passwd",
        "/page/%00",
        "/page/vendor/..\\..\\app.py",
        "/v1/items/../../../etc/passwd/picture",
        "/v1/items/..%2f..%2fetc%2fpasswd/picture",
        "/v1/uploads/..%2f..%2fx/thumbnail",
        "//etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
    ],
)
def test_no_path_leads_out_of_the_page_or_to_a_file(served: Serving, path: str) -> None:
    answer = get(served, path)

    assert status_of(answer) in (400, 404)
    assert b"root:" not in answer
    assert b"FastAPI" not in answer


@pytest.mark.parametrize(
    "id",
    [
        "0",
        "-1",
        "1e3",
        "9223372036854775808",
        "99999999999999999999999999",
        "1%00",
        "file:///etc/passwd",
        "½",
    ],
)
@pytest.mark.parametrize("form", ["", "/picture", "/thumbnail", "/similar"])
def test_an_id_that_is_not_one_is_answered_with_a_sentence(served: Serving, id: str, form: str) -> None:
    answer = served.client.get(f"/v1/items/{id}{form}")

    assert answer.status_code in (400, 404)
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "text", ["/etc/passwd", "image:/etc/passwd", "file:///etc/passwd", "http://127.0.0.1/x.jpg", "./a.jpg"]
)
def test_words_are_never_read_as_a_path_or_an_address(served: Serving, text: str) -> None:
    answer = served.client.get("/v1/search", params={"text": text, "k": 3})

    assert answer.status_code == 200
    assert len(answer.json()["hits"]) == 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"parts": []}',
        b'{"parts": [{}]}',
        b'{"parts": [{"text": "a", "item": 1}]}',
        b'{"parts": [{"text": "a", "weight": NaN}]}',
        b'{"parts": [{"text": "a", "weight": 1e400}]}',
        b'{"parts": [{"text": "a", "weight": 0}]}',
        b'{"parts": [{"text": "\\ud800"}]}',
        b'{"parts": [{"image": "/etc/passwd"}]}',
        b'{"parts": [{"text": "a"}], "k": 100000000}',
        b'{"parts": [{"text": "a"}], "offset": -1}',
        b'{"parts": [{"text": "a"}], "where": "1=1; DROP TABLE items"}',
        b'{"parts": [{"upload": "../../etc/passwd"}]}',
        b"[" * 30_000,
        b"\xff\xfe\x00",
    ],
    ids=range(18),
)
def test_a_body_that_is_no_search_is_answered_with_a_sentence(served: Serving, body: bytes) -> None:
    answer = served.client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


def test_parts_that_cancel_each_other_out_are_answered_with_a_sentence(served: Serving) -> None:
    parts = [{"text": "a", "weight": 1}, {"text": "a", "weight": -1}]

    answer = served.client.post("/v1/search", json={"parts": parts})

    assert answer.status_code == 400
    assert "cancel each other out" in answer.json()["error"]


@pytest.mark.parametrize("part", [{"item": 1}, {"item": 9}, {"item": 10**9}, {"key": "x"}], ids=str)
@pytest.mark.parametrize("find", ["image", "text", None])
def test_a_search_for_words_with_something_else_is_answered_with_a_sentence(
    served: Serving, part: dict[str, object], find: str | None
) -> None:
    asked = {"parts": [part], "mode": "words"} | ({} if find is None else {"find": find})

    answer = served.client.post("/v1/search", json=asked)

    assert answer.status_code == 400
    assert "takes words alone" in answer.json()["error"]


def test_a_page_far_beyond_the_end_is_empty(served: Serving) -> None:
    answer = served.client.get("/v1/search", params={"text": "a", "offset": 2**31}).json()

    assert (answer["hits"], answer["next"]) == ([], None)


def test_a_body_that_says_it_is_huge_is_refused_before_it_is_read(served: Serving) -> None:
    for path, size in (("/v1/search", BODY_BYTES + 1), ("/v1/uploads", 10**12), ("/v1/uploads", 10**40)):
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nContent-Length: {size}\r\n\r\n"
        assert status_of(raw(served, head.encode())) in (400, 413)


@pytest.mark.parametrize("path", ["/v1/search", "/v1/uploads", "/login", "/v1/health"])
def test_a_body_that_does_not_say_how_large_it_is_is_cut_at_the_limit(
    album: Path, tmp_path: Path, path: str
) -> None:
    with serving([album], tmp_path, ServerSettings(port=0, upload_bytes=BODY_BYTES)) as small:
        sent = 0

        def endless() -> Any:
            nonlocal sent
            while sent < 2**28:
                sent += 65536
                yield bytes(65536)

        try:
            status = small.client.post(path, content=endless()).status_code
        except httpx.TransportError:  # the server has hung up, as it may
            status = 413

        assert status in (405, 413)
        assert sent < 2**26


def test_a_body_that_trickles_is_given_up(album: Path, tmp_path: Path) -> None:
    with serving([album], tmp_path, ServerSettings(port=0, seconds=0.5)) as hasty:
        head = f"POST /v1/uploads HTTP/1.1\r\nHost: 127.0.0.1:{hasty.port}\r\nContent-Length: 1000\r\n\r\nx"
        with socket.create_connection(("127.0.0.1", hasty.port), timeout=20) as link:
            link.sendall(head.encode())
            answer = link.recv(65536)

    assert status_of(answer) == 408


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_not_http_is_refused(served: Serving, request_: bytes) -> None:
    answer = raw(served, request_, silent_s=0.3)

    assert answer == b"" or status_of(answer) >= 400
    assert b"Traceback" not in answer


@pytest.mark.parametrize("method", ["HEAD", "TRACE", "CONNECT", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_other_methods_do_nothing(served: Serving, method: str) -> None:
    answer = raw(
        served,
        f"{method} /v1/info HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\nConnection: close\r\n\r\n".encode(),
    )

    assert status_of(answer) in (400, 405)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", r"^the body is not JSON \(Expecting .*, at character 1\); send a JSON object$"),
        (b"", r"^the body: Field required$"),
        (b"[]", r"^the body: Input should be a valid dictionary"),
        (b'{"k": 3}', r"^parts: Field required$"),
    ],
)
def test_what_is_wrong_with_a_body_names_it(served: Serving, body: bytes, said: str) -> None:
    answer = served.client.post("/v1/search", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
    assert re.search(said, answer.json()["error"])
