"""A store on loopback that answers whatever a test says: what a proper server cannot be made to do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from tests.loopback import running

Respond = Callable[["Handler"], None]

TIME = "2026-01-02T03:04:05.000Z"


class HostileStore(ThreadingHTTPServer):
    """Answers every request by ``respond``; ``asked`` are the paths of all requests, queries and all."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str] = []
        self.over = threading.Event()
        self.respond: Respond = refuse(404, "NoSuchKey")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: HostileStore
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.respond(self)

    do_HEAD = do_GET

    def give(self, data: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def handle(self) -> None:
        with suppress(OSError):  # the client has hung up, as it should
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


def refuse(status: int, code: str, words: str = "", **headers: str) -> Respond:
    """An error of S3, with words that a message must not repeat."""
    body = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>".encode()
    return lambda handler: handler.give(body, status, **headers)


@dataclass(frozen=True)
class Page:
    """One answer to a listing; ``next`` is what the next one is to be asked by."""

    keys: Sequence[str] = ()
    folders: Sequence[str] = ()
    size: str = "3"
    next: str | None = None
    raw: dict[str, str] = field(default_factory=dict)

    def __call__(self, handler: Handler) -> None:
        contents = "".join(
            f"<Contents><Key>{quote(key)}</Key><LastModified>{TIME}</LastModified>"
            f'<ETag>"1"</ETag><Size>{self.size}</Size></Contents>'
            for key in self.keys
        )
        prefixes = "".join(
            f"<CommonPrefixes><Prefix>{quote(one)}</Prefix></CommonPrefixes>" for one in self.folders
        )
        more = "" if self.next is None else f"<NextContinuationToken>{self.next}</NextContinuationToken>"
        truncated = "false" if self.next is None else "true"
        handler.give(
            f"<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>{truncated}</IsTruncated>"
            f"{contents}{prefixes}{more}</ListBucketResult>".encode()
        )


def trickle(handler: Handler) -> None:
    """A byte now and then, for ever, until the test is over or nobody listens."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    with suppress(OSError):
        while not handler.server.over.wait(0.05):
            handler.wfile.write(b"x")
            handler.wfile.flush()


def cut_off(handler: Handler) -> None:
    """The beginning of an object, and then nothing."""
    handler.close_connection = True
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"x" * 10)


@contextmanager
def hostile_store() -> Iterator[HostileStore]:
    """Run one."""
    with running(HostileStore()) as server:
        yield server
