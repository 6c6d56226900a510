"""How long queries take: a text query with mini in a warm process, and batches over 100,000 random vectors.

    python benchmarks/queries/latency.py > benchmarks/queries/latency.json

Prints one JSON object: milliseconds, wall and CPU (of all threads; what to read on a machine that does other work
too), medians over the repeats with the least and the most. Vectors are random unit rows of mini's dimension,
100,000 in five segments, written through the real writer under mini's identity; k is 10.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import retrieval
from indexer.changes import Change, NewContent, NewItem
from indexer.writer import Writer

ROWS, SEGMENTS, QUERIES = 100_000, 5, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    encoder = retrieval.load_encoder("mini")
    texts = [f"{n} dogs in the {place}" for n in range(32) for place in ("snow", "sea", "sun", "sky") * 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "collection"
        fill(path, encoder, args.rows)
        with retrieval.open(path, encoder=encoder) as engine:
            engine.search("warm up")
            vectors = random_rows(QUERIES, encoder.identity.dimension, seed=1)
            measured = {
                "encode_text": timed(
                    args.repeats * 4, lambda: encoder.encode_texts(["a dog in the snow"], 1)
                ),
                "text_query": timed(args.repeats * 4, lambda: engine.search("a dog in the snow")),
                "one_vector": timed(
                    args.repeats * 4, lambda: engine.collection.search(vectors[:1], "image", 10)
                ),
                "batch_of_256_vectors": timed(
                    args.repeats, lambda: engine.collection.search(vectors, "image", 10)
                ),
                "search_batch_of_256_texts": timed(
                    args.repeats, lambda: engine.search_batch(texts[:QUERIES])
                ),
            }
        with retrieval.open(path) as cold:
            measured["first_text_query_of_an_engine"] = timed(1, lambda: cold.search("a dog"))
    print(json.dumps(provenance(args.rows, encoder.identity.dimension, args.repeats) | measured, indent=1))


def fill(path: Path, encoder: retrieval.Encoder, rows: int) -> None:
    """Random vectors under the encoder's identity, a segment a commit; what they are vectors of does not exist."""
    vectors = random_rows(rows, encoder.identity.dimension, seed=0)
    with Writer(path) as writer:
        source = writer.source_id("random:", "random")
        for part in np.array_split(np.arange(rows), SEGMENTS):
            change = Change()
            for number in part.tolist():
                digest, uri = hashlib.sha256(str(number).encode()).digest(), f"random:{number}"
                change.contents["image", digest] = NewContent("image", digest, vectors[number])
                change.items[uri] = NewItem(uri, "image", digest, source)
            writer.commit(change, encoder.identity)


def random_rows(count: int, dimension: int, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def timed(repeats: int, work: Callable[[], object]) -> dict[str, float]:
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        work()
        wall.append((time.perf_counter() - start) * 1e3)
        cpu.append((time.process_time() - used) * 1e3)
    return {
        "wall_ms": round(statistics.median(wall), 2),
        "wall_ms_least": round(min(wall), 2),
        "wall_ms_most": round(max(wall), 2),
        "cpu_ms": round(statistics.median(cpu), 2),
        "repeats": repeats,
    }


def provenance(rows: int, dimension: int, repeats: int) -> dict[str, object]:
    import faiss

    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit,
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "versions": {"numpy": np.__version__, "faiss": faiss.__version__},
        "rows": rows,
        "dimension": dimension,
        "repeats": repeats,
    }


if __name__ == "__main__":
    main()
