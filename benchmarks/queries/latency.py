"""How long warm queries take and what they ask of the catalogue, at 1,000 and at 200,000 images.

    python -m benchmarks.queries.latency

Collections hold random unit rows of ``mini``'s dimension under its identity, written through the real writer: images,
and five captions for each of the first thousand. Twenty queries of a kind come before those that are timed. Wall and
CPU milliseconds (of all threads; what to read on a machine that does other work too) are medians; statements and
transactions are those that SQLite is sent for one query.
Rewrites latency.md.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import retrieval
from benchmarks.provenance import introduction, markdown_table, provenance, write_table
from indexer.store.changes import Change, NewContent, NewItem, NewLink
from indexer.store.writer import Writer
from retrieval.collection.connections import ReadConnections
from retrieval.contents import text_digest

TABLE = Path(__file__).with_suffix(".md")
HEAD = ("images", "query", "wall, ms", "lowest", "CPU, ms", "statements", "transactions")
SIZES = (1_000, 200_000)
SEGMENT_ROWS = 40_000
CAPTIONED, CAPTIONS = 1_000, 5
WARM_UP = 20  # queries of each kind: a segment is copied into bytes once it has been scanned 16 times
WORDS = "a dog in the snow"


def main() -> None:
    """Rewrite the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=41)
    parser.add_argument("--table", type=Path, default=TABLE)
    args = parser.parse_args()
    encoder = retrieval.load_encoder("mini")
    rows = []
    for images in args.images:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "collection")
            fill(path, encoder, images)
            with retrieval.open(path, encoder=encoder) as engine:
                for name, work in queries(engine, encoder):
                    rows.append((f"{images:,}", name, *measure(work, args.repeats)))
    head = provenance(
        "python -m benchmarks.queries.latency",
        packages=("numpy", "faiss-cpu"),
        note=f"{args.repeats} repeats, k = 10 unless said",
    )
    write_table(
        args.table,
        ["# Latency of warm queries", "", *head, "", introduction(__doc__), "", *markdown_table(HEAD, rows)],
    )


def queries(
    engine: retrieval.SearchEngine, encoder: retrieval.Encoder
) -> Iterator[tuple[str, Callable[[], object]]]:
    """Give each query that is measured, by name."""
    vector = random_rows(1, encoder.identity.dimension, seed=1)
    yield "encoding of a text alone", lambda: encoder.encode_texts([WORDS], 1)
    yield "vector, without encoding", lambda: engine.collection.search(vector, "image", 10)
    yield "text", lambda: engine.search(WORDS)
    yield "text, k = 1,000", lambda: engine.search(WORDS, k=1_000)
    yield "text that finds texts", lambda: engine.search(WORDS, find="text")


def measure(work: Callable[[], object], repeats: int) -> tuple[str, ...]:
    """Time a query after a warm-up, and count what one of them sends to SQLite."""
    for _ in range(WARM_UP):
        work()
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
    with counted() as sent:
        work()
    times = (f"{statistics.median(wall):.2f}", f"{min(wall):.2f}", f"{statistics.median(cpu):.2f}")
    return *times, str(sent["statement"]), str(sent["BEGIN"])


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count statements (transaction control left out) and transactions that SQLite is sent while the block runs."""
    sent: Counter[str] = Counter()

    def note(statement: str) -> None:
        if statement.startswith("BEGIN"):
            sent["BEGIN"] += 1
        elif not statement.startswith(("COMMIT", "ROLLBACK", "--")):
            sent["statement"] += 1

    begin = ReadConnections.transaction

    @contextmanager
    def watched(connections: ReadConnections) -> Iterator[sqlite3.Connection]:
        connection = connections._take()
        connection.set_trace_callback(note)
        connections._idle.append(connection)
        with begin(connections) as taken:
            yield taken

    ReadConnections.transaction = watched  # type: ignore[method-assign,assignment]
    try:
        yield sent
    finally:
        ReadConnections.transaction = begin  # type: ignore[method-assign]


def fill(path: Path, encoder: retrieval.Encoder, images: int) -> None:
    """Write random rows under the encoder's identity; what they are rows of does not exist."""
    dimension = encoder.identity.dimension
    with Writer(path) as writer:
        source = writer.ensure_corpus("random:", "random")
        for start in range(0, images, SEGMENT_ROWS):
            numbers = range(start, min(images, start + SEGMENT_ROWS))
            change = Change()
            for number, vector in zip(numbers, random_rows(len(numbers), dimension, seed=start), strict=True):
                digest, uri = hashlib.sha256(str(number).encode()).digest(), f"random:{number}"
                change.contents["image", digest] = NewContent("image", digest, vector)
                change.items[uri] = NewItem(uri, "image", digest, source)
            for number in [number for number in numbers if number < CAPTIONED]:
                _add_captions(change, number, source, dimension)
            writer.commit(change, encoder.identity)


def _add_captions(change: Change, number: int, source: int, dimension: int) -> None:
    for which, vector in enumerate(random_rows(CAPTIONS, dimension, seed=10**9 + number)):
        words = f"caption {which} of image {number}"
        digest, uri = text_digest(words), f"random:{number}/caption/{which}"
        change.contents["text", digest] = NewContent("text", digest, vector, words)
        change.items[uri] = NewItem(uri, "text", digest, source, lang="en")
        change.links[f"random:{number}", uri] = NewLink(f"random:{number}", uri, source)


def random_rows(count: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Make unit rows, (count, dimension) float32."""
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


if __name__ == "__main__":
    main()
