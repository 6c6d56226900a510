"""The route ``/mcp``, by which assistants search; what answers there is imported by its first request."""

from __future__ import annotations

import asyncio
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.errors import MissingExtra
from retrieval.extras import is_installed
from retrieval.server.answers import Answer
from retrieval.server.context import Context


class AssistantRoute:
    """An ASGI application that makes the one which answers when it is first asked: its packages take a second."""

    def __init__(self, shared: Context) -> None:
        self._shared = shared
        self._app: ASGIApp | None = None
        self._making = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if not is_installed("mcp"):
            sentence = str(MissingExtra("an answer to assistants (MCP)", "mcp"))
            await Answer({"error": sentence}, 501)(scope, receive, send)
            return
        async with self._making:
            if self._app is None:
                self._app = await asyncio.to_thread(partial(_make, self._shared))
        await self._app(scope, receive, send)


def _make(shared: Context) -> ASGIApp:
    from retrieval.server.assistant_protocol import AssistantApp  # late: an extra, and slow to import

    return AssistantApp(shared)
