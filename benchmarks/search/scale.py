"""Text queries over many image vectors: the exact scan and the accelerator side by side, in one collection each.

    python -m benchmarks.search.scale GENERATOR [--rows 100000 1000000]

GENERATOR is ``make.py`` of the project's shared data (``data/scale``), which makes vectors with the modality gap of
models like CLIP (512 dimensions). Each collection holds so many images and 1,000 texts, from which
``indexer.accelerate`` fits and tunes; recall and times are taken on 1,000 other texts. One query at a time, from
Python, through ``Collection.search``: transaction, search and hits with their items. Peak memory is that of the process
that builds, mapped files included. Rewrites scale.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.provenance import ROOT, markdown_table, provenance, write_table
from indexer.store.changes import Change, NewContent, NewItem
from indexer.store.writer import Writer
from retrieval.collection import Collection
from retrieval.contents import text_digest, vector_digest
from retrieval.identity import Identity

TABLE = Path(__file__).with_suffix(".md")
DIMENSION, TEXTS, QUERIES, BLOCK = 512, 1000, 1000, 20_000
IDENTITY = Identity("generated", "generated", "0" * 64, "", DIMENSION, "{}")
HEAD = (
    "images", "search", "recall@10", "ms, median", "ms, 95th percentile", "times faster", "bytes a vector in memory",
    "build, s", "peak MiB building",
)  # fmt: skip


def load_generator(path: Path) -> Any:
    """Import the generator from its file."""
    spec = importlib.util.spec_from_file_location("scale_make", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Model(0)


def images(model: Any, rows: int) -> Iterator[NDArray[np.float32]]:
    """Give the image vectors, (m, d) float32 unit rows, in blocks."""
    for start in range(0, rows, BLOCK):
        block = np.asarray(model.images(start, min(start + BLOCK, rows)), np.float32)
        yield block / np.linalg.norm(block, axis=1, keepdims=True)


def make_collection(path: Path, model: Any, rows: int, texts: NDArray[np.float32]) -> None:
    """Write a collection of generated images and texts."""
    with Writer(path) as writer:
        corpus = writer.ensure_corpus("generated:", "generated")
        number = 0
        for block in images(model, rows):
            change = Change()
            for vector in block:
                digest, uri = vector_digest(vector), f"generated:{number}"
                change.contents["image", digest] = NewContent("image", digest, vector)
                change.items[uri] = NewItem(uri, "image", digest, corpus)
                number += 1
            writer.commit(change, IDENTITY)
        change = Change()
        for place, vector in enumerate(texts):
            words, uri = f"text {place}", f"generated:text{place}"
            change.contents["text", text_digest(words)] = NewContent(
                "text", text_digest(words), vector, words
            )
            change.items[uri] = NewItem(uri, "text", text_digest(words), corpus)
        writer.commit(change, IDENTITY)


def build(path: Path) -> None:
    """Build the accelerator; print seconds and peak memory in MiB."""
    import indexer

    started = time.monotonic()
    indexer.accelerate(path, from_rows=1)
    seconds = time.monotonic() - started
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def measure(path: Path, queries: NDArray[np.float32]) -> Iterator[tuple[object, ...]]:
    """Rows of the table for one collection: the exact search, then the accelerator, interleaved query by query."""
    times: dict[bool, list[float]] = {True: [], False: []}
    shared = 0
    with Collection.open(path) as collection:
        info = collection.info()
        collection.search(queries[:1], "image", 10)
        for query in queries:
            found = {}
            for exact in (True, False):
                started = time.perf_counter()
                found[exact] = collection.search(query[None], "image", 10, exact=exact)[0]
                times[exact].append(1000 * (time.perf_counter() - started))
            shared += len({hit.id for hit in found[True]} & {hit.id for hit in found[False]})
    medians = {exact: statistics.median(spent) for exact, spent in times.items()}
    for exact in (True, False):
        recall = 1.0 if exact else shared / (10 * len(queries))
        memory = 0 if exact else info.accelerators["image"].measurement.bytes_per_vector
        yield (
            f"{info.images:,}", "exact" if exact else "accelerator", f"{recall:.3f}", f"{medians[exact]:.2f}",
            f"{np.percentile(times[exact], 95):.2f}", f"{medians[True] / medians[exact]:.0f}", memory,
        )  # fmt: skip


def main() -> None:
    """Rewrite the table, or build one accelerator."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("generator", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--note", default="", help="what else a reader must know of the machine meanwhile")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(options.generator)
        return
    model = load_generator(options.generator)
    rng = np.random.default_rng(0)
    table: list[tuple[object, ...]] = []
    for rows in options.rows:
        targets = rng.integers(0, rows, TEXTS + QUERIES)
        texts = np.asarray(model.texts(targets), np.float32)
        texts /= np.linalg.norm(texts, axis=1, keepdims=True)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "collection"
            make_collection(path, model, rows, texts[:TEXTS])
            command = [sys.executable, "-m", "benchmarks.search.scale", "--build", str(path)]
            done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
            seconds, peak = json.loads(done.stdout.splitlines()[-1])
            exact, fast = measure(path, texts[TEXTS:])
            table += [(*exact, "", ""), (*fast, f"{seconds:.0f}", f"{peak:.0f}")]
    written = " ".join(map(str, options.rows))
    lines = [
        "# Search of many vectors",
        "",
        *provenance(
            f"python -m benchmarks.search.scale GENERATOR --rows {written}",
            packages=("numpy", "faiss-cpu"),
            note=options.note,
        ),
        "",
        *(__doc__ or "").split("\n\n")[2].strip().replace(" Rewrites scale.md.", "").splitlines(),
        "",
        *markdown_table(HEAD, table),
    ]
    write_table(TABLE, lines)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
