"""What a server is told before it starts."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass
from pathlib import Path

from retrieval.errors import UsageError

LEAST_TOKEN = 16  # characters
UPLOADS, LINKS, METRICS = "uploads", "links", "metrics"
"""Folders in :attr:`ServerSettings.shared`."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Settings of a server.

    Attributes:
        host: address to listen on, or a name of one.
        port: 0 takes a free one.
        token: what clients must show; None where everybody on this machine may ask.
        names: host names by which clients reach the server beside its own, as behind a reverse proxy.
        upload_bytes: of one picture to search with.
        kept_bytes: of all pictures that wait to be searched with; the longest unused go first.
        searching: searches at a time; more than there are cores only take turns, and the caches, from each other.
        waiting: requests that may wait for a search, or for a thumbnail, before others are turned away.
        seconds: for one request, with the time that it waits.
        writes: whether clients may hide, tag and index.
        shared: private folder of several processes that answer together; None where one answers alone.
        add_to: folder that pictures of clients are added to; None where they may add none.

    Raises:
        UsageError: the address is not loopback and there is no token, the token is short, or pictures are to be added
            to a folder and nothing may be written.
    """

    host: str = "127.0.0.1"
    port: int = 8642
    token: str | None = None
    names: tuple[str, ...] = ()
    upload_bytes: int = 32 * 2**20
    kept_bytes: int = 128 * 2**20
    searching: int = (os.cpu_count() or 1) + 1
    waiting: int = 256
    seconds: float = 60.0
    writes: bool = False
    add_to: Path | None = None
    shared: Path | None = None

    def __post_init__(self) -> None:
        if self.token is None and not is_loopback(self.host):
            raise UsageError(f"{self.host} can be reached from other machines, so a token is needed")
        if self.add_to is not None and not self.writes:
            raise UsageError("pictures are added only where clients may write; give --write too")
        if self.token is not None and (len(self.token) < LEAST_TOKEN or not self.token.isascii()):
            raise UsageError(f"the token is too easy to guess; give at least {LEAST_TOKEN} ASCII characters")


def is_loopback(host: str) -> bool:
    """Whether an address, or the name ``localhost``, is of this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_everywhere(host: str) -> bool:
    """Whether an address stands for all addresses of this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_unspecified
    except ValueError:
        return host == ""
