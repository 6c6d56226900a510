"""Whatever answers at an address, a client raises one of vlsearch's errors, and repeats no password."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import retrieval
from retrieval.errors import QueryError, ServerError, UsageError

Client = retrieval.RemoteEngine

METHODS: dict[str, Callable[[Client], Any]] = {
    "search": lambda client: client.search("a"),
    "similar": lambda client: client.similar(1),
    "search_batch": lambda client: client.search_batch(["a"]),
    "search_album": lambda client: client.search_album("a"),
    "explain": lambda client: client.explain(1, "a"),
    "draw": lambda client: client.draw(1, "a"),
    "facets": lambda client: client.facets(),
    "get": lambda client: client.get("a"),
    "named": lambda client: client.named("a"),
    "items": lambda client: list(client.items()),
    "keys": lambda client: list(client.keys()),
    "info": lambda client: client.info(),
    "picture": lambda client: client.picture(1),
    "thumbnail": lambda client: client.thumbnail(1),
    "upload": lambda client: client.search(b"bytes"),
}
NDJSON = "application/x-ndjson"


@contextmanager
def stranger(body: bytes, kind: str = "application/json") -> Iterator[str]:
    """Answer every request with a body, and give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (
            b'{"hits": [{"rank": 1}], "next": null, "item": {}, "facets": [1], "answers": []}',
            "application/json",
        ),
        (b"[" * 100_000, "application/json"),
        (b"<html>hello</html>", "text/html"),
        (b"", "text/html"),
        (b"<html>hello</html>\n", NDJSON),
        (b"[]\n", NDJSON),
        (b"3\n", NDJSON),
    ],
)
def test_what_is_no_answer_is_told_by_every_method(body: bytes, kind: str) -> None:
    with stranger(body, kind) as address, retrieval.connect(address) as client:
        for name, call in METHODS.items():
            with pytest.raises(ServerError, match=r"is not an answer of vlsearch\); check that") as told:
                pytest.fail(f"{name} gives {call(client)!r}")
            assert str(told.value).startswith(f"cannot ask the server at {address}/v1/")


def test_pages_that_never_end_and_hold_nothing_end() -> None:
    with stranger(b'{"hits": [], "next": 10}') as address, retrieval.connect(address) as client:
        assert client.search("a") == []


@pytest.mark.parametrize(
    "call", [lambda client: client.named("x" * 100_000), lambda client: client.facets(where="x" * 70_000)]
)
def test_what_is_too_long_for_an_address_is_a_mistake_of_the_query(call: Callable[[Client], Any]) -> None:
    with (
        retrieval.connect("http://127.0.0.1:9") as client,
        pytest.raises(
            QueryError, match=r"cannot be written in an address .*; ask with a shorter name or condition"
        ),
    ):
        call(client)


def test_what_is_not_unicode_is_found_nowhere_or_told() -> None:
    with retrieval.connect("http://127.0.0.1:9") as client:
        assert client.get("\ud800") is None
        assert client.named("\ud800") is None
        with pytest.raises(QueryError, match=r"not valid Unicode"):
            client.search("a", where="camera = \ud800")


@pytest.mark.parametrize("name", sorted(METHODS.keys() - {"upload"}))
def test_a_client_that_was_closed_says_so(name: str) -> None:
    client = retrieval.connect("http://127.0.0.1:9")
    client.close()

    with pytest.raises(UsageError, match=r"the connection to http://127.0.0.1:9 was closed; connect again"):
        METHODS[name](client)


@pytest.mark.parametrize("timeout", [-1, 0, float("nan"), float("inf"), 1e300])
def test_a_time_that_cannot_be_waited_is_refused(timeout: float) -> None:
    with pytest.raises(UsageError, match=r"give seconds to wait for an answer, more than 0"):
        retrieval.connect("http://127.0.0.1:9", timeout=timeout)


@pytest.mark.parametrize(
    "address",
    [
        "http://user:hunter2@host",
        "http://user:hunter2@host:x",
        "http://host/?token=hunter2",
        "user:hunter2@host",
        "http://host/#hunter2",
        "http://user:hunter2\n@host",
    ],
)
def test_a_secret_in_an_address_is_not_repeated(address: str) -> None:
    with pytest.raises(UsageError, match=r"is not the address of a server, which has no user") as told:
        retrieval.connect(address)

    error: BaseException | None = told.value
    assert "hunter2" not in f"{error} {error!r} {told.value.__cause__!r}"


@pytest.mark.parametrize("name", [".", "..", "", " ", "a\0b", "\ud800", "x" * 201])
def test_an_album_that_no_address_can_name_is_not_there(name: str) -> None:
    with (
        retrieval.connect("http://127.0.0.1:9") as client,
        pytest.raises(retrieval.errors.NoSuchAlbum, match=r"^there is no album of that name: "),
    ):
        client.search_album(name)
