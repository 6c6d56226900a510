"""What every request passes, whatever its route: Host, Origin, token, size; and the headers of every answer."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import MutableMapping
from typing import Any

from fastapi import HTTPException
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from retrieval.server.access import Hosts, Tokens, is_from_elsewhere, is_local
from retrieval.server.metrics import Metrics
from retrieval.server.settings import ServerSettings

log = logging.getLogger("retrieval.server")

BODY_BYTES = 64 * 2**10  # of a request that is not an upload
LOGIN, STYLE, LINK, UPLOADS = "/login", "/page/app.css", "/open/", "/v1/uploads"
PAGE_PATHS = frozenset({"/", LOGIN})
_OTHER_HOST = "the request names another host; use the address that was printed, or start with --allow-host"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def too_large() -> HTTPException:
    """Refuse a request whose body is longer than its route takes."""
    return HTTPException(413, "the request is too large")


def too_slow() -> HTTPException:
    """Refuse a request whose body took too long to come."""
    return HTTPException(408, "the request took too long to arrive")


class Guard:
    """ASGI middleware around the whole application; keeps the request log, in which no query stands."""

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        hosts: Hosts,
        tokens: Tokens | None,
        cookie: str,
        metrics: Metrics,
    ) -> None:
        self.app, self._settings, self._hosts = app, settings, hosts
        self._tokens, self._cookie, self._metrics = tokens, cookie, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        body = _Body(receive, self._most(scope["path"]), self._settings.seconds)
        answer = _Answer(send, body, {name for name, _ in scope["headers"]})
        began = time.perf_counter()
        self._metrics.begin()
        refused = self._refusal(scope)
        try:
            if refused is None:
                await self.app(scope, body.receive, answer.send)
            else:
                await answer.refuse(*refused)
        except HTTPException as error:
            await answer.refuse(error.status_code, error.detail)
        finally:
            path = scope["path"] if not scope["path"].startswith(LINK) else f"{LINK}..."
            took = time.perf_counter() - began
            route = getattr(scope.get("route"), "path", None)
            self._metrics.end(route, scope["method"], answer.status, took)
            log.info("%s %s %s %.0f ms", scope["method"], ascii(path)[1:-1], answer.status, 1000 * took)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        """Check the headers of a request: status and sentence of a refusal, or None."""
        path, method = scope["path"], scope["method"]
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1")
            if key in headers and key in ("host", "origin", "authorization"):
                return 400, f"the request has two {key} headers"
            headers[key] = value.decode("latin-1")
        host = headers.get("host", "")
        if not self._hosts.allow(host):
            return 421, _OTHER_HOST
        origin = headers.get("origin")
        if origin is not None and not self._hosts.allow_origin(origin, host):
            return 403, "the request comes from a page of another site"
        if is_from_elsewhere(headers, method, path in PAGE_PATHS or path.startswith(LINK)):
            return 403, "the request comes from a page of another site"
        client = scope.get("client")
        scope.setdefault("state", {})["local"] = is_local(client[0] if client else None, host, headers)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > self._most(path):
            return 413, "the request is too large"
        if self._tokens is None or path in (LOGIN, STYLE) or path.startswith(LINK):
            return None
        if self._tokens.allow(headers, self._cookie):
            return None
        if path == "/" and method == "GET":
            scope["path"] = LOGIN  # and raw_path tells that another one was asked for
            return None
        return 401, "a token is needed; send it as Authorization: Bearer TOKEN, or log in at /login"

    def _most(self, path: str) -> int:
        return self._settings.upload_bytes if path == UPLOADS else BODY_BYTES


class _Body:
    """The body of one request on its way: not for ever, and not more of it than its route takes."""

    def __init__(self, receive: Receive, most: int, seconds: float) -> None:
        self._receive, self._left, self._deadline = receive, most, time.monotonic() + seconds
        self.is_whole = False

    async def receive(self) -> Message:
        if self.is_whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), max(0.0, self._deadline - time.monotonic()))
        except TimeoutError as error:
            raise too_slow() from error
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            raise too_large()
        self.is_whole = not message.get("more_body", False)
        return message


class _Answer:
    """The answer to one request on its way: adds what every answer has, and remembers the status."""

    def __init__(self, send: Send, body: _Body, headers: set[bytes]) -> None:
        self._send, self._body = send, body
        self._has_body = not headers.isdisjoint((b"content-length", b"transfer-encoding"))
        self.status: int | None = None

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
            if self._has_body and not self._body.is_whole:
                headers["Connection"] = "close"  # else the server would go on to read, and drop, the rest
        await self._send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        if self.status is not None:
            return  # too late: half an answer has been sent, and the connection is closed
        body = json.dumps({"error": sentence}).encode()
        head: list[tuple[bytes, bytes]] = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self.send({"type": "http.response.start", "status": status, "headers": head})
        await self.send({"type": "http.response.body", "body": body})
