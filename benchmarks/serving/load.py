"""Searches and thumbnails through HTTP, with several clients at once, of a large collection.

    python -m benchmarks.serving.load PICTURES [--rows 80000] [--clients 8] [--seconds 60] [--workers 1 2] [--folder F]

PICTURES is a folder of photographs. Each becomes several items: its picture, small, with some bytes of its own behind
it, and its vector by ``mini`` with noise, so that vectors are as real ones and thumbnails are made of real files.
Clients are connections of one process, which ask without a pause and read answers as bytes alone. Words are asked once
each, and vectors of queries are kept nowhere. ``--folder`` keeps the collection for the next run. Rewrites load.md.
"""

from __future__ import annotations

import argparse
import io
import itertools
import random
import selectors
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

import indexer
import retrieval
from benchmarks.provenance import markdown_table, provenance, write_table
from benchmarks.serving.processes import ServerProcess, cpu_s, server, usage

TABLE = Path(__file__).with_suffix(".md")
NOISE = 0.05  # of each element, against rows of length 1: copies are near and not equal
SIDE = 320
THUMBNAILS = 2000
HEAD = (
    "processes",
    "what",
    "clients",
    "requests",
    "a second",
    "ms of CPU each",
    "ms, median",
    "ms, 95th percentile",
    "ms, 99th percentile",
)
WORDS = (
    "dog", "beach", "snow", "child", "red", "mountain", "water", "city", "night", "green", "car", "street", "grass",
    "two people", "running", "jumping", "ball", "bicycle", "a man in a hat", "woman", "blue shirt", "boat", "flowers",
    "forest",
)  # fmt: skip


def build(pictures: Path, folder: Path, rows: int) -> Path:
    """Make the collection, unless it is there."""
    collection = folder / "collection"
    if collection.is_dir():
        return collection
    sources = [
        path for path in sorted(pictures.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg", ".png")
    ]
    encoder = retrieval.load_encoder("mini")
    small: list[bytes] = []
    vectors = []
    for path in sources[:1000]:
        with Image.open(path) as opened:
            picture = opened.convert("RGB")
        vectors.append(encoder.encode_images([picture])[0])
        picture.thumbnail((2 * SIDE, SIDE))
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=80)
        small.append(file.getvalue())
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir(parents=True)
    with indexer.open_writer(collection, model="mini") as writer:
        for number in range(rows):
            source = number % len(small)
            path = folder / "pictures" / f"{number:06}.jpg"
            path.write_bytes(small[source] + number.to_bytes(8, "big"))
            row = (
                vectors[source]
                + NOISE * rng.standard_normal(len(vectors[source])) / len(vectors[source]) ** 0.5
            )
            writer.add(f"p{number}", path, vector=(row / np.linalg.norm(row)).astype(np.float32))
    return collection


class Client:
    """A connection that asks without a pause: one request is on its way at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got, self._whole, self._began = bytearray(), 0, 0.0

    def send(self, path: str) -> None:
        """Ask for a path."""
        self._got, self._whole, self._began = bytearray(), 0, time.perf_counter()
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode("ascii"))

    @property
    def port(self) -> int:
        """The port of the server."""
        port: int = self.socket.getpeername()[1]
        return port

    def receive(self) -> float | None:
        """Read what there is; give the seconds that the answer took once it is whole."""
        part = self.socket.recv(2**18)
        if not part:
            raise SystemExit("the server hung up")
        self._got += part
        if not self._whole:
            end = self._got.find(b"\r\n\r\n")
            if end < 0:
                return None
            head = bytes(self._got[:end]).lower()
            if not head.startswith(b"http/1.1 200"):
                raise SystemExit(f"the server answers {head[:40]!r}")
            self._whole = end + 4 + int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        return time.perf_counter() - self._began if len(self._got) >= self._whole else None


def ask(port: int, paths: Iterator[str], seconds: float, clients: int) -> list[float]:
    """Ask for paths with so many clients until time or paths are over; give the seconds that each answer took.

    All in one thread, which takes a tenth of the time that the server takes, so that it is the server that is measured.
    """
    took: list[float] = []
    end = time.monotonic() + seconds
    with selectors.DefaultSelector() as waiting:
        for client in (Client(port) for _ in range(clients)):
            if (path := next(paths, None)) is not None:
                waiting.register(client.socket, selectors.EVENT_READ, client)
                client.send(path)
        while waiting.get_map():
            for key, _ in waiting.select(60):
                client = key.data
                if (answered := client.receive()) is None:
                    continue
                took.append(answered)
                path = next(paths, None) if time.monotonic() < end else None
                if path is None:
                    waiting.unregister(client.socket)
                    client.socket.close()
                else:
                    client.send(path)
    return took


def searches() -> Iterator[str]:
    """Give addresses of searches for words, no two alike."""
    rng = random.Random(0)
    for number in itertools.count():
        words = " and ".join(rng.sample(WORDS, 2))
        yield f"/v1/search?k=50&find=image&text={quote(f'{words} {number}')}"


def thumbnails(rows: int) -> list[str]:
    """Give addresses of thumbnails all over the collection."""
    return [
        f"/v1/items/{item}/thumbnail?size=240"
        for item in random.Random(1).sample(range(1, rows + 1), min(rows, THUMBNAILS))
    ]


def measure(
    running: ServerProcess, name: str, clients: int, paths: Iterator[str], seconds: float
) -> Sequence[object]:
    """Ask for paths, and give a row of the table; the CPU time is the server's."""
    before, began = cpu_s(running.tree()), time.perf_counter()
    took = sorted(ask(running.port, paths, seconds, clients))
    whole, used = time.perf_counter() - began, cpu_s(running.tree()) - before
    cuts = statistics.quantiles(took, n=100)
    figures = (f"{1000 * one:.1f}" for one in (used / len(took), statistics.median(took), cuts[94], cuts[98]))
    row = (name, clients, f"{len(took):,}", f"{len(took) / whole:.0f}", *figures)
    print(*row, sep="  ")
    return row


def rows_of(running: ServerProcess, rows: int, clients: int, seconds: float) -> Iterator[Sequence[object]]:
    """Measure searches, then thumbnails that are made and the same ones from the cache."""
    ask(running.port, itertools.islice(searches(), 20), 60, 1)  # the model is loaded, files are mapped
    yield measure(running, "search for words, one client", 1, searches(), min(seconds, 10))
    yield measure(running, "search for words", clients, searches(), seconds)
    wanted = thumbnails(rows)
    yield measure(running, "thumbnail, made", clients, iter(wanted), seconds)
    yield measure(running, "thumbnail, from the cache", clients, iter(wanted), seconds)


def _measure(
    collection: Path, workers: int, scratch: Path, given: argparse.Namespace
) -> tuple[list[tuple[object, ...]], str]:
    """Measure a server of some processes; rows of the table, and a line on its memory."""
    environment = {"VLSEARCH_QUERY_CACHE": "off", "XDG_CACHE_HOME": f"{scratch}/cache-{workers}"}
    with server(collection, "--workers", str(workers), environment=environment) as running:
        rows = [(workers, *row) for row in rows_of(running, given.rows, given.clients, given.seconds)]
        parts = [found for pid in running.tree() if (found := usage(pid)) is not None]
    memory = sum(one.proportional for one in parts) / 2**20
    line = f"- Memory at the end with `--workers {workers}`: {memory:.0f} MiB in {len(parts)} processes (proportional)."
    print(line)
    return rows, line


def main() -> None:
    """Measure, and rewrite the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        collection = build(given.pictures, folder, given.rows)
        measured = [_measure(collection, workers, Path(scratch), given) for workers in given.workers]
    table = [row for rows, _ in measured for row in rows]
    command = (
        f"python -m benchmarks.serving.load PICTURES --rows {given.rows} --clients {given.clients} "
        f"--seconds {given.seconds:g} --workers {' '.join(map(str, given.workers))}"
    )
    note = f"{given.rows:,} pictures, clients on the same machine"
    write_table(
        TABLE,
        [
            "# Searches and thumbnails through HTTP", "",
            *provenance(command, packages=("numpy", "uvicorn", "fastapi", "faiss-cpu"), note=note), "",
            *markdown_table(HEAD, table), "", *(memory for _, memory in measured),
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
