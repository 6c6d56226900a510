"""Listen, say where, open the browser, and answer until interrupted."""

from __future__ import annotations

import logging
import os
import socket
import sys
import webbrowser
from collections.abc import Callable

import uvicorn

from retrieval.errors import UsageError
from retrieval.server.app import Server
from retrieval.server.served import Collections
from retrieval.server.settings import ServerSettings, is_everywhere

CONNECTIONS = 512
KEEP_ALIVE_S = 30
SWITCH_S = 0.001
"""How long a thread keeps the interpreter from those that wait.

Beside three that compute, the one that reads requests and sends answers woke 24 ms late on a busy machine with Python's
5 ms, and 7 with this.
"""

LONGEST_HEADERS = 32 * 2**10


def listen(settings: ServerSettings) -> socket.socket:
    """Open the socket to listen on.

    Raises:
        UsageError: the address is not one of this machine, or the port is taken.
    """
    try:
        found = socket.getaddrinfo(settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"cannot listen on {settings.host!r} ({_reason(error)}); choose another --host"
        ) from error
    try:
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {settings.host} port {settings.port} ({_reason(error)}); choose another --port"
        ) from error
    return listener


def serve(
    collections: Collections,
    settings: ServerSettings,
    listener: socket.socket,
    on_start: Callable[[str], None],
) -> None:
    """Answer until interrupted, then end what is under way.

    Args:
        collections: what is searched.
        settings: as it was told.
        listener: from :func:`listen`.
        on_start: called with the address of the page when the server answers; with a token, a link that works once.
    """
    sys.setswitchinterval(SWITCH_S)
    port = listener.getsockname()[1]
    server = Server(collections, settings, port)
    base = page_address(settings, port)
    address = base if server.tokens is None else f"{base}open/{server.tokens.new_code()}"
    config = uvicorn.Config(
        server,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=LONGEST_HEADERS,
    )
    try:
        _Announced(config, lambda: on_start(address)).run(sockets=[listener])
    finally:
        server.close()


def page_address(settings: ServerSettings, port: int) -> str:
    """Give the address of the page, as it can be opened from where the server can be reached."""
    host = socket.gethostname() if is_everywhere(settings.host) else settings.host.strip("[]")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def open_browser(address: str) -> None:
    """Open a browser with a window of its own; none that would take over the terminal."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(address)


def log_requests() -> None:
    """Write the request log, and what goes wrong, to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    for name, level in (("retrieval.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addHandler(handler)
        logger.propagate = False


class _Announced(uvicorn.Server):
    """A server that tells when it answers."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()


def _reason(error: OSError | UnicodeError) -> str:
    return getattr(error, "strerror", None) or str(error)
