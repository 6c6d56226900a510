"""A web server on loopback that gives out pictures, and misbehaves in every way that a download must survive."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Protocol, TypeVar


class Server(ThreadingHTTPServer):
    """Answers ``/name`` with ``files[name]``; the paths in ``WAYS`` misbehave, and ``/locked`` needs a password."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.locked = b""
        self.asked: list[str] = []
        self.hosts: list[str] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        name = self.path.partition("?")[0].removeprefix("/")
        self.server.asked.append(name)
        self.server.hosts.append(self.headers["Host"])
        if name == "locked":
            told = self.headers["Authorization"] is not None
            self.give(self.server.locked if told else b"", 200 if told else 401)
        elif name in self.server.redirects:
            self.give(b"", 302, Location=self.server.redirects[name])
        elif name in WAYS:
            WAYS[name](self)
        elif name in self.server.files:
            self.give(self.server.files[name])
        else:
            self.give(b"not here", 404)

    def give(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def trickle(self, data: bytes) -> None:
        """A byte now and then, for ever, until the test is over or nobody listens."""
        self.close_connection = True
        try:
            while not self.server.over.wait(0.05):
                self.wfile.write(data)
                self.wfile.flush()
        except OSError:
            pass

    def handle(self) -> None:
        with suppress(OSError):  # the client has hung up, as it should
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


def _endless(handler: _Handler) -> None:
    handler.send_response(200)
    handler.end_headers()
    handler.close_connection = True
    try:
        while not handler.server.over.is_set():
            handler.wfile.write(bytes(2**16))
    except OSError:
        pass


def _slow_body(handler: _Handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    handler.trickle(b"x")


def _slow_headers(handler: _Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    handler.trickle(b"x")


def _silent(handler: _Handler) -> None:
    handler.close_connection = True
    handler.server.over.wait(60)


def _cut_off(handler: _Handler) -> None:
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)


def _no_http(handler: _Handler) -> None:
    handler.close_connection = True
    handler.wfile.write(b"220 this is a mail server\r\n")


def _redirect(target: str) -> Callable[[_Handler], None]:
    return lambda handler: handler.give(b"", 302, Location=target)


WAYS: dict[str, Callable[[_Handler], None]] = {
    "endless": _endless,
    "slow-body": _slow_body,
    "slow-headers": _slow_headers,
    "silent": _silent,
    "cut-off": _cut_off,
    "no-http": _no_http,
    "gone": lambda handler: handler.give(b"", 410),
    "broken": lambda handler: handler.give(b"", 500),
    "loop": _redirect("/loop"),
    "to-a-file": _redirect("file:///etc/hostname"),
    "to-nowhere": _redirect("http://"),
    "moved": _redirect("/picture.png"),
    "bomb": lambda handler: handler.give(gzip.compress(bytes(2**24)), Content_Encoding="gzip"),
}


@contextmanager
def server_on_loopback() -> Iterator[Server]:
    with running(Server()) as server:
        yield server


class Stoppable(Protocol):
    """A server whose handlers go on until ``over`` is set."""

    over: threading.Event

    def serve_forever(self, poll_interval: float) -> None: ...
    def shutdown(self) -> None: ...
    def server_close(self) -> None: ...


Running = TypeVar("Running", bound=Stoppable)


@contextmanager
def running(server: Running) -> Iterator[Running]:
    """Answer in a thread until the block ends."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
