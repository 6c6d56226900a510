"""Who may ask: rules about Host, Origin and token. Pure, but for the one-time links.

A page of a stranger's may send a browser's requests here (cross-site request forgery), or have its own host name
resolve to this machine (DNS rebinding). The first carries a foreign ``Origin`` or ``Sec-Fetch-Site``, the second a
foreign ``Host``.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from retrieval.server.settings import ServerSettings, is_everywhere, is_loopback

LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
FORWARDED = (
    "forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port",
    "x-forwarded-server", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip",
)  # fmt: skip
"""Headers by which a proxy tells of itself."""


class Hosts:
    """The names by which the server may be reached."""

    def __init__(self, settings: ServerSettings, port: int) -> None:
        self._port = port
        self._extra = frozenset(name.lower() for name in settings.names)
        self._any_address = is_everywhere(settings.host)
        own = {socket.gethostname().lower()} if self._any_address else {settings.host.strip("[]").lower()}
        self._own = LOOPBACK_NAMES | own

    def allow(self, host: str) -> bool:
        """Whether a ``Host`` header names this server.

        An address in numbers is no name that a stranger could point here, so that a server on all addresses takes any.
        """
        split = _split_host(host)
        if split is None:
            return False
        name, port = split
        if name in self._extra:
            return True
        return port == self._port and (name in self._own or (self._any_address and _is_address(name)))

    def allow_origin(self, origin: str, host: str) -> bool:
        """Whether an ``Origin`` header is that of the page which the server gave out under the name ``host``."""
        try:
            parts = urlsplit(origin)
        except ValueError:
            return False
        if parts.scheme not in ("http", "https") or origin != f"{parts.scheme}://{parts.netloc}":
            return False
        return parts.netloc.lower() == host.lower()


def is_from_elsewhere(headers: Mapping[str, str], method: str, opens_page: bool) -> bool:
    """Whether a browser says that another site made it ask; following a link to the page is no such thing."""
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return False
    is_link = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    return not (opens_page and method == "GET" and is_link)


def is_local(client: str | None, host: str, headers: Mapping[str, str]) -> bool:
    """Whether whoever asks sits at this machine, and so may see its paths: not through a proxy, nor by another name."""
    split = _split_host(host)
    if client is None or split is None or any(name in headers for name in FORWARDED):
        return False
    return is_loopback(client) and split[0] in LOOPBACK_NAMES


class Tokens:
    """The token that clients must show, as a header, or as the cookie that a one-time link or the login page sets.

    Args:
        token: what they must show.
        folder: where the links that have not been followed yet stand, for several processes; by default in memory.
    """

    def __init__(self, token: str, folder: Path | None = None) -> None:
        self._token = token
        self._session = hmac.new(token.encode(), b"vlsearch session", hashlib.sha256).hexdigest()
        self._codes: set[str] = set()
        self._folder = folder
        self._lock = threading.Lock()

    @property
    def session(self) -> str:
        """The cookie's value, from which the token cannot be found; it ends with the token."""
        return self._session

    def is_token(self, given: str) -> bool:
        """Whether a text is the token, in a time that does not depend on where they differ."""
        return _same(given, self._token)

    def allow(self, headers: Mapping[str, str], cookie_name: str) -> bool:
        """Whether a request shows the token (``Authorization: Bearer``), or the cookie."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.is_token(given.strip())
        cookie = cookies(headers.get("cookie", "")).get(cookie_name, "")
        return _same(cookie, self._session)

    def new_code(self) -> str:
        """Make the code of a link that works once."""
        code = secrets.token_urlsafe(24)
        if self._folder is not None:
            (self._folder / _file_of(code)).touch(mode=0o600)
            return code
        with self._lock:
            self._codes.add(code)
        return code

    def use_code(self, given: str) -> bool:
        """Whether a code is one of a link that has not been followed yet; now it has."""
        if self._folder is not None:
            try:
                (self._folder / _file_of(given)).unlink()  # which succeeds in one process
            except FileNotFoundError:
                return False
            return True
        with self._lock:
            found = [code for code in self._codes if _same(given, code)]
            self._codes.difference_update(found)
        return bool(found)


def _file_of(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()


def _same(given: str, secret: str) -> bool:
    """Compare what a request gives, any text, in a time that does not depend on where the two differ."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def new_token() -> str:
    """Make a token of 256 random bits."""
    return secrets.token_urlsafe(32)


def cookies(header: str) -> dict[str, str]:
    """Read a ``Cookie`` header; the first of several cookies of one name counts."""
    found: dict[str, str] = {}
    for pair in header.split(";"):
        name, mark, value = pair.strip().partition("=")
        if mark:
            found.setdefault(name, value)
    return found


def _split_host(host: str) -> tuple[str, int | None] | None:
    """Split a ``Host`` header into name, without brackets and in lower case, and port; None if it is malformed."""
    if not host or not host.isascii() or any(letter in host for letter in "/@?#\\, \t"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None
    return (name, 80 if port is None else port) if name else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
