"""Requests as bytes, which no client would send; and routes of every kind."""

from __future__ import annotations

import contextlib
import socket

from tests.serving import Serving

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
