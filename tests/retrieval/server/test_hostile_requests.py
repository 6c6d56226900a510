"""What strangers, their pages and their pictures may send: each is answered as it should, and the server goes on."""

from __future__ import annotations

import contextlib
import socket
import statistics
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image, PngImagePlugin

import indexer
from retrieval.errors import UsageError
from retrieval.query.pictures import media_type
from retrieval.server.access import Hosts, Tokens, is_local
from retrieval.server.guard import BODY_BYTES
from retrieval.server.settings import ServerSettings
from retrieval.server.uploads import RECEIVED_AT_A_TIME
from retrieval.testing import HashEncoder
from tests.retrieval.server.conftest import TOKEN
from tests.serving import Serving, serving

ROUTES = (
    "/",
    "/page/app.css",
    "/favicon.ico",
    "/v1/health",
    "/v1/search?text=a",
    "/v1/items/1/picture",
    "/nothing",
)


def raw(served: Serving, request: bytes, silent_s: float = 10.0) -> bytes:
    """Send bytes as they are, and give all that comes back until the server closes, or for so long is silent."""
    found = b""
    link = socket.create_connection(("127.0.0.1", served.port), timeout=silent_s)
    with link, contextlib.suppress(OSError):  # it closes, or resets, what it refuses
        link.sendall(request)
        while chunk := link.recv(65536):
            found += chunk
    return found


def get(served: Serving, path: str, *headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{served.port}", "Connection: close", *headers, "", ""]
    return raw(served, "\r\n".join(lines).encode("latin-1"))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.fixture(autouse=True, scope="module")
def _goes_on(served: Serving) -> Any:
    yield
    assert served.client.get("/v1/health").json() == {"status": "ok"}


# Rebinding and requests of other sites


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


# Paths and parameters


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


def test_a_page_far_beyond_the_end_is_empty(served: Serving) -> None:
    answer = served.client.get("/v1/search", params={"text": "a", "offset": 2**31}).json()

    assert (answer["hits"], answer["next"]) == ([], None)


# Sizes, slowness, malformed HTTP


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


# Pictures


def test_an_svg_or_a_page_under_a_pictures_name_is_never_given_out(tmp_path: Path) -> None:
    for name, data in {
        "a.svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        "a.jpg": b"<html><script>alert(1)</script></html>",
        "a.gif": b"GIF89a/*<svg/onload=alert(1)>*/=1;",
        "a.png": b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>",
    }.items():
        assert media_type(data) in (None, "image/gif"), name
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.jpg").write_bytes(b"<html><script>alert(1)</script></html>")
    Image.new("RGB", (9, 9)).save(tmp_path / "album/b.png")
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]
        Path(hit["path"]).write_bytes(
            b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
        )

        assert served.client.get(f"/v1/items/{hit['id']}/picture").status_code == 404


def test_a_picture_that_is_also_a_page_runs_nothing(tmp_path: Path) -> None:
    note = PngImagePlugin.PngInfo()
    note.add_text("c", "<html><script>alert(1)</script>")
    (tmp_path / "album").mkdir()
    Image.new("RGB", (9, 9)).save(tmp_path / "album/b.png", pnginfo=note)
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]

        answer = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].endswith("sandbox")


def test_a_name_with_line_feeds_and_quotes_cannot_end_a_header(tmp_path: Path) -> None:
    (tmp_path / "album").mkdir()
    name = 'a\r\nSet-Cookie: x=1\r\n\r\n";é.png'
    Image.new("RGB", (9, 9)).save(tmp_path / "album" / name)
    indexer.build(tmp_path / "album", tmp_path / "photos", model=HashEncoder())
    with serving([tmp_path / "photos"], tmp_path / "cache") as served:
        (hit,) = served.client.get("/v1/search", params={"text": "x"}).json()["hits"]

        answer = served.client.get(f"/v1/items/{hit['id']}/picture")

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert "\n" not in answer.headers["content-disposition"]


def test_a_picture_that_would_fill_the_memory_is_refused_by_its_header(
    served: Serving, tmp_path: Path
) -> None:
    Image.new("1", (15_000, 15_000)).save(tmp_path / "bomb.png")

    answer = served.client.post("/v1/uploads", content=(tmp_path / "bomb.png").read_bytes())

    assert answer.status_code == 400
    assert "pixels" in answer.json()["error"]


def test_uploads_are_forgotten_when_others_need_their_room(album: Path, tmp_path: Path) -> None:
    pictures = [path.read_bytes() for path in sorted((album.parent / "album").glob("*.jpg"))]
    with serving([album], tmp_path, ServerSettings(port=0, kept_bytes=3 * max(map(len, pictures)))) as small:
        names = [small.client.post("/v1/uploads", content=data).json()["upload"] for data in pictures]

        first = small.client.get(f"/v1/uploads/{names[0]}/thumbnail")
        last = small.client.get(f"/v1/uploads/{names[-1]}/thumbnail")

    assert first.json() == {"error": "the picture is not here any more; send it again"}
    assert last.status_code == 200


# Tokens


@pytest.mark.parametrize("route", [route for route in ROUTES if route not in ("/", "/page/app.css")])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Cookie": f"vlsearch-1={TOKEN}"},
    ],
    ids=range(7),
)
def test_without_the_token_nothing_is_answered(locked: Serving, route: str, headers: dict[str, str]) -> None:
    answer = locked.client.get(route, headers=headers)

    assert answer.status_code == 401
    assert list(answer.json()) == ["error"]


def test_without_the_token_the_page_asks_for_it_and_says_nothing_else(locked: Serving) -> None:
    answer = locked.client.get("/")

    assert answer.status_code == 401
    assert "photos" not in answer.text
    assert "<form" in answer.text


def test_the_token_opens_the_api(locked: Serving) -> None:
    answer = locked.client.get("/v1/search?text=a", headers={"Authorization": f"Bearer {TOKEN}"})

    assert answer.status_code == 200


def test_the_link_that_is_printed_works_once_and_its_cookie_opens_the_page(locked: Serving) -> None:
    assert locked.server.tokens is not None
    link = f"/open/{locked.server.tokens.new_code()}"

    with httpx.Client(base_url=locked.url, trust_env=False) as browser:
        first = browser.get(link)
        page = browser.get("/")
    second = locked.client.get(link)

    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie
    assert 'id="app"' in page.text
    assert second.status_code == 403
    assert "set-cookie" not in second.headers


def test_the_login_page_takes_the_token_and_nothing_near_it(locked: Serving) -> None:
    with httpx.Client(base_url=locked.url, trust_env=False) as browser:
        wrong = browser.post("/login", data={"token": TOKEN.upper()})
        right = browser.post("/login", data={"token": TOKEN})
        page = browser.get("/v1/info")

    assert (wrong.status_code, right.status_code, page.status_code) == (403, 303, 200)


def test_a_login_from_another_site_is_refused(locked: Serving) -> None:
    answer = locked.client.post("/login", data={"token": TOKEN}, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_tokens_are_compared_in_a_time_that_does_not_tell_where_they_differ() -> None:
    tokens = Tokens("t" * 4096)
    near, far = "t" * 4095 + "x", "x" + "t" * 4095

    def nanoseconds(given: str) -> float:
        began = time.perf_counter_ns()
        for _ in range(200):
            tokens.is_token(given)
        return (time.perf_counter_ns() - began) / 200

    pairs = [(nanoseconds(near), nanoseconds(far)) for _ in range(21)]
    assert 0.5 < statistics.median(one / other for one, other in pairs) < 2


def test_an_address_that_others_can_reach_needs_a_token_that_is_not_easy_to_guess() -> None:
    with pytest.raises(UsageError, match="a token is needed"):
        ServerSettings("0.0.0.0")
    with pytest.raises(UsageError, match="too easy to guess"):
        ServerSettings("0.0.0.0", token="secret")


# What others may know of this machine


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


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
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


# Load


def test_requests_beyond_the_queue_are_turned_away_and_told_when_to_ask_again(
    album: Path, tmp_path: Path
) -> None:
    settings = ServerSettings(port=0, searching=1, waiting=0)
    with serving([album], tmp_path, settings) as busy:
        with busy.server.context.searches._lock:
            busy.server.context.searches._inside += 1  # as if one were under way

        answer = busy.client.get("/v1/search?text=a")
        with busy.server.context.searches._lock:
            busy.server.context.searches._inside -= 1
        after = busy.client.get("/v1/search?text=a")

    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert after.status_code == 200


def test_so_many_uploads_at_a_time_are_received_and_others_told_when_to_send_again(
    album: Path, tmp_path: Path
) -> None:
    picture = (album.parent / "album/picture 1.jpg").read_bytes()
    with serving([album], tmp_path) as busy, contextlib.ExitStack() as slow:
        for _ in range(RECEIVED_AT_A_TIME):
            slow.enter_context(busy.server.context.uploads.receiving())

        refused = busy.client.post("/v1/uploads", content=picture)
        slow.close()
        taken = busy.client.post("/v1/uploads", content=picture)

    assert (refused.status_code, taken.status_code) == (429, 201)


def test_no_query_stands_in_the_request_log(served: Serving, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "retrieval.server"):
        served.client.get("/v1/search", params={"text": "a secret wish"})
        served.client.get("/open/a-secret-code")
        get(served, "/v1/a%0d%0aFORGED")

    lines = [record.getMessage() for record in caplog.records]
    assert "secret" not in "".join(lines)
    assert all(len(line.splitlines()) == 1 for line in lines)
    assert any(line.startswith("GET /v1/search 200") for line in lines)
