"""A real server on loopback, over a small collection, and a client for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from PIL import Image

import indexer
from retrieval.query.thumbnail_cache import ThumbnailCache
from retrieval.server.app import Server
from retrieval.server.run import listen
from retrieval.server.served import Collections
from retrieval.server.settings import ServerSettings
from retrieval.testing import HashEncoder

WAIT_S = 30.0


@dataclass
class Serving:
    """A server that answers, and a client whose requests are those of a program on this machine."""

    port: int
    server: Server
    collections: Collections
    client: httpx.Client

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(paths: Sequence[Path], cache: Path, settings: ServerSettings | None = None) -> Iterator[Serving]:
    settings = settings or ServerSettings(port=0)
    kept = ThumbnailCache(cache, 2**20)
    with listen(settings) as listener, Collections(paths, cache=kept, encoder=HashEncoder()) as collections:
        port = listener.getsockname()[1]
        server = Server(collections, settings, port)
        config = uvicorn.Config(
            server,
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S, trust_env=False) as client:
                yield Serving(port, server, collections, client)
        finally:
            running.should_exit = True
            thread.join(WAIT_S)
            server.close()


def fill_album(folder: Path, count: int = 12) -> Path:
    """Pictures of one colour each, a hundred pixels wide and more, with a caption each, and one that is a BMP."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = (20 * number % 256, 255 - 20 * number % 256, 90)
        Image.new("RGB", (400 + 40 * number, 300), colour).save(folder / f"picture {number}.jpg")
        (folder / f"picture {number}.txt").write_text(f"caption {number}\n", encoding="utf-8")
    Image.new("RGB", (30, 20), (1, 2, 3)).save(folder / "old.bmp")
    return folder


def album_collection(folder: Path) -> Path:
    """A collection of :func:`fill_album`, made with an encoder that needs no model."""
    indexer.build(fill_album(folder / "album"), folder / "photos", model=HashEncoder())
    return folder / "photos"
