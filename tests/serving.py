"""A real server on loopback, over a small collection, and a client for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from PIL import ExifTags, Image

import indexer
from retrieval.places import CollectionPlace
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
def serving(
    paths: Sequence[CollectionPlace], cache: Path, settings: ServerSettings | None = None, hashes: bool = True
) -> Iterator[Serving]:
    """Serve collections that a HashEncoder made, or the models that they name."""
    settings = settings or ServerSettings(port=0)
    kept = ThumbnailCache(cache, 2**20)
    with (
        listen(settings) as listener,
        Collections(paths, cache=kept, encoder=HashEncoder() if hashes else None) as collections,
    ):
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
        while not running.started and thread.is_alive():  # before, connections are refused
            time.sleep(0.005)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=WAIT_S, trust_env=False) as client:
                yield Serving(port, server, collections, client)
        finally:
            running.should_exit = True
            thread.join(WAIT_S)
            server.close()


def fill_album(folder: Path, count: int = 12) -> Path:
    """At most 256 pictures of a colour each, by two cameras in three years, with a caption each; and a BMP."""
    folder.mkdir(parents=True)
    for number in range(count):
        colour = (number, 255 - number, 37 * number % 256)
        exif = Image.Exif()
        exif[ExifTags.Base.Model] = f"Camera {'AB'[number % 2]}"
        exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: f"{2020 + number % 3}:05:03 10:00:00"}
        picture = Image.new("RGB", (400 + 40 * (number % 12), 300), colour)
        picture.save(folder / f"picture {number}.jpg", exif=exif)
        (folder / f"picture {number}.txt").write_text(f"caption {number}\n", encoding="utf-8")
    Image.new("RGB", (30, 20), (1, 2, 3)).save(folder / "old.bmp")
    return folder


def album_collection(folder: Path, count: int = 12) -> Path:
    """A collection of :func:`fill_album`, made with an encoder that needs no model."""
    indexer.build(fill_album(folder / "album", count), folder / "photos", model=HashEncoder())
    return folder / "photos"
